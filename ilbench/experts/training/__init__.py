"""Making experts: recipes, training that can be resumed, cloning, measuring. Reading them is one folder up."""
