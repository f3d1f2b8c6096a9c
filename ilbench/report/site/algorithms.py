"""A page per algorithm: its own words, paper, profile and settings, where it is above and below bc, and the command behind each row."""

from __future__ import annotations

import ast
import io
import pathlib
import shlex
import tokenize
from typing import Any

from ilbench import registry
from ilbench.display.tables import Table, fixed
from ilbench.records import places
from ilbench.report import profile
from ilbench.report.groups import BASELINE
from ilbench.report.site.book import Book
from ilbench.report.site.material import Material, Suite
from ilbench.report.site.sections import section

OWN = "algorithms/{}.html"
WHERE = (
    f"above, below: the 95 % interval of the difference to {BASELINE}, paired by seed, excludes 0. One by one: of many settings one in",
    "twenty does so by chance; the board counts them after Holm.",
)


def settings(entry: registry.Entry) -> list[tuple[str, str, str, str]]:
    """Name, type, default and comment of every field of the algorithm's Config, read from its source; [] where there is none."""
    try:
        source = pathlib.Path(entry.path).read_text(encoding="utf-8")
        tree = ast.parse(source)
        comments = {
            t.start[0]: t.string.lstrip("# ")
            for t in tokenize.generate_tokens(io.StringIO(source).readline)
            if t.type == tokenize.COMMENT
        }
    except (OSError, ValueError, SyntaxError, tokenize.TokenError):
        return []
    config = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Config"), None)
    out = []
    for node in config.body if config is not None else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = "" if node.value is None else ast.unparse(node.value)
            said = comments.get(node.end_lineno or node.lineno, "")
            out.append((f"{entry.id}.{node.target.id}", ast.unparse(node.annotation), default, said))
    return out


def words(entry: registry.Entry) -> list[str]:
    """The paragraphs of the module's docstring."""
    try:
        doc = ast.get_docstring(ast.parse(pathlib.Path(entry.path).read_text(encoding="utf-8"))) or entry.summary
    except (OSError, ValueError, SyntaxError):
        doc = entry.summary
    parts = doc.replace("\nPaper:", "\n\nPaper:").replace("\nSource:", "\n\nSource:").split("\n\n")
    return [" ".join(part.split()) for part in parts]


def command(suite: Suite, algorithm: str, task: str) -> str:
    """What runs the rows of an algorithm on a task again; a comment where no command does."""
    stem, version = places.split(suite.name)
    name = stem.removesuffix("+doubled")
    if "+" in name:
        return f"# {suite.name}: run with --set or --horizons; the settings are in its runs"
    commits = {
        r.provenance.git_sha
        for r in suite.found.records
        if r.cell.algorithm == algorithm and r.cell.task == task.split(" ")[0]
    }
    sha = next(iter(commits)) if len(commits) == 1 else None
    words = ["ilbench", "run", f"{name}@{version}", "--tasks", task.rpartition("@")[0], "--algorithms", algorithm]
    said = shlex.join(words + (["--doubled"] if name != stem else []))
    return f"git checkout {sha[:12]} && {said}" if sha and suite.newer else said


def _verdict(d: dict[str, Any] | None) -> str:
    if d is None or d["lo"] is None:
        return "-"
    return "the same" if d["same"] else "above" if d["lo"] > 0 else "below" if d["hi"] < 0 else "unclear"


def _rows(material: Material, name: str) -> list[tuple[Suite, dict[str, Any]]]:
    return [(s, r) for s in material.suites for r in s.board.rows if r["name"] == name]


def _results(book: Book, path: str, found: list[tuple[Suite, dict[str, Any]]]) -> list[Any]:
    """Where it is above and below the baseline, every row, and the commands."""
    columns = ("task", "H", "labels", "row", "score", f"score - {BASELINE}", f"against {BASELINE}", "seeds")
    out = []
    for suite in dict.fromkeys(s.name for s, _ in found):
        cells = []
        for _, r in (pair for pair in found if pair[0].name == suite):
            d = r["minus_baseline"]
            against = "-" if d is None else "0 (the same)" if d["same"] else fixed(d["mean"], d["lo"], d["hi"])
            score = fixed(r["score"], *r["score_ci"])
            cells.append(
                (
                    r["task"],
                    str(r["horizon"]),
                    f"{r['labels']:,.0f}",
                    r["algorithm"],
                    score,
                    against,
                    _verdict(d),
                    str(r["seeds"]),
                )
            )
        count = {v: sum(c[6] == v for c in cells) for v in ("above", "below", "unclear")}
        said = [
            f"Against {BASELINE}: above on {count['above']}, below on {count['below']}, unclear on {count['unclear']} of {len(cells)} rows."
        ]
        mine = next(s for s, _ in found if s.name == suite)
        tasks = list(dict.fromkeys(r["task"] for s, r in found if s.name == suite))
        code = [command(mine, found[0][1]["name"], task) for task in tasks]
        table = Table(f"Rows in {suite}", columns, cells, (" ".join(WHERE),) if any(count.values()) else ())
        text = said if any(count.values()) else []
        out.append(section(suite, text, [book.table(path, table, suite)], anchor=suite, code=list(dict.fromkeys(code))))
    return out


def write(book: Book, material: Material) -> None:
    """algorithms/index.html and a page for each that is installed."""
    entries = registry.entries("algorithms")
    suites = [s.measured for s in material.suites if not s.newer and "+" not in s.name]
    listed = []
    for name, entry in entries.items():
        path, found, literals = OWN.format(name), _rows(material, name), dict(entry.literals)
        listed.append((name, entry.summary, entry.paper, str(len(found))))
        facts = [
            ("needs", ", ".join(literals.get("NEEDS", ())), ""),
            ("exponent of the cost in H, at fixed eps", str(literals.get("RATE", "")), ""),
        ]
        facts += [("from", entry.distribution or "", "")]
        own = settings(entry)
        table = Table("Settings (--set NAME=VALUE)", ("setting", "type", "default", "what it is"), own)
        sections = [section("What it is good at", tables=[book.table(path, profile.table(name, suites))], anchor="profile")]
        sections += [section(tables=[book.table(path, table)])] if own else []
        book.page(
            path, "page.html", name, heading=name, lines=words(entry), facts=[f for f in facts if f[1]],
            toc=[(s, s) for s in dict.fromkeys(s.name for s, _ in found)],
            sections=[*sections, *_results(book, path, found)] if found else [*sections, section(text=["No row here is of it."])],
        )  # fmt: skip
    table = Table(f"{len(listed)} algorithms", ("algorithm", "what", "source", "rows here"), listed)
    path = OWN.format("index")
    book.page(
        path,
        "page.html",
        "Algorithms",
        heading="Algorithms",
        lines=(),
        sections=[section(tables=[book.table(path, table)])],
    )
