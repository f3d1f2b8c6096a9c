"""Where reports read from: the records of one suite, and the line that every report begins with: what it was made from."""

from __future__ import annotations

import collections
import contextlib
import gc
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry
from ilbench.compute import caches
from ilbench.display.tables import shown
from ilbench.evaluation.evidence import log_spaced
from ilbench.records import pack, places, store, verified
from ilbench.records.consistency import fits_arrays
from ilbench.records.files import write_atomic
from ilbench.records.index import Index
from ilbench.records.schema import Record
from ilbench.report import convergence, tuning

FOLDERS = places.DEFAULT
NAMED = 5  # problems that are named; the rest are counted
CURVES = ("prefix_cost", "prefix_gap", "eps_t", "prefix_eps")  # what reports read; each may be missing
DEPLOYED = ("snap@", "u_own_t", "u_push_t")  # what else they read: curves of 0-1 deployment, as their names begin


class Found(NamedTuple):
    """Valid records of one suite, and their arrays by record id."""

    suite: str  # name@version
    folder: pathlib.Path
    records: list[Record]
    arrays: Mapping[str, Mapping[str, np.ndarray]]  # the curves that reports read
    problems: int = 0  # files set aside
    place: places.Place | None = None  # where it was read from, and where else there would have been some
    aside: tuple[store.Problem, ...] = ()  # those files and why
    verified: Mapping[str, verified.Line] = {}  # by id: who has gone over it since, where somebody has

    @property
    def tiers(self) -> dict[str, str]:
        """The tier of every record that is more than self-reported, or contradicted, by id."""
        return {id: line.tier for id, line in self.verified.items()}


def suites(folder: pathlib.Path) -> list[str]:
    """The suites, `name@version`, that have records in a folder."""
    return places.suites(folder)


def load(suite: str = "quick", results: str | pathlib.Path | None = None, *, arrays: bool = True, lists: bool = True) -> Found:
    """The records of `quick` (its newest version) or `quick@1`, from where records/places.py says; what is no sound record is
    set aside, counted and named on stderr. Without `arrays` they are checked as ever, and not kept; without `lists` nor are the returns
    and costs of single episodes, which boards do not read: most of a record's memory.

    Raises StoreError when no folder has the suite yet, UnknownName when there is none of that name, and ValueError
    when `results` is no folder.
    """
    place = places.find(suite, results)
    index = Index(place.path, caches.readings(), (pathlib.Path(__file__),), lists=lists)
    with without_collecting():
        records, problems = store.read_all(place.folder, place.suite, index=index)
    kept: dict[str, Mapping[str, np.ndarray]] = {}
    sound = []
    for record in records:
        known = index.curves_of(record) if arrays else None
        if known is not None or (not arrays and index.usable(record)):
            sound.append(record)
            if known is not None:
                kept[record.id] = known
            continue
        whole = True
        try:
            read = store.read_sidecar(place.folder, record)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, store.StoreError) as error:
            read, whole = {}, False
            problems.append(store.Problem(f"{record.id}.safetensors", f"{error}; its curves are in no table"))
        reason = unusable(record, read) or (fits_arrays(record, read) if read else None)
        if reason:
            problems.append(store.Problem(f"{record.id}.json", reason))
            continue
        sound.append(record)
        drawn = {name: value for name, value in read.items() if name in CURVES or name.startswith(DEPLOYED)}
        if whole:
            index.fits(record, drawn if arrays else None)
        if read and arrays:
            kept[record.id] = drawn
    index.save()
    pack.forget(place.path)
    lines, wrong = verified.read(place.path)
    problems += wrong
    _tell(problems)
    standing = verified.standing(lines, sound)
    return Found(place.suite, place.path, sound, kept, len(problems), place, tuple(problems), standing)


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """No search for cycles, of which parsing makes none: with a hundred thousand records it takes as long as the parsing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextlib.contextmanager
def at_rest() -> Iterator[None]:
    """Until it ends no search for cycles goes through what is there now: a hundred thousand records, which hold none."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _tell(problems: Sequence[store.Problem]) -> None:
    """On stderr: how many files were set aside, the first few by name."""
    if not problems:
        return
    print(f"ilbench: {len(problems)} file{'' if len(problems) == 1 else 's'} set aside:", file=sys.stderr)
    for problem in problems[:NAMED]:
        print(f"  {shown(problem.path)}: {shown(problem.reason)}", file=sys.stderr)
    if len(problems) > NAMED:
        print(f"  ... and {len(problems) - NAMED} more (ilbench doctor names them all)", file=sys.stderr)


def unusable(record: Record, arrays: dict[str, Any]) -> str:
    """Why no report can use a sound record: curves of another shape than its horizons say; empty where it can."""
    listed: Any = record.cell.evaluation.get("prefixes") or []
    if not isinstance(listed, list) or not all(isinstance(h, int) for h in listed):
        return f"evaluation.prefixes is {listed!r}; allowed is a list of horizons"
    points = len({*(h for h in listed if h < record.cell.horizon), record.cell.horizon})
    for name in CURVES:
        curve = arrays.get(name)
        if curve is None:
            continue
        if curve.dtype.kind not in "biuf" or not np.isfinite(np.asarray(curve, np.float64)).all():
            if record.status == "ok":
                return f"its curve {name} holds what is no finite number"
        elif name != "eps_t" and (curve.ndim == 0 or curve.shape[-1] != points):
            return f"its curve {name} has the shape {list(curve.shape)} for {points} horizons"
    return _unusable_deployment(record, arrays) if record.status == "ok" else ""


def _unusable_deployment(record: Record, arrays: dict[str, Any]) -> str:
    """Of 0-1 deployment: targets that are no list of numbers, curves that are not finite or of another shape."""
    listed: Any = record.cell.evaluation.get("snap") or []
    if not isinstance(listed, list) or not all(isinstance(e, float) and e > 0 for e in listed):
        return f"evaluation.snap is {listed!r}; allowed is a list of shares of the expert's steps"
    shapes = {f"snap@{e:g}": (4, len(log_spaced(record.cell.horizon))) for e in listed} | {
        "u_own_t": (3, 10),
        "u_push_t": (3, 10),
    }
    for name, shape in shapes.items():
        curve = arrays.get(name)
        if curve is None:
            continue
        if (
            curve.shape != shape
            or curve.dtype.kind not in "biuf"
            or not np.isfinite(np.asarray(curve, np.float64)).all()
        ):
            return f"its curve {name} is no finite numbers of the shape {list(shape)}"
    return ""


# -------------------------------------------------------------------------------------- first line
def first_line(found: Found, folder: str | None = None, declared: bool = True) -> str:
    """What a report was made from: suite, folder, cells, commits, versions; `folder` None: the page lies beside its records."""
    newer = superseded(found.suite)
    name = found.suite + (f" (superseded by {newer})" if newer else "")
    where = "" if folder is None else f" in {folder}"
    cells = _cells(found, declared_cells(found.suite) if declared else None)
    return f"{name}{where}: {'; '.join([*cells, *_statuses(found.records), *_aside(found.problems), *provenance(found.records)])}"


def _cells(found: Found, declared: list[tuple[Any, ...]] | None) -> list[str]:
    """How many cells there are, of how many, and how many that this ilbench declares nowhere (other seeds, other blocks)."""
    n = len(found.records)
    if declared is None:
        return [f"{n:,} cell{'' if n == 1 else 's'}"]
    known = set(declared)
    strange = sum(
        cell_key(r.cell.task.rsplit("@", 1)[0], r.cell, r.cell.budget, r.cell.seed) not in known for r in found.records
    )
    said = [f"{n - strange:,} of {len(declared):,} declared cells"]
    return said + ([f"NOT DECLARED: {strange:,} more (other seeds or settings)"] if strange else [])


def cell_key(task: str, named: Any, labels: int, seed: int) -> tuple[Any, ...]:
    """What tells cells of a suite apart without building their tasks."""
    return task, named.algorithm, named.head, labels, seed


def where(found: Found) -> str:
    """The folder that was read, as a person names it."""
    if found.place is not None and places.is_shipped(found.place.folder):
        return "the records that came with ilbench"
    return found.folder.as_posix()


def elsewhere(found: Found) -> list[str]:
    """What was not read, a line: the same suite in other folders."""
    return [found.place.line()] if found.place is not None and found.place.others else []


def _statuses(records: Iterable[Record]) -> list[str]:
    counted = collections.Counter(r.status for r in records)
    return [f"{counted[name]} {name}" for name in ("diverged", "failed") if counted[name]]


def _aside(problems: int) -> list[str]:
    return [f"{problems} file{'' if problems == 1 else 's'} set aside"] if problems else []


def provenance(records: Sequence[Record]) -> list[str]:
    """Commits, versions and kinds of devices that the records state, and how many of them come from a checkout with changes."""
    if not records:
        return []
    commits = collections.Counter(
        "unknown" if r.provenance.git_sha is None else r.provenance.git_sha[:7] for r in records
    )
    named = [sha for sha, _ in commits.most_common(3)]
    more = f" and {len(commits) - 3} more" if len(commits) > 3 else ""
    out = [f"commit{'' if len(commits) == 1 else 's'} {', '.join(named)}{more}"]
    dirty = sum(r.provenance.git_dirty is True for r in records)
    if dirty:
        out.append(f"DIRTY: {dirty} of {len(records)} from a checkout with uncommitted changes")
    ours = sorted({f"ilbench {r.provenance.ilbench}" for r in records})
    jax = sorted({f"jax {r.provenance.packages['jax']}" for r in records if "jax" in r.provenance.packages})
    kinds = sorted({r.provenance.device for r in records if r.provenance.device})
    on = [f"on {' and '.join(kinds)}"] if len(kinds) > 1 else []  # seconds compare within one of them only
    return [*out, ", ".join([*ours, *jax]), *on]


def _split(suite: str) -> tuple[str, int]:
    stem, _, version = suite.rpartition("@")
    return stem, int(version) if version.isdigit() else 0


def superseded(suite: str) -> str:
    """The newest `name@version` that this ilbench declares or that came with it, where it is newer than the one given."""
    stem, version = _split(suite)
    known = [suite]
    declared = _suite(stem)
    if declared is not None:
        known.append(f"{stem}@{declared.version}")
    ours = places.shipped()
    known += [s for s in places.suites(ours) if _split(s)[0] == stem] if ours is not None else []
    newest = max(known, key=lambda s: _split(s)[1])
    return newest if _split(newest)[1] > version else ""


def current(results: str | pathlib.Path | None = None) -> tuple[list[str], dict[str, str]]:
    """The suites that have records, each in its newest version, and by name why others were left out.

    Left out are suites of which this ilbench declares or ships a newer version, and those that only double another's updates or
    try settings for it.
    """
    there = {name for folder in places.folders(results) for name in places.suites(folder)}
    newest = sorted({places.find(_split(name)[0], results).suite for name in there})
    why = {}
    for name in newest:
        newer = superseded(name)
        if newer:
            why[name] = f"superseded by {newer}"
        elif _split(name)[0].endswith(convergence.DOUBLED):
            why[name] = "updates doubled, for `ilbench convergence`"
        elif _split(name)[0].endswith(tuning.WORD):
            why[name] = "trials of `ilbench tune`, on seeds of their own"
    return [name for name in newest if name not in why], why


def _suite(stem: str) -> Any:
    """The suite of that name as this ilbench declares it; None for a changed or an unknown one."""
    return registry.load("suites", stem).suite() if stem in registry.entries("suites") else None


def declared_cells(suite: str) -> list[tuple[Any, ...]] | None:
    """The cells that this ilbench declares for a suite; None for another version, and for a changed suite."""
    stem, version = _split(suite)
    declared = _suite(stem)
    if declared is None or declared.version != version:
        return None
    return [cell_key(block.task, block, block.budget, seed) for block in declared.blocks for seed in block.seeds]


def write_page(found: Found, name: str, content: str) -> pathlib.Path:
    """Writes a generated page beside the records, whole or not at all, and returns its path."""
    path = found.folder / name
    write_atomic(path, content.encode("utf-8"))
    return path
