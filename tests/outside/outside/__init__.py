"""Plug-ins for ilbench from outside: `ilbench list` finds them as soon as the package is installed."""
