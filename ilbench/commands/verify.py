"""`ilbench verify`: do the numbers of a record come again?"""

from __future__ import annotations

import collections
import datetime
import pathlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from ilbench.commands.output import emit, plain, say

if TYPE_CHECKING:
    from ilbench.records.schema import Record

SHOWN = 20  # records of each verdict that are listed; --json has them all
CODES = {"contradicted": 2, "undecided": 1, "impossible": 1, "agrees": 0, "same": 0}


@dataclass(frozen=True)
class Verify:
    """Do the numbers come again? Evaluates a record's stored policy again, or trains its cell again where it has none, and compares.

    At the same keys and on the packages that a record states, bit for bit; on others within an interval paired by episode or seed; at
    fresh seeds by a two-sample test (5 %, Holm). What is found stands in VERIFIED.jsonl beside the records and on the boards.
    Exit code 0: all verified, 1: some could not be, 2: some are contradicted.
    """

    target: Positional[str]
    """Suite (quick@2), record (6 hex digits of its id or more, or its JSON file), or folder of results."""
    by: Literal["auto", "check", "evaluate", "train"] = "auto"
    """check: read only. evaluate: the stored policy. train: the cell again. auto: evaluate where a policy is stored, else train."""
    fresh_seeds: bool = False
    """Seeds that nobody can have known, drawn now, in place of the record's own."""
    sample: int | None = None
    """Verify so many records, drawn now at random, in place of all."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""
    keep: bool = True
    """Write what is found into VERIFIED.jsonl beside the records."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON: counts, and a row per record."""

    def execute(self) -> int:
        """Reads, evaluates or trains, compares, writes VERIFIED.jsonl."""
        if self.sample is not None and self.sample < 1:
            raise ValueError(f"--sample must be at least 1, got {self.sample}")
        if self.by == "check" and self.fresh_seeds:
            raise ValueError("--by check reads only, and --fresh-seeds is about running again; give one of them")
        from ilbench.compute.parallel import setup
        from ilbench.records.store import StoreError
        from ilbench.running import verifying

        chosen, unsound = _sampled(self.target, self.results, self.sample)
        how = None if self.by == "auto" else self.by
        items = []
        for record, folder in chosen:
            try:
                items.append(verifying.item(record, folder, how))
            except StoreError as error:  # arrays that are lost or damaged are this record's own affair
                unsound.append(str(error).removeprefix(f"{folder}/"))
        if self.by != "check":
            setup()
        found = verifying.verify(items, fresh=self.fresh_seeds, say=(lambda text: None) if self.quiet else say)
        if self.keep:
            _keep(found, {record.id: folder / record.suite for record, folder in chosen})
        counts = collections.Counter(f.verdict for f in found)
        rows = [_row(f) for f in found]
        value = {
            "counts": counts,
            "of": len(found),
            "unsound": unsound,
            "fresh_seeds": self.fresh_seeds,
            "records": rows,
        }
        emit(self.json, value, lambda: _show(counts, rows, unsound))
        return max([2 if unsound else 0, *(CODES[str(f.verdict)] for f in found)])


def _chosen(target: str, results: str | None) -> tuple[list[tuple[Record, pathlib.Path]], list[str]]:
    """Records and the folder of results that each lies in, and what is no sound record among them."""
    from ilbench.records import places, store
    from ilbench.running import policies

    path = pathlib.Path(target)
    if path.suffix == ".json":
        return [policies.by_file(path)], []
    if re.fullmatch(r"[0-9a-f]{6,32}", target):
        return [policies.by_id(target, results)], []
    if path.is_dir():
        alone = places.SUITE.fullmatch(path.resolve().name) is not None
        folder, suite = (path.resolve().parent, path.resolve().name) if alone else (path, None)
    else:
        place = places.find(target, results)
        folder, suite = place.folder, place.suite
    records, problems = store.read_all(folder, suite)
    if not records and not problems:
        raise ValueError(
            f"{target!r} holds no records; give a suite, a record's id or JSON file, or a folder of results"
        )
    return [(r, folder) for r in records], [f"{p.path.removeprefix(f'{folder}/')}: {p.reason}" for p in problems]


def _sampled(target: str, results: str | None, n: int | None) -> tuple[list[tuple[Record, pathlib.Path]], list[str]]:
    """Those that are to be verified, in the order of their ids."""
    import random

    chosen, unsound = _chosen(target, results)
    if n is not None and n < len(chosen):
        chosen = random.SystemRandom().sample(chosen, n)
    return sorted(chosen, key=lambda pair: (pair[0].suite, pair[0].id)), unsound


def _keep(found: list[Any], folders: dict[str, pathlib.Path]) -> None:
    """A line for everything that was found of a record, in the file of its suite."""
    from ilbench.records import verified
    from ilbench.records.schema import provenance, scrub

    made, today = provenance(), datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = {
        "ilbench": made.ilbench,
        "python": made.python,
        "commit": (made.git_sha or "unknown")[:12],
        **made.packages,
    }
    by_folder = collections.defaultdict(list)
    for f in found:
        if f.tier is not None and f.record.self_hash is not None:
            line = verified.Line(
                id=f.record.id,
                digest=f.record.self_hash,
                tier=f.tier,
                date=today,
                how=scrub(f.note)[:300],
                versions=versions,
            )
            by_folder[folders[f.record.id]].append(line)
    for folder, lines in by_folder.items():
        verified.add(folder, lines)


def _row(f: Any) -> dict[str, Any]:
    from ilbench.records.schema import scrub

    c = f.record.cell
    named = {
        "id": f.record.id,
        "suite": f.record.suite,
        "task": c.task,
        "algorithm": c.algorithm,
        "head": c.head,
        "seed": c.seed,
    }
    return {**named, "by": f.how, "verdict": f.verdict, "tier": f.tier, "note": scrub(f.note), "p": f.p}


def _show(counts: dict[Any, int], rows: list[dict[str, Any]], unsound: list[str]) -> None:
    """The worst first, and how many of each."""
    for verdict in CODES:
        these = [r for r in rows if r["verdict"] == verdict]
        for r in these[:SHOWN]:
            print(
                plain(
                    f"{verdict}: {r['id'][:12]} {r['task']} {r['algorithm']}/{r['head']} seed {r['seed']}: {r['note']}"
                )
            )
        if len(these) > SHOWN:
            print(f"{verdict}: ... and {len(these) - SHOWN} more (--json has them all)")
    for line in unsound[:SHOWN]:
        print(f"unsound: {plain(line)}")
    said = ", ".join(f"{n} {verdict}" for verdict in CODES if (n := counts.get(verdict, 0)))
    print(f"{len(rows)} records: {said}" + (f"; {len(unsound)} files are no sound records" if unsound else ""))
