"""Where the numbers of a suite come from: commits, versions and devices, what diverged or failed and why, every run as CSV."""

from __future__ import annotations

import collections
from typing import Any

from ilbench.display.tables import Table
from ilbench.records.schema import Record, canonical
from ilbench.records.verified import CONTRADICTED, TIERS, Line
from ilbench.report.site.boards import inside
from ilbench.report.site.book import Book, as_csv, suite_path
from ilbench.report.site.material import Material, Suite
from ilbench.report.site.sections import section

LISTED = 200  # runs that diverged or failed and are shown one by one; the CSV has all


def _made(r: Record) -> tuple[str, ...]:
    """What runs of one making share."""
    p = r.provenance
    packages = ", ".join(f"{name} {p.packages[name]}" for name in ("jax", "brax", "numpy") if name in p.packages)
    dirty = {None: "unknown", False: "clean", True: "CHANGED"}[p.git_dirty]
    device = "unknown" if p.device is None else f"{p.devices or '?'} x {p.device}, block {p.block or '?'}"
    more = "; ".join(f"{k} {v}" for k, v in sorted({**p.settings, **p.distributions}.items()))
    return (p.git_sha or "unknown")[:12], dirty, p.ilbench, p.python, packages, device, p.precision or "-", more


COLUMNS = ("runs", "commit", "checkout", "ilbench", "Python", "packages", "device", "precision", "settings")


def _row(r: Record, line: Line | None) -> list[Any]:
    c, p = r.cell, r.provenance
    tier, date = (TIERS[0], None) if line is None else (line.tier, line.date)
    return [
        r.id, c.task, c.algorithm, c.head, c.horizon, c.budget, c.seed, r.status, r.reason, r.scores.get("score"), r.cost.labels,
        r.cost.gradient_steps, r.cost.run_s, r.cost.compile_s, p.git_sha, p.packages.get("jax"), p.device, canonical(c.config), tier, date,
    ]  # fmt: skip


HEADER = (
    "id", "task", "algorithm", "head", "horizon", "budget", "seed", "status", "reason", "score", "labels", "gradient steps", "run s",
    "compile s", "commit", "jax", "device", "config", "tier", "verified on",
)  # fmt: skip


def _verified(suite: Suite) -> Table | None:
    """How many runs others went over, when and by what, and each that was contradicted; None where nobody has."""
    lines = suite.found.verified
    if not lines:
        return None

    def by(line: Line) -> tuple[str, str, str]:
        known = ("ilbench", "commit", "jax", "brax", "numpy")
        return line.tier, line.date, ", ".join(f"{name} {line.versions[name]}" for name in known if name in line.versions)

    rows = [(f"{n:,}", *what) for what, n in sorted(collections.Counter(map(by, lines.values())).items())]
    rest = len(suite.found.records) - len(lines)
    rows += [(f"{rest:,}", TIERS[0], "-", "-")] if rest else []
    bad = [line for line in lines.values() if line.tier == CONTRADICTED]
    notes = tuple(f"Contradicted: {line.id}: {line.how}" for line in bad[:LISTED])
    said = "A tier is of a record as it was: one that changes is self-reported again. ilbench verify goes over them."
    return Table("Verified", ("runs", "tier", "on", "by"), rows, (said, *notes))


def _lasted(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def write(book: Book, suite: Suite, material: Material) -> None:
    """runs.html of a suite."""
    path, records = suite_path(suite.name, "runs"), suite.found.records
    made = collections.Counter(map(_made, records))
    table = Table("Made by", COLUMNS, [(f"{n:,}", *what) for what, n in made.most_common()])
    bad = [r for r in records if r.status != "ok"]
    columns = ("task", "algorithm", "head", "horizon", "labels", "seed", "status", "reason", "run")
    rows = [
        (
            r.cell.task,
            r.cell.algorithm,
            r.cell.head,
            str(r.cell.horizon),
            f"{r.cell.budget:,}",
            str(r.cell.seed),
            r.status,
            r.reason or "",
            r.id,
        )
        for r in bad[:LISTED]
    ]
    tables = [table, *([went] if (went := _verified(suite)) is not None else [])]
    sections = [section(tables=[book.table(path, t, suite.name) for t in tables])]
    if rows:
        title = f"{len(bad)} runs that diverged or failed" + (f", the first {LISTED}" if len(bad) > LISTED else "")
        sections.append(section(tables=[book.table(path, Table(title, columns, rows), suite.name)]))
    file = suite_path(suite.name, "all-runs").removesuffix(".html") + ".csv"
    book.files[file] = as_csv(HEADER, [_row(r, suite.found.verified.get(r.id)) for r in records])
    sections.append(section(more=(file, f"All {len(records):,} runs (CSV)")))
    seconds = sum(r.cost.run_s or 0.0 for r in records)
    lines = [
        suite.line,
        f"{len(records):,} records, digest {suite.digest}; {_lasted(seconds)} of running, compiling apart.",
    ]
    lines += ["No run diverged or failed."] if records and not bad else []
    lines += ["Records name no machine and no person; they hold no date, so that the same run leaves the same record."]
    book.page(
        path, "page.html", f"{suite.name}: runs", heading=f"{suite.name}: where the numbers come from", suite=suite.name,
        inside=inside(suite), lines=lines, sections=sections, aside=[a for a in material.aside if a.place.startswith(f"{suite.name}/")],
    )  # fmt: skip
