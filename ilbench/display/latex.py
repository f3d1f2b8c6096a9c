"""Tables and numbers for a paper: booktabs tables, and macros whose names have letters only. Whatever a name holds stays text."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence

from ilbench.display.tables import Table, shown

SPECIAL = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\char34{}", **{c: f"\\{c}" for c in "{}$&#_%"},
}  # fmt: skip
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
PREFIX = "ilb"  # every macro's name begins with it


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is: no command, group, comment, alignment or active character is left in it."""
    return "".join(SPECIAL.get(c, c) for c in shown(text))


def value(text: str) -> str:
    """A number, or numbers with limits, with real minus signs; anything else `escaped`. A dash for what there is not."""
    if text == "-":
        return "--"
    if re.fullmatch(r"[-+0-9.,e\[\]() ]+", text):
        return re.sub(r"(?<![0-9e])-(?=[0-9])", "$-$", text)
    return escaped(text)


def booktabs(tables: Sequence[Table]) -> str:
    """A table environment each, every column, notes under it; it takes \\usepackage{booktabs}."""
    out = ["% \\usepackage{booktabs}"]
    for table in tables:
        columns = "l" + "r" * (len(table.columns) - 1)
        out += [
            "",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped(table.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
        ]
        out += [r"\toprule", _line([escaped(c) for c in table.columns]), r"\midrule"]
        out += [_line([escaped(row[0]), *map(value, row[1:])]) for row in table.rows]
        out += [r"\bottomrule", r"\end{tabular}"]
        out += [rf"\par\footnotesize {escaped(note)}" for note in table.notes]
        out.append(r"\end{table}")
    return "\n".join(out) + "\n"


def _line(cells: Sequence[str]) -> str:
    """One row. What follows a line's end is taken for its option where it begins with a bracket or a star: not here."""
    guarded = [f"{{}}{cell}" if cell[:1] in "[*" else cell for cell in cells]
    return " & ".join(guarded) + r" \\"


# ------------------------------------------------------------------------------------------------ macros
def macro_name(parts: Sequence[str]) -> str:
    """`("hopper", "bc+mse", "score")` -> `ilbHopperBcMseScore`: ASCII letters alone, digits written out."""
    words = [word for part in parts for word in re.findall(r"[A-Za-z]+|[0-9]", part)]
    return PREFIX + "".join(DIGITS[int(w)] if w.isdigit() else w[0].upper() + w[1:] for w in words)


def macros(cells: Sequence[tuple[Sequence[str], str]]) -> dict[str, str]:
    """Name -> text of a macro for each (parts of its name, text).

    Where letters alone tell two apart no longer, both names end in letters that are a digest of all their parts: which one a name
    means never depends on what stands beside it. Raises ValueError where the same parts come twice.
    """
    named: dict[str, list[tuple[Sequence[str], str]]] = defaultdict(list)
    for parts, text in cells:
        named[macro_name(parts)].append((parts, text))
    out: dict[str, str] = {}
    for name, same in named.items():
        for parts, text in same:
            unique = name if len(same) == 1 else name + _digest(parts)
            if unique in out:
                raise ValueError(
                    f"two cells are called {' '.join(parts)!r:.80}: one of the labels must tell them apart"
                )
            out[unique] = text
    return out


def _digest(parts: Sequence[str]) -> str:
    found = hashlib.sha256("\0".join(parts).encode()).digest()
    return "X" + "".join(chr(ord("a") + byte % 26) for byte in found[:6])


def definitions(found: dict[str, str]) -> str:
    r"""`\newcommand{\NAME}{TEXT}`, a line each in the order of their names; \newcommand refuses a name that is taken."""
    return "".join(f"\\newcommand{{\\{name}}}{{{value(text)}}}\n" for name, text in sorted(found.items()))
