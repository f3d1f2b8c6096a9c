"""An algorithm that clones and tampers with what it is charged: the ledger, the budget, what was counted.

Source: none; whatever it tries, the record must say what was bought, or the block must fail.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass

import numpy as np

from ilbench.training import lab as labs
from ilbench.training.lab import Lab
from ilbench.training.rows import rows
from ilbench.types import Trained


def _new_ledger(lab):
    zeros = np.zeros(len(lab.seeds), np.int64)
    lab.ledger = labs.Ledger(zeros, zeros.copy())


def _every_ledger(lab):
    for found in gc.get_objects():
        if isinstance(found, labs.Ledger):
            found.labels[:] = 0


# Each is tried after everything has been bought, and then one more demonstration is asked for ("more": whether that may
# succeed only by theft).
TRICKS = {
    "ledger.labels[:] = 0": lambda lab: lab.ledger.labels.__setitem__(slice(None), 0),
    "ledger.env_steps[:] = 0": lambda lab: lab.ledger.env_steps.__setitem__(slice(None), 0),
    "ledger.labels.fill(-1)": lambda lab: lab.ledger.labels.fill(-1),
    "ledger.labels = zeros": lambda lab: setattr(lab.ledger, "labels", np.zeros(len(lab.seeds), np.int64)),
    "ledger.gradient_steps = 0": lambda lab: setattr(lab.ledger, "gradient_steps", 0),
    "object.__setattr__(ledger)": lambda lab: object.__setattr__(
        lab.ledger, "labels", np.zeros(len(lab.seeds), np.int64)
    ),
    "lab.ledger = new": _new_ledger,
    "object.__setattr__(lab, ledger)": lambda lab: object.__setattr__(
        lab, "ledger", labs.Ledger(*np.zeros((2, len(lab.seeds)), np.int64))
    ),
    "lab.budget = 10**9": lambda lab: setattr(lab, "budget", 10**9),
    "object.__setattr__(lab, budget)": lambda lab: object.__setattr__(lab, "budget", 10**9),
    "lab.seeds = ()": lambda lab: setattr(lab, "seeds", ()),
    "every ledger in memory": _every_ledger,
    "nothing": lambda lab: None,
}


@dataclass(frozen=True)
class Config:
    """What is tried."""

    trick: str = "nothing"
    more: bool = False  # ask for one demonstration beyond the budget afterwards


def train(lab: Lab, config: Config):
    """Behaviour cloning, and the trick."""
    params, losses = lab.fit(rows(lab.demonstrate(lab.episodes)))
    TRICKS[config.trick](lab)
    if config.more:
        lab.demonstrate(1)
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
