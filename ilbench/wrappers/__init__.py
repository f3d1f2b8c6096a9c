"""Wrappers: a task, a policy or a head in, the same out; noise on sensors and actuators.

A wrapper asks what it wraps nothing but what its type promises.
"""
