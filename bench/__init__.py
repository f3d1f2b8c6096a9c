"""Suites, one per file, and the speed benchmark; imported as `ilbench.bench`.

A suite is data: blocks, and why their numbers are what they are.
"""
