"""Training: gradients are taken here and nowhere else."""
