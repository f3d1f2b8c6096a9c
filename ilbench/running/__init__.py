"""Running: a suite becomes cells, cells become records."""
