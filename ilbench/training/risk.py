"""A risk critic: the probability that an episode is still alive at the horizon, after an action now and the learner from then on.

Unlike a classifier of mistakes it looks ahead: it is fitted to its own value one step later, from transitions of whoever acted, and asks
no expert. Twin networks with a sigmoid each, whose smaller value counts, chase slowly moving copies of themselves. A seed that has
seen no fall knows of no risk: success is 1 everywhere, and whoever gates by it should not.
Paper: Hoque et al. 2021, ThriftyDAgger, https://arxiv.org/abs/2109.08273 (its Q_risk, where success is a goal that is reached)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute.parallel import per_seed
from ilbench.training.lab import Lab
from ilbench.training.nets import features, fit_norm, identity_norm, mlp, width_of
from ilbench.training.rounds import RoundsConfig, answers, check_rounds
from ilbench.training.rows import rows as cut_rows
from ilbench.training.successors import beside, done, successors
from ilbench.types import Array, Box, Data, Demos, Head, Model, PyTree, Space

POLYAK = 0.005  # by which the copies move to the networks at every step (the paper's, at every other step)
POSITIVE = 0.1  # share of the rows drawn that end a success, which are rare: one of an episode (the paper's)

Success = Callable[[PyTree, Array, Array, Array], Array]  # (params, t [], obs [*obs], action [*action]) -> []


@dataclass(frozen=True)
class RiskConfig(RoundsConfig):
    """The critic, and what it is fitted on."""

    gamma: float = 0.9999  # discount per step (the paper's)
    probes: int = 10  # episodes of the learner alone in each round, which cost env steps and no label (the paper's)
    room: int = 10_000  # latest transitions of a seed that are kept (the paper: 30,000)
    width: int = 64  # units of the two hidden layers of either network (the paper: 256)
    updates: int = (
        2000  # gradient steps, each round from where the last one stopped; not the policy's (the paper: 12,500)
    )
    batch: int = 50  # rows per step (the paper's)
    learning_rate: float = 1e-3  # Adam, cosine to 0 within a round (the paper's, which is constant)


def check_risk(name: str, config: RiskConfig) -> None:
    """Raises ValueError, as settings of the algorithm `name`, for numbers out of range."""
    check_rounds(name, config)
    if not 0 <= config.gamma <= 1:
        raise ValueError(f"{name}.gamma is a discount and must lie in [0, 1], got {config.gamma}")
    for field in ("probes", "width", "updates", "batch", "learning_rate"):
        if not getattr(config, field) > 0:
            raise ValueError(f"{name}.{field} must be positive, got {getattr(config, field)}")
    if config.room < 10:
        raise ValueError(f"{name}.room is a number of transitions and must be at least 10, got {config.room}")


# -------------------------------------------------------------------------------------------- what is fitted
def transitions(demos: Demos, horizon: int, *, cut: bool) -> Data:
    """What was done and what came of it, rows `[S, N*H, ...]` of known outcome; `extra`: next_obs, on, and reward, 1 at a success.

    Demos hold `final_alive`. Where a budget `cut` them off, its end and a fall look alike in the last episode that a seed has steps
    of: what followed its last one is not known.
    """
    there: Any = np.asarray(demos.alive).any(axis=2)
    later: Any = np.cumsum(there[:, ::-1], axis=1)[:, ::-1] - there  # episodes after this one that have steps
    data = cut_rows(done(demos))
    data = beside(data, successors(demos, whole=later[..., None] > 0 if cut else True))
    on, last = data.extra["on"], (np.asarray(data.t) == horizon - 1).astype(np.float32)
    return data._replace(extra={"next_obs": data.extra["next_obs"], "on": on * (1 - last), "reward": on * last})


def replayed(data: Data, room: int) -> Data:
    """The latest transitions of each seed in a buffer of one size, its successes repeated and weighted to be POSITIVE of what is drawn.

    At most POSITIVE of `room` rows are successes. Where a seed has none, or nothing else, rows weigh alike.
    """
    most = int(POSITIVE * room)
    exists, won = np.asarray(data.weight) > 0, np.asarray(data.extra["reward"]) > 0
    places, weights = [], []
    for own, good in zip(exists, won, strict=True):
        good, other = np.flatnonzero(own & good)[-most:], np.flatnonzero(own & ~good)[most - room :]
        wanted = len(other) * POSITIVE / (1 - POSITIVE)  # rows' worth of successes beside the others
        copies = max(1, int(wanted / max(len(good), 1)))
        each = wanted / (copies * len(good)) if len(good) and len(other) else 1.0
        places.append(np.concatenate([other, np.repeat(good, copies)]))
        weights.append(np.concatenate([np.ones(len(other)), np.full(copies * len(good), each)]))
    size = room + most  # copies of the successes are at most a ninth of the others, or the successes themselves

    def filled(x: Any) -> np.ndarray:
        x = np.asarray(x)
        out = np.zeros((len(x), size, *x.shape[2:]), x.dtype)
        for into, one, place in zip(out, x, places, strict=True):
            into[: len(place)] = one[place]
        return out

    taken: Data = jax.tree.map(filled, data)
    for into, weight in zip(taken.weight, weights, strict=True):
        into[: len(weight)] = weight
    return taken


# --------------------------------------------------------------------------------------------------- the critic
@lru_cache(maxsize=64)
def critic(obs: Space, action: Space, horizon: int, width: int) -> tuple[Model, Success]:
    """`(model, success)`: rows' `extra` holds next_obs, next_action, discount (0 where nothing follows) and reward."""
    init_net, apply = mlp(width_of(obs) + width_of(action) + 1, (width, width, 1))

    def init(key: Array) -> PyTree:
        pair = {name: init_net(k) for name, k in zip(("one", "two"), jax.random.split(key), strict=True)}
        return {**pair, "target": pair, "norm": identity_norm(obs)}

    def both(pair: PyTree, norm: PyTree, t: Array, x: Array, taken: Array) -> Array:
        if isinstance(action, Box):
            taken = jnp.clip(taken, action.low, action.high)
        when = t.astype(jnp.float32)[None] / horizon
        seen = jnp.concatenate([features(obs, norm, x), features(action, identity_norm(action), taken), when])
        return jax.nn.sigmoid(jnp.concatenate([apply(pair["one"], seen), apply(pair["two"], seen)]))

    def success(params: PyTree, t: Array, x: Array, taken: Array) -> Array:
        return jnp.min(both(params, params["norm"], t, x, taken))

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        extra = row.extra
        later = jnp.min(both(params["target"], params["norm"], row.t + 1, extra["next_obs"], extra["next_action"]))
        wanted = extra["reward"] + extra["discount"] * later
        return jnp.sum(jnp.square(both(params, params["norm"], row.t, row.obs, row.action) - wanted))

    def prepare(params: PyTree, data: Data) -> PyTree:
        return {**params, "norm": fit_norm(obs, data.obs, data.weight)}

    def after(params: PyTree) -> PyTree:
        pair = {name: params[name] for name in ("one", "two")}
        return {**params, "target": jax.tree.map(lambda old, new: old + POLYAK * (new - old), params["target"], pair)}

    return Model(init, loss, prepare, after, fixed=("norm", "target")), success


def fitted(
    lab: Lab, config: RiskConfig, data: Data, head: Head, policy: PyTree, start: PyTree | None, stage: int
) -> PyTree:
    """The critic of a learner, parameters `policy [S, ...]` of a head, on transitions; goes on from `start [S, ...]`."""
    rows = replayed(data, config.room)
    extra = rows.extra
    following = answers(head, policy, lab.keys("risk/next"), rows.t + 1, extra["next_obs"])
    discount = np.float32(config.gamma) * extra["on"]
    rows = rows._replace(extra={**extra, "next_action": np.asarray(following), "discount": discount})
    model, _ = critic(lab.task.env.obs, lab.task.env.action, lab.task.horizon, config.width)
    return lab.train(
        model, rows, name=f"risk{stage}", start=start, updates=config.updates, batch=config.batch,
        learning_rate=config.learning_rate,
    )[0]  # fmt: skip


def _chances(shared: Any, item: Any, *, success: Success) -> Array:
    return jax.vmap(success, (None, 0, 0, 0))(*item)


def chances(success: Success, params: PyTree, t: Any, obs: Any, action: Any) -> Any:
    """The critic `[S, ...]` at rows: steps `[S, R]`, observations `[S, R, *obs]`, actions `[S, R, *action]` -> `[S, R]`."""
    return per_seed(_chances, success=success)((), (params, t, obs, action))


def fell(data: Data) -> np.ndarray:
    """Whether any transition of a seed was a fall, `[S]` bool."""
    over = (np.asarray(data.extra["on"]) + np.asarray(data.extra["reward"])) == 0
    return (over & (np.asarray(data.weight) > 0)).any(1)
