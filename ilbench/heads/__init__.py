"""Heads: action distributions, one per file."""
