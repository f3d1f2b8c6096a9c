"""Trained experts as they are made: recipes, training in pieces, the choice of a checkpoint, its clone.

Only `ilbench expert` comes here; what is run and ranked reads what was made.
"""
