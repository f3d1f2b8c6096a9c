"""BibTeX of ilbench and of what a suite runs, from what the plug-ins' `Paper:` and `Source:` paragraphs say.

Authors, year, title and address are taken as far as they are said there, and nothing is made up: an entry without a title has none.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Sequence
from importlib import metadata

import ilbench
from ilbench import registry
from ilbench.display.latex import escaped

NAME = r"[A-Z][\w'-]+"  # of an author: the surname
ALONE = rf"(?:(?P<called>{NAME}), )?(?P<first>{NAME}) et al\."  # `Freeman et al.`, what it is called before it
SEVERAL = rf"{NAME}(?:(?:, | & | and |, and ){NAME})*"
CITED = re.compile(rf"(?:{ALONE}|(?P<who>{SEVERAL})) (?P<year>(?:19|20)[0-9]{{2}})\b")
ADDRESS = re.compile(r"https?://[^\s,;{}\\\"]+")
TITLE = re.compile(r'^,? ?(?:"(?P<quoted>[^"]+)"|(?P<said>[A-Za-z][^;("]*?))(?=[;(.]|, https?://|,? and of |, "|$)')


@dataclasses.dataclass(frozen=True)
class Reference:
    """One work, and the plug-ins that name it."""

    authors: tuple[str, ...]  # surnames; "others" for et al.
    year: str
    title: str = ""
    url: str = ""
    of: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """Of its key: `ross2011`."""
        return re.sub(r"[^a-z]", "", self.authors[0].lower()) + self.year


def references(text: str, of: str) -> list[Reference]:
    """The works that a paragraph cites: each `AUTHORS YEAR`, with the title and the first address that follow it."""
    found, out = list(CITED.finditer(text)), []
    for i, m in enumerate(found):
        rest = text[m.end() : found[i + 1].start() if i + 1 < len(found) else len(text)]
        address, title = ADDRESS.search(rest), TITLE.match(rest)
        said = (title["quoted"] or title["said"] or "").strip() if title else ""
        if said.startswith("http"):
            said = ""
        authors = (m["first"], "others") if m["first"] else tuple(re.findall(NAME, m["who"]))
        url = address[0].rstrip(").") if address else ""
        out.append(Reference(authors, m["year"], said or m["called"] or "", url, (of,)))
    return out


def merged(every: Iterable[Reference]) -> list[Reference]:
    """Each work once: those of one address, or of the same authors and year where one of the two has none; the longer title."""
    out: list[Reference] = []
    for r in every:
        for i, o in enumerate(out):
            same = r.url == o.url if r.url and o.url else (r.authors, r.year) == (o.authors, o.year)
            if same:
                longest = max((o.title, r.title), key=len)
                names = max((o.authors, r.authors), key=len)
                out[i] = Reference(names, o.year, longest, o.url or r.url, (*o.of, *(n for n in r.of if n not in o.of)))
                break
        else:
            out.append(r)
    return sorted(out, key=lambda r: (r.stem, r.url, r.title))


# ------------------------------------------------------------------------------------------------- of what
def used(blocks: Iterable[object] | None) -> list[registry.Entry]:
    """The algorithms, heads and tasks of a suite's blocks, or all that there are (None)."""
    kinds = ("algorithms", "heads", "tasks")
    if blocks is None:
        return [entry for kind in kinds for entry in registry.entries(kind).values()]
    named = {(kind, getattr(b, kind.rstrip("s"))) for b in blocks for kind in kinds}
    return [found for kind, name in sorted(named) if (found := _entry(kind, name)) is not None]


def _entry(kind: str, name: str) -> registry.Entry | None:
    """A plug-in's entry; of a `FAMILY:...` any task of the file that makes them."""
    family, colon, _ = name.partition(":")
    if colon:
        return next((e for e in registry.entries(kind).values() if dict(e.literals).get("FAMILY") == family), None)
    return registry.entry(kind, name)


def ours() -> dict[str, str]:
    """Title, author, version of ilbench: what CITATION.cff of a checkout says, else the installed package."""
    file = pathlib.Path(ilbench.__file__).resolve().parent.parent / "CITATION.cff"
    if file.is_file():
        text = file.read_text(encoding="utf-8")
        title = re.search(r'^title: "(.+)"$', text, re.M)
        author = re.search(r"^ +- name: (.+)$", text, re.M)
        if title and author:
            return {"title": title[1], "author": author[1], "version": ilbench.__version__}
    about = metadata.metadata("ilbench")
    return {"title": f"ilbench: {about['Summary']}", "author": "The ilbench authors", "version": ilbench.__version__}


def cited(entries: Sequence[registry.Entry]) -> tuple[list[Reference], list[str]]:
    """The works that these plug-ins name, and the names of the plug-ins that name none with a year."""
    found = [(e, references(e.paper, e.id)) for e in entries]
    return merged(r for _, rs in found for r in rs), [f"{e.kind.rstrip('s')} {e.id}" for e, rs in found if not rs]


def bibtex(works: Sequence[Reference], none: Sequence[str] = ()) -> str:
    """@misc entries, ilbench first; works of one key are told apart by a letter."""
    own = ours()
    out = [
        _misc(
            "ilbench",
            {"title": escaped(own["title"]), "author": f"{{{escaped(own['author'])}}}", "version": own["version"]},
        )
    ]
    stems = [w.stem for w in works]
    for i, w in enumerate(works):
        letter = chr(ord("a") + stems[:i].count(w.stem)) if stems.count(w.stem) > 1 else ""
        fields = {
            "author": " and ".join(map(escaped, w.authors)),
            "title": f"{{{escaped(w.title)}}}" if w.title else "",
        }
        note = f"in ilbench: {', '.join(w.of)}"
        out.append(_misc(w.stem + letter, {**fields, "year": w.year, "url": w.url, "note": escaped(note)}))
    foot = [f"% name no work with a year: {escaped(', '.join(none))}"] if none else []
    return "\n".join([*out, *foot]) + "\n"


def _misc(key: str, fields: dict[str, str]) -> str:
    return "\n".join([f"@misc{{{key},", *(f"  {name} = {{{text}}}," for name, text in fields.items() if text), "}", ""])
