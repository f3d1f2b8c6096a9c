"""Records: what a cell leaves behind, its id, how it is written to disk, packed, found and read back.

Files are whole or not there, what is read is recomputed, and nothing imports JAX.
"""
