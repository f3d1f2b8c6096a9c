"""How every number is computed, and how to make it again."""

from __future__ import annotations

import inspect

from markupsafe import Markup

from ilbench.report import beside, checks, compounding_page, leaderboard, pairs, profile, theory, yardsticks
from ilbench.report.site import choice
from ilbench.report.site.book import Book
from ilbench.report.site.material import Material
from ilbench.report.site.sections import section


def _paragraphs(text: str | None) -> list[str]:
    """A docstring's sentences; what is indented is a sketch for who reads the source. What stands in `...` is code."""
    parts = [" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n") if not part.startswith(" ")]
    return [Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(t.split("`"))) for t in parts]


def write(book: Book, material: Material) -> None:
    """about.html."""
    sections = [
        section("Boards", [*_paragraphs(leaderboard.__doc__), *leaderboard.LEGEND, *leaderboard.MORE], anchor="boards"),
        section(
            "Boards beside the score",
            [
                *_paragraphs(yardsticks.__doc__),
                *_paragraphs(beside.__doc__),
                *(f"{y.name}: {y.said}" for y in yardsticks.YARDSTICKS),
                *_paragraphs(choice.__doc__),
            ],
            anchor="beside",
        ),
        section("Profiles", [*_paragraphs(profile.__doc__), " ".join(profile.NOTES)], anchor="profiles"),
        section("Pairs", _paragraphs(pairs.__doc__), anchor="pairs"),
        section(
            "Compounding",
            [*map(" ".join, (compounding_page.HOW, compounding_page.U, compounding_page.SAID))],
            anchor="compounding",
        ),
        section("Theory", [*_paragraphs(theory.__doc__), *checks.NOTES], anchor="theory"),
        section(
            "Make it again",
            [
                "Pages are made from records alone: the same records give the same bytes. A record states its commit, versions and device."
            ],
            code=[
                "ilbench run quick",
                "ilbench leaderboard quick",
                "ilbench theory",
                "ilbench report",
                "ilbench serve",
            ],
            anchor="again",
        ),
        section("Records here", [s.line for s in material.suites], anchor="records"),
    ]
    toc = [(s["anchor"], s["heading"]) for s in sections]
    book.page(
        "about.html", "page.html", "About", heading="How every number is computed", lines=(), sections=sections, toc=toc
    )
