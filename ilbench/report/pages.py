"""The generated pages: LEADERBOARD.md, THEORY.md and pictures of a suite, SPEED.md, CHECKS.md of the theory, the README's tables.

`python -m ilbench.report.pages quick results` writes them; a test compares what is committed with what would be written.
"""

from __future__ import annotations

import pathlib
import re
import sys

import ilbench
from ilbench.records.files import write_atomic
from ilbench.report import (
    checks,
    compounding_figure,
    compounding_page,
    convergence,
    figures,
    leaderboard,
    source,
    speed,
    theory,
)

SNAPPED = "; learners in 0-1 deployment have bounds that are theorems, and a page of their own: `ilbench compounding`"


def render(found: source.Found) -> dict[str, str]:
    """File name -> content, for the folder of the records."""
    board, rows = leaderboard.build(found.records, found.tiers), theory.build(found.records, found.arrays)
    swept, twice = figures.budgets(found.records), doubled(found)
    snapped = compounding_page.build(found.records, found.arrays)
    return {
        "LEADERBOARD.md": leaderboard.page(board, found.suite, source.first_line(found)),
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


def _compounding(folder: pathlib.Path) -> str:
    """What the records of the suite compounding say, a line for each robot."""
    found = source.load("compounding", folder)
    page = compounding_page.build(found.records, found.arrays)
    assert page is not None
    return f"{source.first_line(found, f'results/{found.suite}')}\n\n{compounding_page.summary(page)}"


def readme(text: str, found: source.Found) -> str:
    """The README with the blocks between its markers replaced by what the commands print."""
    folder = found.folder.parent
    first = source.first_line(found, f"results/{found.suite}")
    blocks = {
        "theory": lambda: theory.text(theory.build(found.records, found.arrays), first),
        "leaderboard": lambda: leaderboard.text(leaderboard.build(found.records, found.tiers), first),
        "convergence": lambda: convergence.text(doubled(found), found.suite),
        "checks": lambda: checks.overview(checks.load(folder)),
        "speed": lambda: speed.text(speed.load(folder)),
        "compounding": lambda: _compounding(folder),
    }
    for name, content in blocks.items():
        marked = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.S)
        if marked.search(text):
            shown = f"```\n{content()}\n```\n"
            text = marked.sub(lambda m, shown=shown: f"{m[1]}{shown}{m[2]}", text)  # type: ignore[misc]
    return text


def own_readme() -> pathlib.Path | None:
    """README.md of this project's checkout where that is the current folder; None anywhere else: it is somebody else's."""
    root = pathlib.Path(ilbench.__file__).resolve().parent.parent
    here = root == pathlib.Path.cwd().resolve() and (root / "pyproject.toml").is_file()
    return root / "README.md" if here and (root / "README.md").is_file() else None


def main() -> None:
    """Writes the pages of a suite, and the README of this project's checkout where it shows that suite."""
    suite, folder = sys.argv[1:3] if len(sys.argv) > 2 else ("quick", "results")
    found = source.load(suite, folder)
    for name, content in render(found).items():
        print(source.write_page(found, name, content))
    if (pathlib.Path(folder) / checks.FOLDER).is_dir():
        print(checks.save(checks.load(pathlib.Path(folder)), pathlib.Path(folder)))
    if (pathlib.Path(folder) / speed.FOLDER).is_dir():
        print(speed.save(speed.load(pathlib.Path(folder)), pathlib.Path(folder)))
    page = own_readme()
    if page is not None and suite == "quick":
        write_atomic(page, readme(page.read_text(encoding="utf-8"), found).encode("utf-8"))
        print(page.name)


if __name__ == "__main__":
    main()
