"""Where the records of a suite are read from: the one rule, in a file that imports neither JAX nor pandas.

    --results FOLDER given        --> that folder, and no other (`shipped`: the records that came with ilbench)
    else, of runs/, results/ and the shipped records, those that hold the newest version of the suite that any of them holds:
    the first that holds as many records of it as any other --> so that a few cells in runs/ do not hide a whole suite

What else there was is returned as well, so that whoever prints can say what was not read.
"""

from __future__ import annotations

import functools
import pathlib
import re
from dataclasses import dataclass, replace

import ilbench

DEFAULT = ("runs", "results")  # under the current folder, in this order
SHIPPED = "shipped"  # what --results takes for the records that came with ilbench
PACK = "records.jsonl.gz"  # a finished suite in one file, a record a line; single files may lie beside it
SUITE = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}@[0-9]{1,9}")
_RECORD = re.compile(r"[0-9a-f]{32}\.json")


@dataclass(frozen=True)
class Place:
    """One suite in one folder, and where else it is."""

    suite: str  # name@version
    folder: pathlib.Path  # holds suites, e.g. runs; the records are in folder / suite
    count: int  # records in it by their file names or lines; whether they are sound is the reader's to say
    others: tuple[Place, ...] = ()  # the same suite elsewhere, any version, best first; their own `others` are empty

    @property
    def path(self) -> pathlib.Path:
        """The suite's own folder."""
        return self.folder / self.suite

    def name(self) -> str:
        """`runs/quick@2`, and for the shipped records, whose path is nobody's business, `quick@2 as shipped`."""
        return f"{self.suite} as shipped" if is_shipped(self.folder) else self.path.as_posix()

    def line(self) -> str:
        """One line: what was read, and what was not and how to read that."""
        also = "; ".join(
            f"not read: {o.name()}, {_records(o.count)} (--results {SHIPPED if is_shipped(o.folder) else o.folder})"
            for o in self.others
        )
        return f"{self.name()}: {_records(self.count)}" + (f"; {also}" if also else "")


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


@functools.cache
def shipped() -> pathlib.Path | None:
    """The records that came with this ilbench: inside the installed package, or results/ of its checkout; None without."""
    package = pathlib.Path(ilbench.__file__).resolve().parent
    checkout = package.parent / "results" if (package.parent / "pyproject.toml").is_file() else None
    return next((f for f in (package / "results", checkout) if f is not None and f.is_dir()), None)


def is_shipped(folder: pathlib.Path) -> bool:
    """Whether a folder is that of the shipped records and not below the current one, where it has a name of its own."""
    ours = shipped()
    if ours is None or folder.resolve() != ours:
        return False
    return not ours.is_relative_to(pathlib.Path.cwd())


def folders(results: str | pathlib.Path | None = None) -> list[pathlib.Path]:
    """The folders that are looked into, in order: the one given, or runs/, results/ and the shipped records.

    Raises ValueError for one given that is no folder.
    """
    ours = shipped()
    if results is not None:
        given = pathlib.Path(results)
        if given.is_dir():
            return [given]
        if str(results) == SHIPPED and ours is not None:
            return [ours]
        raise ValueError(
            f"--results {str(results)!r} is not a folder; give the folder of records, e.g. runs or results, "
            f"or {SHIPPED!r} for those that came with ilbench"
        )
    found = [pathlib.Path(name) for name in DEFAULT]
    if ours is not None and ours not in [folder.resolve() for folder in found]:
        found.append(ours)
    return found


def suites(folder: pathlib.Path) -> list[str]:
    """The suites, `name@version`, that have records in a folder: single files, a pack, or both; [] without the folder."""
    here = (p.parent for name in ("records", PACK) for p in folder.glob(f"*@*/{name}"))
    return sorted({p.name for p in here if SUITE.fullmatch(p.name)})


def count(path: pathlib.Path) -> int:
    """How many records a suite's folder holds; one that is packed and a file as well counts once."""
    singles = {
        p.stem for p in path.glob("records/??/*.json") if _RECORD.fullmatch(p.name) and p.name[:2] == p.parent.name
    }
    if not (path / PACK).is_file():
        return len(singles)
    from ilbench.records import pack  # it imports NumPy, which a board that is not there does without

    return len(singles | pack.ids(path))


def split(suite: str) -> tuple[str, int | None]:
    """`quick@2` -> ("quick", 2), `quick` -> ("quick", None)."""
    stem, at, version = suite.rpartition("@")
    return (stem, int(version)) if at and version.isdigit() else (suite, None)


def find(suite: str, results: str | pathlib.Path | None = None) -> Place:
    """The place of `quick` (the newest version there is) or `quick@1`, by the rule above.

    Raises ValueError when `results` is no folder, UnknownName for a suite that cannot have records, and StoreError for one
    that was not run yet.
    """
    stem, version = split(suite)
    looked = folders(results)
    there = [(name, folder) for folder in looked for name in suites(folder) if split(name)[0] == stem]
    named = [split(name)[1] for name, _ in there]
    wanted = version if version is not None else max((v for v in named if v is not None), default=None)
    candidates = [Place(name, folder, count(folder / name)) for name, folder in there]
    same = [place for place in candidates if split(place.suite)[1] == wanted]
    if not same:
        raise _absent(suite, looked)
    best = max(same, key=lambda place: place.count)  # the first of those with as many
    rest = sorted((p for p in candidates if p is not best), key=lambda p: (-(split(p.suite)[1] or 0), -p.count))
    return replace(best, others=tuple(rest))


def _absent(suite: str, looked: list[pathlib.Path]) -> Exception:
    """The error for a suite without records: one that cannot have any is a wrong name, any other is yet to be run."""
    from ilbench import registry
    from ilbench.records import store

    have = sorted({s for folder in looked for s in suites(folder)})
    where = " or ".join("the shipped records" if is_shipped(f) else f"{f}/" for f in looked)
    stem, version = split(suite)
    declared = stem.removesuffix("+custom")
    others = [s for s in have if split(s)[0] == stem]
    if declared not in registry.entries("suites"):
        return registry.unknown("suites", suite, sorted({*registry.entries("suites"), *have}))
    if version is not None and others:
        return registry.UnknownName(f"no records of {suite!r} in {where}; of this suite there are: {', '.join(others)}")
    changed = " with --set or --horizons" if declared != stem else ""
    there = f"; there are: {', '.join(have)}" if have else ""
    return store.StoreError(
        f"no records of suite {suite!r} in {where}{there}; run `ilbench run {declared}`{changed} first"
    )
