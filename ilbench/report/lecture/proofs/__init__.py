"""Proofs in readable mathematics, one file a theorem; its name is that of the lecture's item.

A file has the literals TITLE, STATEMENT and PROOF (paragraphs; $...$ is mathematics in a line, a paragraph of $$...$$ stands alone, in the
TeX of ilbench/report/site/mathml.py), and STEPS: (what is measured, check, part of the claim's statement), the numbers beside it.
"""
