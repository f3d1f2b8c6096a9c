"""Records: what one Cell leaves behind, on disk and read back. No JAX."""
