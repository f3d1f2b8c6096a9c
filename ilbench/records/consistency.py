"""Do the numbers of a record fit each other? A score is recomputed from its episodes and references on every read.

A seal shows that a record was not damaged, not that it is true: anyone can seal. What follows from other numbers of
the same record is therefore never believed, but computed again. Honest records agree to 9e-7 (they are rounded to
seven digits); what cannot be recomputed, the noisy evaluation and the gap on the expert's episodes, is left alone here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ilbench.records.schema import MAX_EPISODES, Record

TOLERANCE = 2e-6  # relative to the largest number that went in; seven digits are good for 5e-7 each
LARGEST = 3.5e38  # of float32, in which rollouts run: nothing that was measured is larger
SEEDS = 2**32  # a seed is one word of a key


def consistent(record: Record) -> str | None:
    """None for a record whose numbers fit each other, else the first that does not, as what was stated and what follows."""
    found = _impossible(record) or _too_large(record)
    if found is None and record.status == "ok":
        found = _episodes(record) or _scores(record)
    return found


def fits_arrays(record: Record, arrays: Mapping[str, np.ndarray]) -> str | None:
    """The same against the record's sidecar: its gap and return are the last of `prefix_gap [P]`, `prefix_return [N, P]`."""
    if record.status != "ok":
        return None
    for score, name in (("gap", "prefix_gap"), ("return", "prefix_return")):
        stated, array = record.scores.get(score), arrays.get(name)
        if stated is None or array is None or array.size == 0:
            continue
        last = np.asarray(array[..., -1], np.float64)
        follows = float(last.mean())
        if not _close(stated, follows, float(np.max(np.abs(last)))):
            return f"states {score} {stated:g}, its array {name} ends at {follows:g}"
    return None


def _close(stated: float, follows: float, scale: float) -> bool:
    return abs(stated - follows) <= TOLERANCE * max(scale, abs(follows), abs(stated))


def _impossible(record: Record) -> str | None:
    """What no run of an ilbench can have made."""
    if record.cell.seed >= SEEDS:
        return f"has the seed {record.cell.seed}; seeds lie in 0 ... {SEEDS - 1}"
    asked, made = record.cell.evaluation.get("episodes"), record.episodes.n
    if record.status == "ok" and isinstance(asked, int) and made not in (0, asked):
        return f"states {made} episodes where its cell asks for {asked}"
    if 0 < made <= MAX_EPISODES and None in (record.episodes.returns, record.episodes.costs):
        return f"keeps no list of its {made} episodes, as every record does up to {MAX_EPISODES}"
    return None


def _too_large(record: Record) -> str | None:
    groups = {"scores": record.scores, **{f"variants.{name}": v for name, v in record.variants.items()}}
    groups |= {"references": {name: r.mean for name, r in record.references.items()}}
    groups |= {"cost": {"compile_s": record.cost.compile_s, "run_s": record.cost.run_s}}
    e = record.episodes
    groups |= {"episodes": {k: getattr(e, k) for k in ("return_mean", "return_sd", "cost_mean", "cost_sd")}}
    for where, values in groups.items():
        for name, value in values.items():
            if value is not None and abs(value) > LARGEST:
                return f"{where}.{name} is {value:g}, beyond float32: no rollout gives that"
    for name, listed in (("returns", e.returns), ("costs", e.costs)):
        if any(v is not None and abs(v) > LARGEST for v in listed or ()):
            return f"episodes.{name} goes beyond float32: no rollout gives that"
    return None


def _mean(values: Sequence[float | None]) -> tuple[float, float, float] | None:
    """(mean, sd, largest) of a list without gaps; None for an empty one or one with gaps."""
    numbers = [v for v in values if v is not None]
    if not numbers or len(numbers) != len(values):
        return None
    mean = math.fsum(numbers) / len(numbers)
    squares = math.fsum((v - mean) ** 2 for v in numbers)
    return mean, math.sqrt(squares / max(1, len(numbers) - 1)), max(map(abs, numbers))


def _episodes(record: Record) -> str | None:
    """Means, spreads and counts of the episodes against their lists, where there are lists."""
    e = record.episodes
    for name, listed, mean, sd in (
        ("return", e.returns, e.return_mean, e.return_sd),
        ("cost", e.costs, e.cost_mean, e.cost_sd),
    ):
        found = _mean(listed) if listed is not None else None
        if found is None:
            continue
        if mean is None or not _close(mean, found[0], found[2]):
            return f"states a mean {name} of {mean}, its episodes give {found[0]:g}"
        if len(listed or ()) > 1 and (sd is None or not _close(sd, found[1], found[2])):
            return f"states a spread of the {name} of {sd}, its episodes give {found[1]:g}"
    failing = sum(c != 0 for c in e.costs) if e.costs is not None else e.n_failing
    if failing != e.n_failing or failing > e.n:
        return f"states {e.n_failing} failing episodes of {e.n}, their costs show {failing}"
    return None


def _scores(record: Record) -> str | None:
    """Return, cost and score against episodes and references, the variants' scores against their returns."""
    e, scores = record.episodes, record.scores
    for name, mean, listed in (("return", e.return_mean, e.returns), ("cost", e.cost_mean, e.costs)):
        stated = scores.get(name)
        if stated is None:
            continue
        if mean is None:
            return f"states {name} {stated:g} without the episodes that give it"
        scale = max((abs(v) for v in listed or () if v is not None), default=0.0)
        if not _close(stated, mean, scale):
            return f"states {name} {stated:g}, its episodes give {mean:g}"
    found = _score("score", scores.get("score"), e.return_mean, record)
    for name, variant in record.variants.items():
        found = found or _score(f"variant {name}: score", variant.get("score"), variant.get("return"), record)
    return found


def _score(what: str, stated: float | None, total: float | None, record: Record) -> str | None:
    """(return - random) / (expert - random), undefined where the expert is no better than chance."""
    if stated is None:
        return None
    ends = [record.references[name].mean if name in record.references else None for name in ("random", "expert")]
    random, expert = ends
    if total is None or random is None or expert is None:
        return f"{what} {stated:g} without the return and the references that give it"
    if expert <= random:
        return f"{what} {stated:g}, but it is undefined: the expert's return {expert:g} is not above chance, {random:g}"
    follows = (total - random) / (expert - random)
    if not _close(stated, follows, (abs(total) + abs(random)) / (expert - random)):
        return f"{what} {stated:g}, its return and references give {follows:g}"
    return None
