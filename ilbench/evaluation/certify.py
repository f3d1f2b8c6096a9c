"""A certificate: how far behind its expert a policy can fall when deployed, from held-out expert demonstrations alone.

    gap <= B3 <= B2 <= {B1, B0}, for the 0-1 cost, and for the return where the task declares a reward range.

Every limit is one-sided at the level asked for and holds at every n, for any law of the demonstrations: the unit is the
trajectory, and ilbench/stats/bounded.py bets on bounded means. For B3 the statistic is one number per trajectory,
sum_t (1 - w_t); B2 limits the cumulative errors at 16 steps at once and B1 the error of all H steps at once, both by
Bonferroni. Discrete actions as they are; continuous ones for the sigma-smoothed pair, in which expert and learner
both execute N(., sigma^2 I): the certificate is about that pair, and about nothing else.
`deploy=True` then rolls the learner out on fresh episodes and says whether the limit held and how tight it was.

Source: B0 is Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html; B2, B3 and the pair: ilbench/evaluation/coupling.py.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ilbench.display.tables import Table, number
from ilbench.display.tables import text as render
from ilbench.evaluation import coupling
from ilbench.evaluation.evidence import log_spaced
from ilbench.exact import bounds
from ilbench.stats import bounded
from ilbench.types import Discrete, Policy, Task

GRID = 16  # steps at which B2's cumulative errors are limited at once; the steps between take the next one's
OUTCOMES = {  # of a deployed gap and its limits, against the certificate's upper limit
    "held": "the gap's own upper limit is no larger",
    "consistent": "the measured gap is no larger, its upper limit is",
    "undecided": "the measured gap is larger, its lower limit is not",
    "exceeded": "the gap's lower limit is larger",
}
FORMULAS = {
    "path": "sum_t TV(first t steps)",
    "B3": "sum_t (1 - E w_t)",
    "B2": "sum_t min(1, sum_{i<=t} eps_i)",
    "B1": "eps_max H(H+1)/2",
    "B0": "H^2 eps_bar",
}


@dataclass(frozen=True)
class Rung:
    """One bound: an estimate, its upper limit at the certificate's level, and what that is worth."""

    of: str  # "0-1 cost" or "return gap"
    bound: str  # a name in FORMULAS
    formula: str
    estimate: float
    upper: float  # the certificate: the gap is at most this
    trivial: float  # the largest gap possible
    vacuity: float  # upper / trivial
    verdict: str  # "certified", or "vacuous" where the limit is no smaller than the largest gap possible
    gap: float | None = None  # measured in deployment
    gap_lower: float | None = None
    gap_upper: float | None = None
    tightness: float | None = None  # gap / estimate
    outcome: str | None = None  # one of OUTCOMES


@dataclass(frozen=True)
class Certificate:
    """All rungs of one policy; the first of each kind that is certified is the one to quote."""

    task: str
    policy: str
    horizon: int
    sigma: float | None
    episodes: int
    level: float
    expert_return: float
    faultless: float  # share of demonstrations on which the learner would never have done otherwise (E w_H)
    deployed: int  # episodes of deployment, 0 without
    rungs: tuple[Rung, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    def text(self, width: int | None = None, full: bool = False) -> str:
        """The certificate as a table for a terminal of `width` columns (None: any); `full`: every column."""
        return render([_table(self)], width, full)

    @property
    def exceeded(self) -> bool:
        """Whether a deployed gap lies above a certified limit: at most 1 - level of certificates may."""
        return any(r.outcome == "exceeded" for r in self.rungs)


# ------------------------------------------------------------------------------------ before compute
def check(task: Task, sigma: float | None, episodes: int, level: float = 0.95) -> None:
    """Raises ValueError, before any compute, when no certificate can be made, and says why."""
    coupling.check_sigma(task, sigma)
    if episodes < 2:
        raise ValueError(f"episodes must be at least 2, got {episodes}")
    if not 0.5 <= level < 1:
        raise ValueError(f"level must lie in [0.5, 1), got {level}; 0.95 is usual")
    if coupling.random_expert(task):
        raise ValueError(
            f"{task.name} has a stochastic expert: two draws of it differ, so a sampled label is no yes or no. A certificate "
            "needs its action probabilities; take a task whose expert is deterministic"
        )


# ------------------------------------------------------------------------------------------- the limits
def _limits(paths: coupling.Paths, level: float) -> dict[str, tuple[float, float]]:
    """`{bound: (estimate, upper limit)}` in units of a step, from ingredients `[N, H]`."""
    H, eps, alpha = paths.differs.shape[1], paths.differs.mean(0), 1 - level
    grid = log_spaced(H, GRID)
    after = np.cumsum(paths.differs, axis=1)[:, grid - 1]
    cumulative = bounded.upper_limit(after, grid.astype(float), 1 - alpha / len(grid))
    # Cumulative errors grow with t, so the limit of the next step on the grid limits the steps before it too.
    each = np.minimum(1.0, cumulative[np.searchsorted(grid, np.arange(1, H + 1))])
    worst = float(np.max(bounded.upper_limit(paths.differs, 1.0, 1 - alpha / H)))
    total = paths.differs.sum(1)
    return {
        "path": (float(paths.apart.sum(1).mean()), bounded.upper_limit(paths.apart.sum(1), float(H), level)),
        "B3": (float(paths.failed.sum(1).mean()), bounded.upper_limit(paths.failed.sum(1), float(H), level)),
        "B2": (float(bounds.b2(eps)), float(each.sum())),
        "B1": (float(bounds.b1(eps)), worst * H * (H + 1) / 2),
        "B0": (float(bounds.b0(eps)), H * bounded.upper_limit(total, float(H), level)),
    }


def _rungs(of: str, paths: coupling.Paths, names: tuple[str, ...], scale: float, level: float) -> list[Rung]:
    trivial = scale * paths.differs.shape[1]
    out = []
    for name, (estimate, upper) in _limits(paths, level).items():
        if name in names:
            verdict = "vacuous" if scale * upper >= trivial * (1 - 1e-9) else "certified"
            vacuity = scale * upper / trivial
            out.append(Rung(of, name, FORMULAS[name], scale * estimate, scale * upper, trivial, vacuity, verdict))
    return out


def _width(task: Task) -> float | None:
    return None if task.reward_range is None else float(task.reward_range[1] - task.reward_range[0])


# ---------------------------------------------------------------------------------------- deployment
def _deployed(rung: Rung, gap: float, low: float, high: float) -> Rung:
    wide = "consistent" if gap <= rung.upper else "undecided"
    outcome = "exceeded" if low > rung.upper else "held" if high <= rung.upper else wide
    tightness = gap / rung.estimate if rung.estimate > 0 else None
    return dataclasses.replace(rung, gap=gap, gap_lower=low, gap_upper=high, tightness=tightness, outcome=outcome)


def _sides(x: np.ndarray, top: float, level: float) -> tuple[float, float]:
    return bounded.lower_limit(x, top, level), bounded.upper_limit(x, top, level)


def _gaps(
    task: Task, expert: coupling.Side, learner: coupling.Side, level: float
) -> dict[str, tuple[float, float, float]]:
    """`{of: (gap, lower, upper)}` of one seed's deployment; one-sided limits, each at `level` and for every n."""
    H = task.horizon
    cost = coupling.costs(learner)[0].sum(1)
    out = {"0-1 cost": (float(cost.mean()), *_sides(cost, float(H), level))}
    width = _width(task)
    if width is not None:
        # The same episodes (keys) for both: what luck they share is not in the difference.
        most = H * width
        difference = np.clip((expert.reward - learner.reward)[0].sum(1), -most, most)
        low, high = _sides(difference + most, 2 * most, level)
        out["return gap"] = (float(difference.mean()), low - most, high - most)
    return out


def certify(
    task: Task,
    policy: Policy,
    *,
    sigma: float | None = None,
    episodes: int = 256,
    deploy: bool = False,
    level: float = 0.95,
    label: str = "policy",
) -> Certificate:
    """The certificate of a policy with leaves `[1, M, ...]` from `episodes` held-out expert demonstrations.

    Raises ValueError before any compute: sigma missing (continuous) or superfluous (discrete), a stochastic expert,
    numbers out of range. Rows are at `level` each, not together.
    """
    check(task, sigma, episodes, level)

    def side(who: str, stream: str) -> coupling.Side:
        return coupling.side(task, policy, (0,), episodes, f"certify/{stream}/{task.name}", who=who, sigma=sigma)

    held_out = side("expert", "held-out")
    cost = coupling.Paths(*(x[0] for x in coupling.paths(held_out, falls=True)))
    rungs = _rungs("0-1 cost", cost, ("B3", "B2", "B1", "B0"), 1.0, level)
    width = _width(task)
    if width is not None:
        returns = coupling.Paths(*(x[0] for x in coupling.paths(held_out, falls=False)))
        names = ("B3", "B2", "B1", "B0") if sigma is None else ("path", "B3", "B2", "B1", "B0")
        rungs = [*_rungs("return gap", returns, names, width, level), *rungs]
    if deploy:
        gaps = _gaps(task, side("expert", "deploy"), side("learner", "deploy"), level)
        rungs = [_deployed(r, *gaps[r.of]) for r in rungs]
    return Certificate(
        task.name, label, task.horizon, sigma, episodes, level, float(held_out.reward[0].sum(1).mean()),
        float(1 - cost.failed[:, -1].mean()), episodes if deploy else 0, tuple(rungs), _notes(task, sigma, level, held_out, rungs),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------- text
def _notes(task: Task, sigma: float | None, level: float, expert: coupling.Side, rungs: list[Rung]) -> tuple[str, ...]:
    notes = [
        f"at most: upper limit, each row at {level:.0%} on its own, one-sided, valid for every n and law; share: of the largest"
    ]
    if sigma is not None:
        notes.append(
            f"about the smoothed pair only: expert and learner both execute N(., {sigma:g}^2); mistakes are total variations"
        )
    if task.reward_range is None:
        notes.append(f"no row for the return: {task.name} declares no reward range, and an observed one proves nothing")
    elif not isinstance(task.env.action, Discrete):
        notes.append("path: about returns only; itself at most B3, limits need not be in order")
    fallen = 1 - float(expert.alive[..., -1].mean())
    if fallen > 0:
        notes.append(
            f"the expert falls in {fallen:.1%} of the demonstrations; steps after a fall count as mistakes (0-1 cost)"
        )
    if all(r.verdict == "vacuous" for r in rungs):
        notes.append("nothing is certified: every limit reaches the largest gap possible")
    return tuple(notes)


def _outcomes(c: Certificate) -> tuple[str, ...]:
    seen = [name for name in OUTCOMES if any(r.outcome == name for r in c.rungs)]
    return (
        f"deployed: {c.deployed} fresh episodes, one-sided {c.level:.0%} limits on either side, valid for every n",
        *(f"{name}: {OUTCOMES[name]}" for name in seen),
    )


def _table(c: Certificate) -> Table:
    columns: tuple[str, ...] = ("gap in", "bound", "formula", "estimate", "at most", "largest", "share", "verdict")
    if c.deployed:
        columns += ("deployed", "gap/estimate", "outcome")
    rows = []
    for r in c.rungs:
        numbers = tuple(number(x) for x in (r.estimate, r.upper, r.trivial, r.vacuity))
        cells: tuple[str, ...] = (r.of, r.bound, r.formula, *numbers, r.verdict)
        if c.deployed:
            gap = f"{number(r.gap)} [{number(r.gap_lower)}, {number(r.gap_upper)}]"
            cells += (gap, number(r.tightness), r.outcome or "-")
        rows.append(cells)
    smooth = "" if c.sigma is None else f", sigma = {c.sigma:g}"
    title = f"{c.task}, H = {c.horizon}{smooth}: {c.policy}"
    first = (
        f"{c.episodes} held-out demonstrations, expert return {number(c.expert_return)}; no mistake in all H steps: "
        f"{number(c.faultless)} (E w_H)"
    )
    deployed = _outcomes(c) if c.deployed else ()
    return Table(
        title, columns, rows, (first, *c.notes, *deployed), ("formula", "gap/estimate", "largest", "estimate", "share")
    )
