"""How numbers, tables and lines look, in a terminal, in Markdown and in pictures.

It knows no records and computes nothing.
"""
