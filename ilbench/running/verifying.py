"""Records verified: their policy evaluated again, or their cell trained again, by this ilbench on this machine.

    at the same keys    bit for bit on the packages that the record states: any other number contradicts it. On other packages the
                        episodes are paired (evaluated), or the seeds of a row (trained), Student's t
    at fresh seeds      two samples of episodes (evaluated), or of seeds (trained), by permutation

Every p-value is corrected by Holm over all tests of the call, and contradicts below ALPHA. A test that could not have contradicted,
because of too few seeds or too many records, is no verification. Fresh seeds are drawn when it runs: nobody can have known them.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ilbench import stats
from ilbench.compute import process
from ilbench.evaluation.evaluate import Session, evaluate, reference_returns
from ilbench.records import store
from ilbench.records.consistency import fits_arrays
from ilbench.records.schema import Record, cell_id, make_record, provenance, summarise_episodes
from ilbench.records.shipped import but_for_seed
from ilbench.rollouts.keys import SEEDS
from ilbench.running import plan, policies, subject
from ilbench.running.plan import Block
from ilbench.running.work import Work, run_block
from ilbench.stats.permutation import two_samples
from ilbench.training.deployed import untrained

ALPHA = 0.05  # of a contradiction, after Holm over the records of a call
RESAMPLES = 20_000  # of a test by permutation, or more where there are many
FEW = 5  # seeds of a row below which nothing is said of it
SAME = ("jax", "jaxlib", "brax", "mujoco", "mujoco-mjx", "flax", "optax", "numpy")  # packages that decide bits
Verdict = Literal["same", "agrees", "contradicted", "undecided", "impossible"]
How = Literal["check", "evaluate", "train"]
TIER = {"check": "checked", "evaluate": "re-evaluated", "train": "reproduced"}
Say = Callable[[str], None]


class Item(NamedTuple):
    """A record, the folder of results that it lies in, its arrays, and what is done with it."""

    record: Record
    folder: Any
    arrays: Mapping[str, np.ndarray]
    how: How


class Finding(NamedTuple):
    """What was found of one record: a verdict, or a p-value that Holm's correction is still to be made of."""

    record: Record
    how: How
    verdict: Verdict | None
    note: str
    p: float | None = None
    least: float = 0.0  # that p could have been
    test: str = ""  # names the test: records of a row share one

    @property
    def tier(self) -> str | None:
        """What the record is from now on; None: what it was."""
        if self.verdict == "contradicted":
            return "contradicted"
        return TIER[self.how] if self.verdict in ("same", "agrees") else None


def item(record: Record, folder: Any, how: How | None = None) -> Item:
    """What is done with a record: its policy is evaluated where it has one, else its cell trained; raises StoreError for lost arrays."""
    arrays = store.read_sidecar(folder, record)
    stored = any(name.startswith(policies.PREFIX) for name in arrays)
    return Item(record, folder, arrays, how or ("evaluate" if stored else "train"))


def verify(items: Sequence[Item], *, fresh: bool = False, say: Say = lambda text: None) -> list[Finding]:
    """What is found of every item, in their order; one that cannot be verified here is named and costs no other."""
    found: dict[str, Finding] = {}
    unfit = {i.record.id: why for i in items if (why := fits_arrays(i.record, i.arrays) if i.arrays else None)}
    todo = sorted(
        (i for i in items if i.record.id not in unfit), key=lambda i: (i.record.cell.task, i.record.cell.horizon)
    )
    rows: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for i in items:
        if (why := unfit.get(i.record.id)) is not None:
            found[i.record.id] = Finding(i.record, i.how, "contradicted", why)
    for i in todo:
        rows[i.how, but_for_seed(i.record.cell)].append(i)
    # A p-value that survives Holm over all of them must be possible; 0: at the records' own keys, nothing is drawn.
    resamples = max(RESAMPLES, math.ceil(2 * len(items) / ALPHA)) if fresh else 0
    session, doing = Session(), {"check": _checked, "evaluate": _evaluated, "train": _trained}
    for done, these in enumerate(rows.values(), 1):
        first = these[0].record
        say(
            f"{done} of {len(rows)}: {first.cell.task} {first.cell.algorithm}/{first.cell.head}, {len(these)} records, {these[0].how}"
        )
        try:
            again = doing[these[0].how](these, resamples, session)
        except (ValueError, store.StoreError) as error:
            again = [Finding(i.record, i.how, "impossible", str(error)) for i in these]
        found |= {f.record.id: f for f in again}
    return _judged([found[i.record.id] for i in items])


def _judged(found: list[Finding]) -> list[Finding]:
    """The findings with every p-value closed, Holm over all tests that were made."""
    tests = {f.test: f.p for f in found if f.verdict is None and f.p is not None}
    adjusted = dict(zip(tests, stats.holm(list(tests.values())), strict=True)) if tests else {}
    out = []
    for f in found:
        if f.verdict is None:
            p, weak = float(adjusted[f.test]), f.least * len(tests) >= ALPHA
            verdict: Verdict = "contradicted" if p < ALPHA else "undecided" if weak else "agrees"
            said = f"{f.note}; p = {p:.3g} (Holm over {len(tests)})" + ("; too few for any verdict" if weak else "")
            f = f._replace(verdict=verdict, note=said)
        out.append(f)
    return out


# ------------------------------------------------------------------------------------------- what is done
def _checked(these: list[Item], resamples: int, session: Session) -> list[Finding]:
    """What reading has shown: id, seal, score from its episodes, arrays."""
    return [Finding(i.record, i.how, "same", "id, seal, scores and arrays, computed again") for i in these]


def _plan(record: Record, seeds: tuple[int, ...]) -> plan.Plan:
    """The record's cell as this ilbench makes it; ValueError that names what is another here."""
    if record.status == "failed":
        raise ValueError(f"it failed: {record.reason}")
    c = record.cell
    name = policies.spelled(c.task.rsplit("@", 1)[0])
    block = Block(name, c.algorithm, c.head, c.budget, c.horizon, seeds, c.config, subject.of_record(record))
    made = plan.resolve(block)
    ours = plan.cells(dataclasses.replace(made, block=dataclasses.replace(block, seeds=(c.seed,))))[c.seed]
    if cell_id(ours) != record.id:
        mine, its = ours.model_dump(), c.model_dump()
        other = [k for k in its | mine if mine.get(k) != its.get(k)]
        raise ValueError(f"this ilbench makes another cell of it: {', '.join(other)} differ")
    return made


def _evaluated(these: list[Item], resamples: int, session: Session) -> list[Finding]:
    """Each stored policy rolled out at its own keys, or at those of a fresh seed."""
    out = []
    for i in these:
        if i.record.status != "ok":
            out.append(
                Finding(i.record, i.how, "impossible", f"it {i.record.status}: there is no score to evaluate again")
            )
            continue
        try:
            out.append(_one(i, resamples, session))
        except (ValueError, store.StoreError) as error:
            out.append(Finding(i.record, i.how, "impossible", str(error)))
    return out


def _one(i: Item, resamples: int, session: Session) -> Finding:
    record = i.record
    made, loaded = _plan(record, (record.cell.seed,)), policies.read(record, i.arrays)
    protocol = subject.bare(subject.of_record(record))
    seeds = (_fresh({record.cell.seed}, 1)[0] if resamples else record.cell.seed,)
    judged = evaluate(
        made.task, loaded.policy, protocol, seeds, session, beside=untrained(made.head, seeds), deployed=False
    )
    assert judged.learner.reward is not None
    returns = np.asarray(judged.learner.reward[0], np.float64).sum(-1)
    if resamples:
        return _two(i, _listed(record), returns, resamples, f"{protocol.episodes} episodes of seed {seeds[0]}")
    values = _rounded({k: v for k, v in judged.values[0].items() if np.ndim(v) == 0})
    again = make_record(
        record.cell,
        record.suite,
        status="ok",
        scores=values,
        episodes=summarise_episodes(returns, judged.costs[0]),
        references=reference_returns(made.task, protocol, untrained(made.head, seeds), session),
    )
    both = {k for k in values if values[k] is not None and record.scores.get(k) is not None}
    other = [f"scores.{k}" for k in sorted(both) if values[k] != record.scores[k]]
    other += [k for k in ("episodes", "references") if getattr(again, k) != getattr(record, k)]
    if not other:
        return Finding(
            record, i.how, "same", f"bit for bit: {protocol.episodes} episodes, {len(both)} scores, references"
        )
    if same_making(record):
        return Finding(record, i.how, "contradicted", _otherwise(other))
    old = _listed(record)
    found = stats.paired_difference(returns, old)
    note = f"other packages; return again minus stated, {len(old)} episodes paired: {_limits(*found[:3])}"
    return Finding(record, i.how, None, note, found[3], test=record.id)


def _rounded(values: Mapping[str, Any]) -> dict[str, float | None]:
    return {k: float(f"{float(v):.7g}") if v is not None and np.isfinite(v) else None for k, v in values.items()}


def _trained(these: list[Item], resamples: int, session: Session) -> list[Finding]:
    """A row's cells trained again at their own seeds, or as many at fresh ones."""
    first = these[0].record
    own = tuple(sorted(i.record.cell.seed for i in these))
    if resamples and len(own) < FEW:
        why = f"{len(own)} records of the row are too few to compare with fresh seeds: {FEW} are needed"
        return [Finding(i.record, i.how, "undecided", why) for i in these]
    seeds = _fresh(set(own), len(own)) if resamples else own
    made = _plan(first, seeds)
    ids = {seed: cell_id(cell) for seed, cell in plan.cells(made).items()}
    done = run_block(Work(made.block, ids, first.suite, made.label), session)
    again = {record.cell.seed: (record, arrays) for record, arrays in done.results}
    if resamples:
        return _rows(these, [r for r, _ in again.values()], resamples, f"{len(seeds)} fresh seeds from {min(seeds)} on")
    out, other = [], []
    for i in these:
        record, arrays = again[i.record.cell.seed]
        differ = _differences(i, record, arrays)
        if not differ:
            out.append(Finding(i.record, i.how, "same", "bit for bit, trained again"))
        elif same_making(i.record):
            out.append(Finding(i.record, i.how, "contradicted", _otherwise(differ)))
        else:
            other.append((i, record))
    return out + (_paired(other) if other else [])


def _differences(i: Item, again: Record, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """What a cell's second run says otherwise, but for times and versions: names of fields and arrays."""
    left: Any = {"provenance": True, "self_hash": True, "sidecar": True, "cost": {"compile_s", "run_s", "shared_s"}}
    mine, its = again.model_dump(exclude=left), i.record.model_dump(exclude=left)
    out = [k for k in its if mine[k] != its[k]]
    old = {k: v for k, v in i.arrays.items() if not k.startswith(policies.PREFIX)}
    same = set(old) == set(arrays) and all(
        old[k].dtype == np.asarray(arrays[k]).dtype and np.array_equal(old[k], arrays[k]) for k in old
    )
    return out if same else [*out, "arrays"]


# ------------------------------------------------------------------------------------------------- tests
def same_making(record: Record) -> bool:
    """Whether the record was made by these packages on such a device: then its bits must come again."""
    its, here = record.provenance, provenance(settings=process.settings())
    packages = all(its.packages.get(name) == here.packages.get(name) for name in SAME)
    precision = str(jax.config.values.get("jax_default_matmul_precision") or "default")
    return packages and (its.device, its.precision, its.settings) == (
        jax.devices()[0].device_kind,
        precision,
        here.settings,
    )


def _fresh(not_these: set[int], n: int) -> tuple[int, ...]:
    found: set[int] = set()
    while len(found) < n:
        found |= {secrets.randbelow(SEEDS)} - not_these
    return tuple(sorted(found))


def _listed(record: Record) -> np.ndarray:
    """Returns of the record's episodes `[N]`; ValueError where they were not kept, or are not finite."""
    listed = record.episodes.returns
    if not listed or len(listed) < 2 or any(x is None for x in listed):
        raise ValueError("it keeps no list of finite returns, two or more, to test against")
    return np.array(listed, np.float64)


def _scores(records: Sequence[Record]) -> np.ndarray:
    """Mean returns `[S]`; a diverged seed's is NaN."""
    found = (None if r.status == "diverged" else r.scores.get("return") for r in records)
    return np.array([math.nan if x is None else x for x in found], np.float64)


def _two(i: Item, old: np.ndarray, new: np.ndarray, resamples: int, what: str) -> Finding:
    found = two_samples(old, new, resamples=resamples)
    note = f"{what}; return stated minus again, {len(old)} and {len(new)} episodes: {_limits(found.mean, found.lo, found.hi)}"
    return Finding(i.record, i.how, None, note, found.p, found.least, i.record.id)


def _rows(these: list[Item], again: list[Record], resamples: int, what: str) -> list[Finding]:
    """A row of seeds against as many fresh ones: one test, which is of every record in it."""
    old, new = _scores([i.record for i in these]), _scores(again)
    if min(len(old), len(new)) < FEW or not (np.isfinite(old).all() and np.isfinite(new).all()):
        lost = [int(np.count_nonzero(~np.isfinite(x))) for x in (old, new)]
        why = f"{len(old)} seeds, of which {lost[0]} diverged, and {lost[1]} of the fresh ones"
        return [Finding(i.record, i.how, "undecided", f"{what}; {why}: {FEW} that did not are needed") for i in these]
    found = two_samples(old, new, resamples=resamples)
    note = f"{what}; mean return stated minus again, {len(old)} and {len(new)} seeds: {_limits(found.mean, found.lo, found.hi)}"
    return [Finding(i.record, i.how, None, note, found.p, found.least, these[0].record.id) for i in these]


def _paired(other: list[tuple[Item, Record]]) -> list[Finding]:
    """Seeds of a row on other packages: training drifts apart, so that it is the row which is compared."""
    old, new = _scores([i.record for i, _ in other]), _scores([r for _, r in other])
    if len(old) < FEW or not (np.isfinite(old).all() and np.isfinite(new).all()):
        note = f"other packages and other bits; {len(old)} seeds of the row are too few to say more: {FEW} that did not diverge are needed"
        return [Finding(i.record, i.how, "undecided", note) for i, _ in other]
    mean, lo, hi, p = stats.paired_difference(new, old)
    note = f"other packages; mean return again minus stated, {len(old)} seeds paired: {_limits(mean, lo, hi)}"
    return [Finding(i.record, i.how, None, note, p, test=other[0][0].record.id) for i, _ in other]


def _limits(mean: float, lo: float, hi: float) -> str:
    return f"{mean:.4g} [{lo:.4g}, {hi:.4g}]"


def _otherwise(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"the same packages give other numbers: {', '.join(names[:4])}{more}"
