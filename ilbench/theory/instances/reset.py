"""Reset Cliff with and without parameter sharing: expected values over the training set, and tables trained by the product.

Always-wrong rule for unseen states. One table per step: the sets seen at different steps are independent, so
E prod (1 - e_t) = prod (1 - E e_t). One table for all steps: every step has the same error e = q K, where K is how many
of the m = S - 2 rare states, of mass q each, are missing from the N H draws of N demonstrations:
P(K = k) = C(m, k) sum_j (-1)^j C(m - k, j) (1 - (k + j) q)^(N H), by inclusion and exclusion (the common state is missing
with probability (m q)^(N H), 0 in float64). The worst instance of a table moves with its data: q = 1/(N + 1) without
sharing, q = 1/(N H + 1) with it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.exact.mdp import MDP
from ilbench.heads import table
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.training.rows import rows
from ilbench.types import Policy, Task

STATES, N, HORIZONS = 12, 100, (5, 14, 40)


class Costs(NamedTuple):
    """Expected over the training set; `[K]`, or `[S, K]` of trained tables."""

    dense: Any  # gap with reward 1 per good step, R = H
    sparse: Any  # gap with one reward of 1 for not having fallen, R = 1: also 1 - E w_H
    eps: Any  # errors per step on the expert's states
    own: Any  # errors per step on the learner's states


def missing_law(m: int, q: float, draws: int) -> np.ndarray:
    """P(K = k) `[m + 1]`: how many of m states of mass q are missing from `draws` draws; m q <= 1."""
    miss = np.exp(draws * np.log1p(-np.minimum(q * np.arange(m + 1), 1 - 1e-15)))
    return np.array(
        [
            math.comb(m, k) * sum((-1) ** j * math.comb(m - k, j) * miss[k + j] for j in range(m - k + 1))
            for k in range(m + 1)
        ]
    )


def expected(horizon: int, n: int, *, shared: bool, states: int = STATES, wrong: float = 1.0) -> Costs:
    """Expected costs at one horizon; `wrong`: the chance that the rule for unseen states errs, drawn at every step.

    `own` counts every step in the absorbing state as a mistake, so it is the learner's 0-1 cost for wrong = 1 only.
    """
    m, draws = states - 2, n * horizon if shared else n
    q = 1 / (draws + 1)
    law, e = missing_law(m, q, draws), wrong * q * np.arange(m + 1)
    if not shared:
        law, e = np.ones(1), np.array([float(law @ e)])
    dense = float(law @ cf.cliff(e, horizon))
    sparse = float(law @ -np.expm1(horizon * np.log1p(-e)))
    return Costs(dense, sparse, float(law @ e), dense / horizon)


def expected_curves(horizons: Any, n: int, *, shared: bool, wrong: float = 1.0) -> Costs:
    """Expected costs `[K]`."""
    return Costs(*np.array([expected(int(h), n, shared=shared, wrong=wrong) for h in horizons]).T)


def by_dp(horizon: int, n: int, *, shared: bool, states: int = STATES) -> Costs:
    """The same expected costs by dynamic programming: over the mean policy, or over the law of the missing states."""
    task = registry.task("reset_cliff", horizon, n=n * horizon if shared else n, states=states)
    assert task.mdp is not None
    mdp, m = task.mdp(), states - 2
    expert, rho = np.asarray(task.ask().params, np.int64), task.mdp().rho
    if shared:
        law = missing_law(m, float(rho[0]), n * horizon)
        errors = [np.append(np.arange(states - 1) < k, True).astype(float) for k in range(m + 1)]
    else:
        law, errors = np.ones(1), [np.append((1 - rho[:-1]) ** n, 1.0)]
    each = [_population(mdp, dp.erring_policy(expert, error, mdp.R.shape[1]), expert, horizon) for error in errors]
    return Costs(*(float(x) for x in law @ np.array(each)))


def _population(mdp: MDP, policy: Any, expert: Any, horizon: int) -> tuple[float, float, float, float]:
    alive = dp.rewards(mdp, policy, horizon)  # reward 1 exactly while it has not fallen
    errors, own = (f(mdp, policy, expert, horizon) for f in (dp.expert_errors, dp.expected_mistakes))
    return horizon - float(alive.sum()), 1 - float(alive[-1]), float(errors.mean()), float(own.mean())


def trained(horizon: int, seeds: range, *, shared: bool, n: int = N) -> tuple[Task, Policy]:
    """Behaviour cloning of the product: N demonstrations and the counting head, one table or one per step."""
    task = registry.task("reset_cliff", horizon, n=n * horizon if shared else n, states=STATES)
    head = table.make(task.spec, table.Config(per_step=not shared, unseen="wrong"))
    lab = Lab(task, head, tuple(seeds), n * horizon, FitConfig())
    params, _ = lab.fit(rows(lab.demonstrate(n)))
    return task, lab.policy(params)


def tables(policy: Policy) -> np.ndarray:
    """The deployed actions `[S, H or 1, states]` of trained tables."""
    counts, unseen = (np.asarray(policy.params[k])[:, 0] for k in ("counts", "unseen"))
    return np.where(counts.sum(-1) > 0, counts.argmax(-1), unseen[:, : counts.shape[1]]).astype(np.int64)


def evaluated(task: Task, policy: Policy) -> Costs:
    """Population costs `[S]` of trained tables by dynamic programming."""
    assert task.mdp is not None
    mdp, expert = task.mdp(), np.asarray(task.ask().params, np.int64)
    each = [_population(mdp, a[0] if len(a) == 1 else a, expert, task.horizon) for a in tables(policy)]
    return Costs(*np.array(each).T)


def trained_curves(seeds: range, *, shared: bool) -> Costs:
    """Population costs `[S, K]` of tables trained at every horizon of `HORIZONS`."""
    each = [evaluated(*trained(h, seeds, shared=shared)) for h in HORIZONS]
    return Costs(*(np.stack(term, -1) for term in zip(*each, strict=True)))
