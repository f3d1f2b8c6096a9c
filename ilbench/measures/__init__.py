"""Measures: pure functions of the evidence, one per file."""
