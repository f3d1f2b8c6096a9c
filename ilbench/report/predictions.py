"""Which closed form speaks about which cells: the expected cost at horizon H, for the task cost and the 0-1 cost apart.

Sources: THEORY in each form's docstring (ilbench/exact/closed_forms.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench.exact import closed_forms as forms

Form = Callable[[int], float]
TASK, ZERO_ONE = "task", "0-1"


def _dialled(task: str, config: dict[str, Any]) -> dict[str, Form]:
    """On the two-state chains; coverage and schedule decide which form."""
    eps, own = config["dialled.eps"], config["dialled.coverage"] == "own"
    if config["dialled.schedule"] == "disjoint" and not own and task in ("cliff", "recoverable"):
        states = max(1, round(1 / eps)) if eps else 1
        return dict.fromkeys((TASK, ZERO_ONE), lambda h: float(forms.disjoint(eps, h, states)))
    if config["dialled.schedule"] == "first" and not own and task in ("cliff", "recoverable"):
        return dict.fromkeys((TASK, ZERO_ONE), lambda h: float(min(1.0, eps * h) * h))
    if config["dialled.schedule"] == "copy" and own and task == "recoverable":
        return dict.fromkeys((TASK, ZERO_ONE), lambda h: float(forms.copy_chain(eps, h)))
    if config["dialled.schedule"] != "iid":
        return {}

    def rate(h: int) -> float:
        return float(forms.recoverable_dagger(eps, h))

    def fall(h: int) -> float:
        return float(forms.cliff(eps, h))

    table: dict[tuple[str, bool], dict[str, Form]] = {
        ("cliff", False): {TASK: fall, ZERO_ONE: fall},
        ("cliff", True): {TASK: fall, ZERO_ONE: rate},
        ("recoverable", False): {TASK: fall, ZERO_ONE: fall},
        ("recoverable", True): {TASK: rate, ZERO_ONE: rate},
        ("stable", False): {TASK: lambda h: float(forms.stable_bc(eps, h))},
    }
    return table.get((task, own), {})


def _reset_cliff(horizon: int, budget: int, config: dict[str, Any]) -> dict[str, Form]:
    """Per-step-table behaviour cloning from n demonstrations, with the law of states that belongs to n."""
    from ilbench import registry

    if not config.get("table.per_step"):
        return {}
    task = registry.task(
        "reset_cliff", horizon, **{k.split(".", 1)[1]: v for k, v in config.items() if k.startswith("task.")}
    )
    assert task.mdp is not None
    mdp, demonstrations = task.mdp(), budget // horizon
    good = mdp.rho[:-1]  # the last state is the fall
    wrong = {"wrong": 1.0, "uniform": 1 - 1 / mdp.R.shape[1]}.get(config["table.unseen"])
    if wrong is None:
        return {}
    return {TASK: lambda h: float(np.asarray(forms.reset_cliff(h, good, demonstrations, wrong)))}


def predict(task: str, algorithm: str, horizon: int, budget: int, config: dict[str, Any]) -> dict[str, Form]:
    """`{"task": H -> cost, "0-1": H -> cost}` for the costs that a closed form is known for; empty for other cells."""
    if algorithm == "dialled":
        return _dialled(task, config)
    if task == "reset_cliff" and algorithm == "bc":
        return _reset_cliff(horizon, budget, config)
    return {}
