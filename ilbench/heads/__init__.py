"""Heads, one per file: the action distribution as one record, with its loss and the action that is deployed.

A head imports no other head; files that begin with _ are shared.
"""
