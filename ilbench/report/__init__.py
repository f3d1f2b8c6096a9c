"""Records as text, pages and pictures: boards, rankings, exponents, convergence, speed.

It trains and rolls out nothing: every page can be deleted and made again.
"""
