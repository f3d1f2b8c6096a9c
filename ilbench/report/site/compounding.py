"""A page per suite with 0-1 deployment: a sentence for every robot, and the tables of A(H) and of u as on COMPOUNDING.md."""

from __future__ import annotations

import re

from ilbench.report import compounding_page, diagnosis
from ilbench.report.site.boards import inside
from ilbench.report.site.book import Book, suite_path, task_path
from ilbench.report.site.material import Suite
from ilbench.report.site.sections import section


def _sentence(s: diagnosis.Sentence) -> list[str]:
    """What is said of one task."""
    said = [f"bc {s.bc}."] + ([f"Why: {s.why}."] if s.why not in ("-", "undecided") else [])
    return said + [f"{name.replace('_', ' ')}: {what}." for name, what in s.repairs.items()]


def _anchor(s: diagnosis.Sentence) -> str:
    return s.task + (f"-{re.sub(r'[^a-z0-9.]+', '-', s.row)}" if s.row else "")


def write(book: Book, suite: Suite) -> None:
    """compounding.html of a suite; nothing where it has no such records."""
    page = suite.compounding
    if page is None:
        return
    path = suite_path(suite.name, "compounding")
    main, rest = compounding_page.parts(page)
    sections = [
        section(
            s.name,
            _sentence(s),
            anchor=_anchor(s),
            href=task_path(suite.name, s.task) if (suite.name, s.task) in book.tasks else "",
        )
        for s in page.sentences
    ]
    sections.append(section("What the words say", [" ".join(compounding_page.SAID)]))
    sections += [section(tables=[book.table(path, table, suite.name)]) for table in (*main[1:], *rest)]
    book.page(
        path, "page.html", f"{suite.name}: compounding", heading="Does it compound, why, and what mends it?", suite=suite.name,
        inside=inside(suite), sections=sections, toc=[(_anchor(s), s.name) for s in page.sentences],
        lines=(f"Learners in 0-1 deployment, at eps = {page.target:g}. {compounding_page.bounds(page)}",),
    )  # fmt: skip
