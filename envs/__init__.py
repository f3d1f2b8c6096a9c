"""Tasks, one family per file: an env as pure functions and the expert that belongs to it; imported as `ilbench.envs`.

A file imports no other family; files that begin with _ are shared.
"""
