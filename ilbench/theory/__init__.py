"""Checks of the theory, one per file: what a theorem says, on an instance, held against exact numbers and rollouts.

A file `t01_pdl_identity.py` is the check `t01_pdl_identity` (short: T01). Its docstring's first paragraph is the
statement in plain mathematics, a `Source:` paragraph names the paper, and further paragraphs hold the derivation of
what is derived here. It defines

- `MODES`, a literal tuple: what it can do, of "exact" (NumPy float64, ilbench/exact) and "monte-carlo" (the product's
  own rollouts and trained learners);
- `measure(mode, say) -> Result`: the claims of one mode and the numbers of its plot; `say(text)` reports progress;
- `plot(result, figure)`: draws on a Matplotlib figure, from the merged data of the modes that ran. Data of the
  Monte Carlo mode may be missing.

Keys of `Result.data` are plain lists, numbers and strings (they are stored as JSON), distinct between the modes.
"""
