"""The generated pages: LEADERBOARD.md, THEORY.md, pictures, SPEED.md, CHECKS.md of the theory, and what README and docs/ show.

`python -m ilbench.report.pages quick results` writes them; a test compares what is committed with what would be written.
"""

from __future__ import annotations

import functools
import pathlib
import re
import sys
from collections.abc import Callable, Sequence

import ilbench
from ilbench import registry
from ilbench.display import tables
from ilbench.names import hint
from ilbench.records.files import write_atomic
from ilbench.report import (
    checks,
    classes,
    compounding_figure,
    compounding_page,
    convergence,
    figures,
    front,
    leaderboard,
    methods,
    source,
    speed,
    theory,
    tuning,
)
from ilbench.running.checks import Ran, short

SNAPPED = "; learners in 0-1 deployment have bounds that are theorems, and a page of their own: `ilbench compounding`"


def render(found: source.Found) -> dict[str, str]:
    """File name -> content, for the folder of the records."""
    board, rows = leaderboard.build(found.records, found.tiers), theory.build(found.records, found.arrays)
    swept, twice = figures.budgets(found.records), doubled(found)
    snapped = compounding_page.build(found.records, found.arrays)
    return {
        "LEADERBOARD.md": leaderboard.page(board, found.suite, source.first_line(found), tuning.beside(found.suite, found.folder.parent)),
        "THEORY.md": theory.page(rows, found.suite, source.first_line(found) + ("" if snapped is None else SNAPPED)),
        "overview.svg": figures.overview(found.records, found.arrays),
        **({} if swept is None else {"scores.svg": swept}),
        **({} if snapped is None else compounding_pages(snapped, found)),
        **({} if not twice else {"CONVERGENCE.md": convergence.page(twice, found.suite)}),
    }


def compounding_pages(page: compounding_page.Page, found: source.Found) -> dict[str, str]:
    """COMPOUNDING.md and its picture."""
    drawn = compounding_figure.draw([r for r in page.rows if r.target == page.target])
    return {"COMPOUNDING.md": compounding_page.markdown_page(page, found.suite, source.first_line(found)), "compounding.svg": drawn}


def doubled(found: source.Found) -> list[convergence.Row]:
    """The suite's rows of `ilbench convergence`, where the records with twice the updates lie beside its own; else none."""
    stem, _, version = found.suite.partition("@")
    name = f"{stem}{convergence.DOUBLED}@{version}"
    if name not in source.suites(found.folder.parent):
        return []
    return convergence.build(found.records, source.load(name, found.folder.parent).records)


def blocks(found: source.Found) -> dict[str, Callable[[], str]]:
    """What stands between the markers of the README and of docs/, by name; nothing is read or computed before it is asked for."""
    folder = found.folder.parent
    first = source.first_line(found, f"results/{found.suite}")
    swept = functools.cache(lambda: theory.build(found.records, found.arrays))
    checked = functools.cache(lambda: checks.load(folder))
    repaired = functools.cache(lambda: source.load("repairs", folder))
    snapped = functools.cache(lambda: source.load("compounding", folder))

    @functools.cache
    def page() -> compounding_page.Page:
        made = compounding_page.build(snapped().records, snapped().arrays)
        assert made is not None
        return made

    def lines() -> str:
        return f"{source.first_line(snapped(), f'results/{snapped().suite}')}\n\n{compounding_page.summary(page())}"

    def sided() -> str:
        cloned = source.load("expressivity", folder)
        said = tables.text(classes.tables(leaderboard.build(cloned.records, cloned.tiers).rows), classes.WIDTH)
        return f"{source.first_line(cloned, f'results/{cloned.suite}')}\n\n{said}"

    made = {
        "theory": lambda: fenced(theory.text(swept(), first)),
        "leaderboard": lambda: fenced(leaderboard.text(leaderboard.build(found.records, found.tiers), first)),
        "convergence": lambda: fenced(convergence.text(doubled(found), found.suite)),
        "checks": lambda: fenced(checks.overview(checked())),
        "speed": lambda: fenced(speed.text(speed.load(folder))),
        "compounding": lambda: fenced(lines()),
        "answers": lambda: front.answers(page(), (repaired().records, repaired().suite), swept(), checked()),
        "classes": lambda: fenced(sided()),
        "board": lambda: fenced(front.board(found.records)),
        "closed-forms": lambda: fenced(front.closed_forms(swept())),
        "methods": lambda: methods.table(repaired().records),
    }
    drawn = [path.name for path in (folder / checks.FOLDER).glob("*.svg")]
    return made | {name: functools.partial(_verdict, checked, name, drawn) for name in map(short, registry.entries("checks"))}


def _verdict(checked: Callable[[], list[Ran]], name: str, drawn: Sequence[str]) -> str:
    return front.verdict(next(ran for ran in checked() if ran.short == name), drawn)


def fenced(text: str) -> str:
    """Text as it stands, in Markdown."""
    return f"```\n{text}\n```"


MARKED = re.compile(r"(<!-- ([\w-]+):begin -->\n).*?(<!-- \2:end -->)", re.S)


def fill(text: str, found: source.Found) -> str:
    """The text with what stands between its markers replaced by what the commands print; raises ValueError for a name that is none."""
    made = blocks(found)

    def filled(m: re.Match[str]) -> str:
        if m[2] not in made:
            raise ValueError(f"no block is called {m[2]!r}{hint(m[2], made)}")
        return f"{m[1]}{made[m[2]]()}\n{m[3]}"

    return MARKED.sub(filled, text)


def own_pages() -> list[pathlib.Path]:
    """README.md and docs/*.md of this project's checkout where that is the current folder; none anywhere else: they are somebody else's."""
    root = pathlib.Path(ilbench.__file__).resolve().parent.parent
    here = root == pathlib.Path.cwd().resolve() and (root / "pyproject.toml").is_file()
    return [path for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if here and path.is_file()]


def main() -> None:
    """Writes the pages of a suite, and README and docs/ of this project's checkout, which show quick."""
    suite, folder = sys.argv[1:3] if len(sys.argv) > 2 else ("quick", "results")
    found = source.load(suite, folder)
    for name, content in render(found).items():
        print(source.write_page(found, name, content))
    if (pathlib.Path(folder) / checks.FOLDER).is_dir():
        print(checks.save(checks.load(pathlib.Path(folder)), pathlib.Path(folder)))
    if (pathlib.Path(folder) / speed.FOLDER).is_dir():
        print(speed.save(speed.load(pathlib.Path(folder)), pathlib.Path(folder)))
    for page in own_pages() if suite == "quick" else ():
        write_atomic(page, fill(page.read_text(encoding="utf-8"), found).encode("utf-8"))
        print(page.name)


if __name__ == "__main__":
    main()
