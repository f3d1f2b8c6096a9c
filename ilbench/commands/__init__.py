"""The command line, one command per file: a frozen dataclass of arguments whose `execute` returns the exit code.

Nothing here imports JAX before `execute`, so that `--help` and lists answer at once.
"""
