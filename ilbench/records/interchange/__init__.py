"""Interchange: demonstrations in the files that people have, read without trust and written whole.

One word, Episodes, between four layouts; each layout is a file here, and none runs what a file holds or follows where it points.
"""
