"""Runs checks of the theory: finds them by name, measures the modes asked for, and judges all claims as one report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ilbench import registry
from ilbench.registry import Entry
from ilbench.running.progress import reporter
from ilbench.stats.claims import Claim, Mode, Result, failed, judge

MODES: tuple[Mode, ...] = ("exact", "monte-carlo")


@dataclass(frozen=True)
class Ran:
    """One check with its judged claims, and what its plot shows."""

    id: str
    statement: str
    source: str
    claims: tuple[Claim, ...]
    data: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)  # wall seconds by mode, compiling included
    error: str | None = None  # of a check that broke: a bug, never a verdict

    @property
    def short(self) -> str:
        """`T01`, or the id of a check without a number."""
        return short(self.id)

    @property
    def failed(self) -> bool:
        """Whether it broke, or a claim came out against what is expected."""
        return self.error is not None or bool(failed(self.claims))

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints for it: everything but the plot's numbers."""
        return {
            "id": self.id,
            "statement": self.statement,
            "source": self.source,
            "claims": [c.as_json() for c in self.claims],
            "seconds": self.seconds,
            "error": self.error,
        }


def short(name: str) -> str:
    """`t01_pdl_identity` -> `T01`; a name without a number stays what it is."""
    head = name.split("_", 1)[0]
    return head.upper() if head[:1] == "t" and head[1:].isdigit() else name


def words(entry: Entry) -> tuple[str, ...]:
    """What else a check is found by: the literal WORDS of its file; several checks may have the same word."""
    return tuple(dict(entry.literals).get("WORDS", ()))


def _names(entry: Entry) -> set[str]:
    return {entry.id, short(entry.id), short(entry.id).lower(), entry.id.split("_", 1)[-1], *words(entry)}


def known() -> set[str]:
    """Every name that `select` takes."""
    return {name for entry in registry.entries("checks").values() for name in _names(entry)}


def select(names: Sequence[str]) -> list[Entry]:
    """Checks by id, number (`T05`), name without number (`exponent_budget`) or one of their words (`chunk`); all of them for no names.

    Raises UnknownName with the close matches.
    """
    every = dict(sorted(registry.entries("checks").items(), key=lambda item: (short(item[0]) == item[0], item[0])))
    if not names:
        return list(every.values())
    out = []
    for name in names:
        found = [entry for entry in every.values() if name in _names(entry)]
        if not found:
            raise registry.unknown("checks", name, sorted({n for e in every.values() for n in (e.id, short(e.id), *words(e))}))
        out += [entry for entry in found if entry not in out]
    return out


def _measure(entry: Entry, mode: Mode, say: Any) -> tuple[Result, float, str | None]:
    started = time.perf_counter()
    try:
        result, error = registry.load("checks", entry.id).measure(mode, say), None
    except Exception as broken:  # one broken check must not cost the others; it is named and the exit code says so
        result, error = Result(()), f"{mode}: {type(broken).__name__}: {broken}"
    return result, round(time.perf_counter() - started, 2), error


def run(names: Sequence[str] = (), modes: Sequence[Mode] = MODES, *, quiet: bool = True) -> list[Ran]:
    """Measures the checks and judges every claim of the report together (Holm); exact parts come first.

    A check that breaks is reported with its error and the others still run. Raises UnknownName.
    """
    entries = select(names)
    work = [(e, m) for m in modes for e in entries if m in dict(e.literals).get("MODES", MODES)]
    parts: dict[str, list[Result]] = {e.id: [] for e in entries}
    seconds: dict[str, dict[str, float]] = {e.id: {} for e in entries}
    errors: dict[str, list[str]] = {e.id: [] for e in entries}
    with reporter(len(work), quiet, "checks") as (counter, show):
        for entry, mode in work:
            at = f"{short(entry.id)} {mode}"
            show(at)
            result, took, error = _measure(entry, mode, lambda text, at=at: show(f"{at}: {text}"))
            parts[entry.id].append(result)
            seconds[entry.id][mode] = took
            if error:
                errors[entry.id].append(error)
                counter.failed += 1
            else:
                counter.done += 1
        show("finished")
    claims = iter(judge([c for e in entries for r in parts[e.id] for c in r.claims]))
    return [
        Ran(
            e.id,
            e.summary,
            e.paper,
            tuple(next(claims) for r in parts[e.id] for _ in r.claims),
            {k: v for r in parts[e.id] for k, v in r.data.items()},
            seconds[e.id],
            "; ".join(errors[e.id]) or None,
        )
        for e in entries
    ]


def figure(ran: Ran) -> Any:
    """The check's picture as a Matplotlib figure, or None where it has no numbers to show."""
    from ilbench.display import style

    if not ran.data:
        return None
    canvas = style.figure()
    registry.load("checks", ran.id).plot(Result(ran.claims, ran.data), canvas)
    return canvas


def from_json(stored: dict[str, Any], data: dict[str, Any]) -> Ran:
    """A check as `as_json` wrote it; raises ValueError for fields that are not a claim's."""
    try:
        claims = tuple(
            Claim(**{**c, "interval": None if c["interval"] is None else tuple(c["interval"])})
            for c in stored["claims"]
        )
        return Ran(
            stored["id"], stored["statement"], stored["source"], claims, data, stored["seconds"], stored["error"]
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a stored check: {error}") from error


def worst(ran: Sequence[Ran]) -> int:
    """Exit code of a report: 3 if anything failed, else 0."""
    return 3 if any(r.failed for r in ran) else 0
