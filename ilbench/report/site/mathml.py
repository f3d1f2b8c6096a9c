r"""Mathematics on a page: a small part of TeX, turned into MathML, which browsers set by themselves.

    letters, numbers, operators     x_t^2   x'   \epsilon   \hat\pi   \le   \sum_{t=1}^{H}   \max_a   \log   \frac{a}{b}   \sqrt{x}
    groups and words                {...}   \text{if}   \operatorname{KL}   \|   \mathbb{E}   \mathbf{1}   \{ \}   \left( \right)
    several lines                   a &= b \\ &\le c

What is not in it raises ValueError that names it: a proof never shows its source in the place of a formula.
"""

from __future__ import annotations

import functools
import re

from markupsafe import Markup, escape

TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\d*\.?\d+|\s+|.", re.S)
GREEK = dict(zip(
    re.findall(r"\w+", "alpha beta gamma delta epsilon eta theta lambda mu pi rho sigma tau phi psi Delta Sigma Phi infty ell"),
    "αβγδεηθλμπρστφψΔΣΦ∞ℓ", strict=True,
))  # fmt: skip
OPERATORS = dict(zip(
    re.findall(r"\w+", "le ge ne to cdot times sim approx ll dots cdots pm iff implies in"), "≤≥≠→·×∼≈≪…⋯±⟺⟹∈", strict=True,
))  # fmt: skip
BIG = {"sum": "∑", "prod": "∏", "max": "max", "min": "min", "inf": "inf", "sup": "sup"}  # with limits above and below
NAMED = ("log", "exp", "Pr")
ACCENTS = {"hat": "^", "bar": "¯", "tilde": "~"}
SPACES = {",": ".17em", ";": ".28em", "quad": "1em"}
NO_BREAK = "\u00a0"  # a space at the edge of an element is no space in HTML
FENCES = {"(": "(", ")": ")", "[": "[", "]": "]", "|": "|", ".": "", "{": "{", "}": "}"}


class _Reader:
    """Tokens of one formula, and what they become."""

    def __init__(self, tex: str) -> None:
        self.tex = tex
        self.tokens = [t for t in TOKEN.findall(tex) if not t.isspace()]
        self.at = 0

    def fail(self, what: str) -> ValueError:
        return ValueError(f"{what} in the formula {self.tex!r}: ilbench/report/site/mathml.py says what there is")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        found = self.peek()
        if not found or (wanted and found != wanted):
            raise self.fail(f"{found or 'an end'!r} where {wanted or 'more'!r} was expected")
        self.at += 1
        return found

    def row(self, *ends: str) -> list[str]:
        """Elements up to one of the ends, which is left."""
        out = []
        while self.peek() and self.peek() not in ends:
            out.append(self.scripted())
        if ends and not self.peek():
            raise self.fail(f"no {ends[0]!r}")
        return out

    def group(self) -> str:
        """What an argument holds: a group, or one atom."""
        if self.peek() != "{":
            return self.atom()
        self.take("{")
        inner = self.row("}")
        self.take("}")
        return inner[0] if len(inner) == 1 else f"<mrow>{''.join(inner)}</mrow>"

    def words(self) -> str:
        """The text of a group, spaces as they were written."""
        self.take("{")
        start = sum(map(len, self.tokens[: self.at]))  # characters that are no spaces, before the group's content
        while self.peek() != "}":
            self.take()
        end = sum(map(len, self.tokens[: self.at]))
        self.take("}")
        places = [i for i, c in enumerate(self.tex) if not c.isspace()]
        return str(escape(self.tex[places[start - 1] + 1 : places[end]])) if end > start else ""

    def scripted(self) -> str:
        """An atom with what stands below and above it."""
        limits = self.peek()[1:] in BIG
        base, below, above = self.atom(), "", ""
        while self.peek() == "'":  # beside its letter and not above it, where browsers make it too small
            self.take()
            base = f'<mrow>{base}<mo lspace="0" rspace="0">′</mo></mrow>'
        while self.peek() in ("_", "^"):
            mark = self.take()
            if below if mark == "_" else above:
                raise self.fail(f"two {'subscripts' if mark == '_' else 'superscripts'}")
            below, above = (self.group(), above) if mark == "_" else (below, self.group())
        under, both, up = ("munder", "munderover", "mover") if limits else ("msub", "msubsup", "msup")
        if below and above:
            return f"<{both}>{base}{below}{above}</{both}>"
        if below or above:
            name = under if below else up
            return f"<{name}>{base}{below or above}</{name}>"
        return base

    def atom(self) -> str:
        """One element."""
        token = self.peek()
        if token == "{":
            return self.group()
        self.take()
        if token.startswith("\\"):
            return self.command(token[1:])
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token in "()[]|":
            return f'<mo stretchy="false">{token}</mo>'
        if token in "+-=<>,;:/!.*":
            return f"<mo>{escape('−' if token == '-' else token)}</mo>"
        raise self.fail(f"the character {token!r}")

    def command(self, name: str) -> str:
        """What a command makes."""
        if name in GREEK:
            upright = ' mathvariant="normal"' if name[0].isupper() else ""
            return f"<mi{upright}>{GREEK[name]}</mi>"
        if name in OPERATORS:
            return f"<mo>{OPERATORS[name]}</mo>"
        if name in BIG:
            return f'<mo movablelimits="true" form="prefix" rspace=".17em">{BIG[name]}</mo>'
        if name in NAMED:
            return f'<mo form="prefix" lspace="0" rspace=".17em">{name}</mo>'
        if name in ACCENTS:
            return f'<mover accent="true">{self.group()}<mo stretchy="false">{ACCENTS[name]}</mo></mover>'
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"></mspace>'
        if name in ("{", "}"):
            return f'<mo stretchy="false">{name}</mo>'
        if name == "|":
            return '<mo stretchy="false" lspace="0" rspace="0">‖</mo>'
        if name == "mid":
            return '<mo stretchy="false" lspace=".28em" rspace=".28em">|</mo>'
        if name == "frac":
            return f"<mfrac>{self.group()}{self.group()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self.group()}</msqrt>"
        if name == "text":
            said = self.words()
            return f"<mtext>{re.sub(r'^ | $', NO_BREAK, said)}</mtext>"
        if name in ("operatorname", "mathrm", "mathbb"):
            return f'<mi mathvariant="normal">{self.words()}</mi>'
        if name == "mathbf":
            return f'<mn class="b">{self.words()}</mn>'
        if name == "left":
            return self.fenced()
        raise self.fail(f"\\{name}")

    def fenced(self) -> str:
        r"""`\left( ... \right)`, as high as what it holds."""
        ends = []
        for _ in range(2):
            fence = self.take().removeprefix("\\")
            if fence not in FENCES:
                raise self.fail(f"the fence {fence!r}")
            ends.append(FENCES[fence])
            if len(ends) == 1:
                inner = self.row("\\right")
                self.take("\\right")
        left, right = (f"<mo>{escape(e)}</mo>" if e else "" for e in ends)
        return f"<mrow>{left}{''.join(inner)}{right}</mrow>"

    def lines(self) -> list[list[str]]:
        r"""Lines of cells, as `\\` and `&` part them."""
        out: list[list[str]] = [[""]]
        while self.peek():
            if self.peek() in ("&", "\\\\"):
                mark = self.take()
                out[-1].append("") if mark == "&" else out.append([""])
            else:
                out[-1][-1] += self.scripted()
        return out


@functools.lru_cache(maxsize=4096)
def mathml(tex: str, display: bool = False) -> Markup:
    """A formula as MathML; raises ValueError for what is not in the part of TeX above."""
    lines = _Reader(tex).lines()
    if len(lines) == 1 and len(lines[0]) == 1:
        inner = f"<mrow>{lines[0][0]}</mrow>"
    else:
        rows = "".join("<mtr>" + "".join(f"<mtd>{cell}</mtd>" for cell in line) + "</mtr>" for line in lines)
        inner = f'<mtable displaystyle="true" columnalign="right left">{rows}</mtable>'
    return Markup(f'<math display="{"block" if display else "inline"}">{inner}</math>')


def prose(text: str) -> Markup:
    """A paragraph with `$...$` in it, or one that is `$$...$$`; everything else is escaped. Raises ValueError for a lone $."""
    if text.startswith("$$") and text.endswith("$$") and len(text) > 4:
        return Markup('<div class="formula">{}</div>').format(mathml(text[2:-2].strip(), True))
    parts = text.split("$")
    if len(parts) % 2 == 0:
        raise ValueError(f"a lone $ in {text!r}")
    return Markup("").join(mathml(part) if i % 2 else escape(part) for i, part in enumerate(parts))
