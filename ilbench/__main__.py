"""`python -m ilbench` is the `ilbench` command."""

from ilbench.cli import main

main()
