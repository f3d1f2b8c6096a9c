"""What follows each step of Demos, as rows: methods that reason about values read it beside the rows that they fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ilbench.types import Data, Demos


class Successors(NamedTuple):
    """Rows `[S, N*H, ...]` in (episode, step) order."""

    obs: Any  # what is seen next
    on: Any  # float32: 1 where the episode goes on, or only time has run out; 0 after a fall
    known: Any  # bool: the step was taken, and what followed was seen


def successors(demos: Demos, *, whole: Any) -> Successors:
    """Successors of every step; `whole`, of all or of each episode `[S, N, 1]`: it was not cut off where a budget ended, so that what
    is not alive any more fell.

    Of cut episodes nobody knows whether the last step was a fall: it is left out. A fall in the very last step is seen where Demos
    hold `final_alive`.
    """
    obs, final, alive = (np.asarray(x) for x in (demos.obs, demos.final_obs, demos.alive))
    last = alive[:, :, -1] if demos.final_alive is None else np.asarray(demos.final_alive)
    on = np.concatenate([alive[:, :, 1:], last[:, :, None]], axis=2)
    known = alive & (on | whole)

    def flat(x: Any) -> np.ndarray:
        return np.asarray(x).reshape(len(alive), -1, *x.shape[3:])

    following = np.concatenate([obs[:, :, 1:], final[:, :, None]], axis=2)
    return Successors(flat(following), flat(on).astype(np.float32), flat(known))


def done(demos: Demos) -> Demos:
    """Demos in which what was executed is the label of every live step: the learner's own steps as rows."""
    return demos._replace(label=demos.action, revealed=demos.alive)


def halves(theirs: Any, mine: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the expert's rows `[S, R]` and of one's own `[S, R']` that exist, such that each side weighs a half of them all."""
    exists = [np.asarray(side) > 0 for side in (theirs, mine)]
    counts = [side.sum(1) for side in exists]
    shares = [(counts[0] + counts[1]) / (2.0 * np.maximum(n, 1)) for n in counts]
    first, second = ((side * share[:, None]).astype(np.float32) for side, share in zip(exists, shares, strict=True))
    return first, second


def beside(data: Data, follow: Successors, **extra: Any) -> Data:
    """Rows with what follows them beside (`extra`: next_obs, on, ...); what is not known has weight 0."""
    weight = np.asarray(data.weight) * follow.known
    return data._replace(weight=weight.astype(np.float32), extra={"next_obs": follow.obs, "on": follow.on, **extra})
