"""A page per suite: every pair of algorithms, paired by seed."""

from __future__ import annotations

from ilbench.report import pairs
from ilbench.report.site.boards import inside
from ilbench.report.site.book import Book, suite_path
from ilbench.report.site.material import Suite
from ilbench.report.site.sections import section

NOTES = (
    "Within a seed the settings that both ran on are averaged, then the difference is taken: all algorithms start evaluation from the",
    "same states. p: two-sided, Holm over the pairs of this table. The interval is for one pair alone, so that it may exclude 0 where p",
    "is above .05.",
)
ALONE = ("p: Holm over the settings of the pair.",)


def write(book: Book, suite: Suite) -> None:
    """compare.html of a suite."""
    path = suite_path(suite.name, "compare")
    over, alone = pairs.overall(suite.groups), pairs.each(suite.groups)
    sections = []
    if over:
        sections.append(
            section(
                tables=[
                    book.table(
                        path, pairs.table("Over all settings that both ran on", over, (" ".join(NOTES),)), suite.name
                    )
                ]
            )
        )
    if len(alone) > len(over):
        sections.append(section(tables=[book.table(path, pairs.table("Setting by setting", alone, ALONE), suite.name)]))
    book.page(
        path, "page.html", f"{suite.name}: compare", heading=f"{suite.name}: pair by pair", suite=suite.name, inside=inside(suite),
        lines=() if over else ("No two rows of this suite share a setting.",), sections=sections,
    )  # fmt: skip
