"""Names that are not there: the closest of those that are, as every message says it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.5  # least likeness, 0 to 1: half a name typed still finds the whole


def close(name: str, there: Iterable[str], n: int = 3) -> list[str]:
    """The names most like `name`, best first, at most `n`; none where nothing is like it."""
    return difflib.get_close_matches(name, list(there), n=n, cutoff=CUTOFF)


def meant(name: str, there: Iterable[str], *, before: str = "", after: str = "", n: int = 1) -> str:
    """`Did you mean BEFORE...AFTER?` with the `n` closest, spelled as they are to be typed; empty where nothing is close."""
    found = [f"{before}{one}{after}" for one in close(name, there, n)]
    return f"Did you mean {' or '.join(found)}?" if found else ""


def hint(name: str, there: Iterable[str], *, before: str = "", after: str = "", n: int = 1) -> str:
    """`meant`, or else all that there are."""
    every = list(there)
    return meant(name, every, before=before, after=after, n=n) or f"There are: {', '.join(every) or 'none'}."
