"""The lecture as a table of contents that runs, one file a part, in the lecture's own order.

A file, whose name begins with p and the number of its part, has the literal PART and ITEMS (ilbench/report/lecture/item.py).
A theorem's proof is a file of its own under proofs/, named as its item is. A new file is a new part, or a new proof.
"""
