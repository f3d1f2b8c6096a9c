"""Tables per step on the Reset Cliff as the product trains them: behaviour cloning, and DAgger without demonstrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench import registry
from ilbench.algorithms import bc
from ilbench.exact.mdp import Floats
from ilbench.heads import table
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import seed_keys
from ilbench.theory.instances import renewal
from ilbench.training import fit as fitting
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate, rows
from ilbench.types import PyTree


def _lab(recoverable: bool, n: int, horizon: int, states: int, seeds: range) -> Lab:
    name = "reset_cliff_recoverable" if recoverable else "reset_cliff"
    task = registry.task(name, horizon, n=n, states=states)
    head = table.make(task.spec, table.Config(per_step=True, unseen="wrong"))
    return Lab(task, head, tuple(seeds), n * horizon, FitConfig())


def _gaps(params: PyTree, n: int, recoverable: bool) -> Floats:
    """Exact gaps `[S, H]` of trained tables with counts `[S, H, states, A]`."""
    return renewal.gaps(np.asarray(params["counts"]).sum(-1) > 0, n, recoverable=recoverable)


def cloned(n: int, horizon: int, states: int, seeds: range, *, recoverable: bool) -> tuple[Floats, Lab]:
    """Gaps `[S, H]` of `bc` on n demonstrations, and the lab with its ledger."""
    lab = _lab(recoverable, n, horizon, states, seeds)
    policy = bc.train(lab, bc.Config()).policies["last"]
    return _gaps({"counts": np.asarray(policy.params["counts"])[:, 0]}, n, recoverable), lab


def interactive(
    n: int, horizon: int, states: int, seeds: range, say: Callable[[str], None], *, recoverable: bool
) -> tuple[Floats, Lab]:
    """Gaps `[S, H]` after n rounds of one episode of the learner (beta = 0), all labelled, refitted; and the lab."""
    lab = _lab(recoverable, n, horizon, states, seeds)
    params, learner = fitting.init(lab.head, seed_keys("init", lab.seeds)), mixed(lab.task.env.action, horizon)
    parts: list[Any] = []
    for i in range(n):
        if i % 10 == 0:
            say(f"{lab.task.name}, H = {horizon}: round {i + 1} of {n}")
        parts.append(lab.collect(1, lab.same(learner), lab.policy(params)))
        params, _ = lab.fit(rows(concatenate(parts), n * horizon))
    return _gaps(params, n, recoverable), lab
