"""Running: a suite becomes blocks, blocks become cells, cells become records; and how checks of the theory are run.

What can be refused is refused before any compute; one broken block costs no other.
"""
