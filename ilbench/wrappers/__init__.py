"""Wrappers: a task, a policy or a head in, the same out."""
