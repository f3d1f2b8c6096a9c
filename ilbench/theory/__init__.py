"""Checks of the theory, one per file: the statement in plain mathematics, `measure`, `plot`.

A check file `t01_pdl_identity.py` defines `measure(mode, say) -> Result` (mode "exact" or "monte-carlo"; `say(text)`
reports progress) and `plot(result, figure)`; its docstring's first paragraph is the statement, `Source:` the paper.
"""
