"""Policy classes under one protocol: which hold an expert that takes one of several ways, and which are precise where that is hard.

Every head clones the same demonstrations of the same seeds with as many gradient steps of the same optimiser, whatever it costs.

    modes  two_modes, fork, ways_3, and fork_one, the fork's deterministic twin: averaging two ways is fatal but on the last
    objectives  two_modes, also with modes so near that their mean is best; other divergences than bc's forward KL, by heads that
               have a likelihood
    factorial  peg, its twin with an expert of one way, and that with a wide slot: heads of Pan et al. 2025 side by side, and
               z = 0, a draw, or a mean of draws where a flow starts
    amplification  fork_one and hopper, 0-1 deployment at .01 and 3e-3 of the expert's steps: does a richer class lower eps, A(H)
               or both?

Ten seeds. The heads that draw deploy draws; `gaussian` and `mixture` deploy their likeliest action unless it says sample=true.
"""

from __future__ import annotations

from typing import Any

from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite

NEAR = {"task.half": 0.15}  # modes so close that the mean of both is the best action
MODES: tuple[tuple[str, int, int, dict[str, Any]], ...] = (("two_modes", 500, 1, {}),)
DIVERGENCES = ("reverse_kl", "jensen_shannon", "total_variation", "chi_squared")
Heads = dict[str, tuple[str, dict[str, Any]]]  # how the row is called here -> head, settings beside its defaults
SEEDS = tuple(range(10))
FIT: dict[str, Any] = {"fit.updates": 10_000, "fit.batch": 128, "fit.learning_rate": 1e-3}
DRAWS = {"policy.sample": True}
CLASSES: Heads = {
    "regression": ("mse", {}),
    "gaussian": ("gaussian", {}),
    "mixture": ("mixture", {}),
    "bins": ("bins", {}),
    "autoregressive": ("autoregressive", {}),
    "cvae": ("cvae", {}),
    "energy": ("energy", {"energy.negatives": 16}),
    "diffusion": ("diffusion", {}),
    "flow": ("flow", {"flow.start": "normal"}),
    "shortcut": ("shortcut", {"shortcut.start": "normal"}),
    "mip": ("mip", {}),
}
NOISING: Heads = {
    "regression": ("mse", {}),
    "straight flow": ("straight_flow", {}),
    "residual": ("residual", {}),
    "tsd": ("tsd", {}),
    "mip, paper": ("mip", {}),
    "mip, released": ("mip", {"mip.form": "released"}),
    "flow, z = 0": ("flow", {}),
    "flow, draw": ("flow", {"flow.start": "normal"}),
    "flow, mean": ("flow", {"flow.start": "mean"}),
    "gaussian": ("gaussian", {}),
    "mixture": ("mixture", {}),
    "diffusion": ("diffusion", {}),
}
FEWER: Heads = {name: own for name, own in NOISING.items() if own[0] not in ("gaussian", "mixture", "diffusion")}
ROBOT: Heads = {
    "regression": ("mse", {}),
    "gaussian": ("gaussian", {}),
    "mixture": ("mixture", {}),
    "bins": ("bins", {}),
    "mip": ("mip", {}),
    "flow": ("flow", {}),
    "diffusion": ("diffusion", {"diffusion.start": "zero"}),  # 0-1 deployment compares one action with the expert's
}


def _blocks(
    task: str, labels: int, horizon: int, heads: Heads, config: dict[str, Any], protocol: Protocol
) -> tuple[Block, ...]:
    return tuple(
        Block(
            task, "bc", head, labels, horizon=horizon, seeds=SEEDS, config={**FIT, **own, **config}, protocol=protocol
        )
        for head, own in heads.values()
    )


def suite() -> Suite:
    """By question."""
    drawn: Heads = {
        name: (head, {**own, **(DRAWS if head in ("gaussian", "mixture", "bins", "autoregressive") else {})})
        for name, (head, own) in CLASSES.items()
    }
    many, some = Protocol(episodes=256, held_out=256), Protocol(episodes=128, held_out=64)
    snapped_fork = Protocol(episodes=256, held_out=256, snap=(0.01,), calibration=256)
    short = {"fit.updates": 5_000}
    cheap = {name: own for name, own in drawn.items() if name != "energy"}  # whose fit costs ten times the others'
    modes = [
        block
        for task, labels, horizon, heads, protocol in (
            ("two_modes", 500, 1, cheap, many),
            ("fork", 1_600, 16, drawn, many),
            ("fork_one", 1_600, 16, cheap, snapped_fork),
            ("ways_3", 1_000, 10, cheap, many),
        )
        for block in _blocks(task, labels, horizon, heads, short, protocol)
    ]
    pegs = [
        block
        for task in ("peg", "peg_one", "peg_easy_one")
        for block in _blocks(task, 10_000, 100, NOISING if "easy" not in task else FEWER, {}, some)
    ]
    laws = {name: drawn[name] for name in ("gaussian", "mixture")}
    objectives = [
        Block(task, "f_divergence", head, labels, horizon=horizon, seeds=SEEDS, protocol=many,
              config={**FIT, **own, **short, **options, "f_divergence.divergence": divergence})
        for task, labels, horizon, options in MODES
        for head, own in laws.values()
        for divergence in DIVERGENCES
    ]  # fmt: skip
    near = _blocks("two_modes", 500, 1, {"regression": ("mse", {}), **laws}, {**short, **NEAR}, many)
    snapped = Protocol(episodes=16, held_out=16, prefixes=(10, 30, 100, 300), snap=(0.003,), calibration=32)
    robot = {"fit.updates": 20_000, "fit.batch": 64, "fit.learning_rate": 1e-2}
    return Suite(
        "expressivity", 1, (*modes, *near, *objectives, *pegs, *_blocks("hopper", 5_000, 1_000, ROBOT, robot, snapped))
    )
