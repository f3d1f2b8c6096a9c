"""A head that deploys draws from its law where it would deploy the mode: rollouts, scores and what an algorithm rolls alike.

What is right on average of several right answers may be none of them, and the mode is one; a draw shows the law that was learnt.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

from ilbench.types import Array, Head, no_memory


@lru_cache(maxsize=256)
def sampled(head: Head) -> Head:
    """The head with `act` from its `sample`; raises ValueError for one without, and for one whose `act` remembers.

    A fresh draw at every step, of a head of chunks for every chunk. Cached, since functions hash by identity.
    """
    draw = head.sample
    if draw is None:
        raise ValueError(
            "this head has no `sample`: it is no density, and nothing can be drawn from it; take mixture or gaussian, say"
        )
    if head.memory is not no_memory:
        raise ValueError(
            "this head remembers its own draws through an episode, and would not if each step had a fresh one"
        )

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        return memory, draw(params, key, t, obs)

    return dataclasses.replace(head, act=act)
