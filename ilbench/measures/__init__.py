"""Measures, one per file: pure functions of the evidence, in NumPy.

A measure rolls nothing out and owns the keys that it returns.
"""
