"""What a head costs to act and to train: `ilbench bench heads`.

    act     milliseconds of one observation and of 1,024 at once, the median of repeats, compiling apart
    train   microseconds of a gradient step at 64 and 1,024 rows, in the loop that trains everything, beside two others of the same call:
            floor       the arithmetic alone: forward and backward of the head's own networks as a plain regression, of as many rows
                        as the head's loss evaluates, nothing drawn: the quicker of bare gradient descent and the loop itself
            undrawn     the head's loss in the same loop at one key, so that what it draws is drawn once, ahead of all steps

Every perceptron among a head's parameters counts once an evaluation. How often it is evaluated is read off the traced program: the
operations of all matrix products over those of one pass through every layer. Cases take turns and each counts with its fastest round.
Heads of other networks have no floor here, and closed forms take no step.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ilbench
from ilbench import plugins, registry
from ilbench.bench.speed import fastest
from ilbench.compute import process, programs
from ilbench.compute.parallel import per_seed
from ilbench.compute.products import value_and_grad
from ilbench.training import fit, nets
from ilbench.types import Array, Box, Data, Discrete, Head, Model, PyTree, Spec

FORMAT = "ilbench-heads-1"
# Spaces as large as those of a task; each head is measured on the first that it is made for.
SIZES = {
    "hopper": Spec(Box(11), Box(3, -1.0, 1.0), 1000),
    "cartpole": Spec(Box(4), Discrete(2), 200),
    "gridworld": Spec(Discrete(25), Discrete(4), 50),
}
ACTS, BATCHES, ROWS = (1, 1024), (64, 1024), 4096
REPEATS = {1: 300, 1024: 15}  # of acting
OPERATIONS = 1e9  # of a case's matrix products in a round: how many steps are timed
STEPS = (12, 500)  # at least and at most
FEW = 2  # steps of a second call, whose time is taken off: what a fit does once is no part of a step
RATE = np.float32(1e-3)


class Nets(NamedTuple):
    """The perceptrons of a head: `(inputs, sizes)` of each, and their activation."""

    shapes: tuple[tuple[int, tuple[int, ...]], ...]
    activation: str


# ------------------------------------------------------------------------------------------ arithmetic
def operations(jaxpr: Any) -> float:
    """Multiplications and additions in the matrix products of a traced program, loops of a known length unrolled; nan for others."""
    total = 0.0
    for eqn in jaxpr.eqns:
        inner = list(programs.inner(eqn))
        if eqn.primitive.name == "dot_general":
            (summed, _), _ = eqn.params["dimension_numbers"]
            total += 2.0 * eqn.outvars[0].aval.size * math.prod(eqn.invars[0].aval.shape[i] for i in summed)
        elif eqn.primitive.name == "while":
            total += math.nan if any(operations(sub) for sub in inner) else 0.0
        elif eqn.primitive.name == "cond":
            total += max(map(operations, inner))
        else:
            total += eqn.params.get("length", 1) * sum(map(operations, inner)) if inner else 0.0
    return total


def draws(jaxpr: Any) -> bool:
    """Whether a traced program draws anything."""
    return any(
        eqn.primitive.name.startswith(("random_bits", "threefry"))
        or any(map(draws, programs.inner(eqn)))
        for eqn in jaxpr.eqns
    )


def perceptrons(params: PyTree, config: Any) -> Nets | None:
    """The perceptrons in a head's parameters; None where it has matrices beside them, or none."""
    shapes: list[tuple[int, tuple[int, ...]]] = []

    def rest(tree: Any) -> int:
        """Entries of the matrices that belong to no perceptron."""
        if isinstance(tree, dict) and "Dense_0" in tree:
            layers = [tree[f"Dense_{i}"]["kernel"].shape for i in range(len(tree))]
            shapes.append((layers[0][0], tuple(shape[1] for shape in layers)))
            return 0
        if isinstance(tree, dict):
            return sum(rest(value) for name, value in tree.items() if name not in ("norm", "apart"))
        return int(np.size(tree)) if np.ndim(tree) > 1 else 0

    left = rest(params)
    return None if left or not shapes else Nets(tuple(shapes), getattr(config, "activation", "tanh"))


def once(found: Nets) -> float:
    """Operations of one pass of one row through every layer."""
    return sum(2.0 * a * b for inputs, sizes in found.shapes for a, b in zip((inputs, *sizes), sizes, strict=False))


def evaluations(head: Head, params: PyTree, data: Data, found: Nets) -> tuple[float, float]:
    """How often its networks are evaluated for one action, and for the loss of one row."""
    key, row = jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], data)
    act = jax.make_jaxpr(lambda p: head.act(p, key, jnp.int32(0), head.memory(p, key), row.obs)[1])(params)
    loss = jax.make_jaxpr(lambda p: head.loss(p, key, row))(params)
    return operations(act.jaxpr) / once(found), operations(loss.jaxpr) / once(found)


# ---------------------------------------------------------------------------------------------- cases
def rows_of(spec: Spec, count: int = ROWS) -> Data:
    """Rows `[R]` of a smooth rule with noise."""
    rng = np.random.default_rng(0)
    if isinstance(spec.obs, Discrete):
        obs: Any = rng.integers(0, spec.obs.n, count).astype(np.int32)
        seen = np.eye(spec.obs.n)[obs]
    else:
        obs = rng.normal(size=(count, *spec.obs.shape)).astype(np.float32)
        seen = obs.reshape(count, -1)
    size = spec.action.n if isinstance(spec.action, Discrete) else spec.action.dim
    said = np.tanh(seen @ rng.normal(size=(seen.shape[1], size)) / 3 + 0.1 * rng.normal(size=(count, size)))
    action = said.argmax(-1).astype(np.int32) if isinstance(spec.action, Discrete) else said.astype(np.float32)
    return Data(np.zeros(count, np.int32), obs, action, np.ones(count, np.float32))


@functools.lru_cache
def regression(found: Nets) -> Model:
    """Squared errors of every net, each of the first numbers of a row: rows are as wide as the widest input and output."""
    every = [nets.mlp(inputs, sizes, found.activation) for inputs, sizes in found.shapes]

    def init(key: Array) -> PyTree:
        return {"nets": [net(key) for net, _ in every]}

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        return sum(
            jnp.mean(jnp.square(out(weights, row.obs[:inputs]) - row.action[: sizes[-1]]))
            for weights, (_, out), (inputs, sizes) in zip(params["nets"], every, found.shapes, strict=True)
        )  # type: ignore[return-value]

    return Model(init, loss)


def _descend(shared: PyTree, item: Any, *, model: Model, steps: int) -> PyTree:
    """So many steps of gradient descent on all rows: nothing but forward and backward."""
    params, data = item
    key = jax.random.key(0)

    def step(params: PyTree, _: Any) -> tuple[PyTree, Array]:
        def of(p: PyTree) -> Array:
            return jnp.mean(jax.vmap(model.loss, (None, None, 0))(p, key, data))

        value, slope = value_and_grad(of)(params)
        return jax.tree.map(lambda p, g: p - RATE * g, params, slope), value

    return jax.lax.scan(step, params, None, length=steps)


def _seeded(tree: PyTree) -> PyTree:
    """For one seed."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], tree)


@functools.lru_cache
def undrawn(head: Head) -> Model:
    """The head's loss at one key for all rows and steps."""

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        return head.loss(params, jax.random.key(0), row)

    return Model(head.init, loss, head.prepare, head.after, head.fixed)


def training(
    head: Head, data: Data, found: Nets | None, many: float, batch: int, steps: int
) -> dict[str, Callable[[], Any]]:
    """The cases of one batch, of so many gradient steps each."""
    config, keys = fit.FitConfig(updates=steps, batch=batch), jax.random.split(jax.random.key(0), 1)

    def trained(model: Any, rows: Data = data, config: fit.FitConfig = config) -> Callable[[], Any]:
        start, rows = fit.init(model, keys), _seeded(rows)
        return lambda: fit.fit(model, keys, start, rows, config, steps)

    cases = {"train": trained(head)}
    one = jax.tree.map(lambda leaf: leaf[0], data)
    if draws(jax.make_jaxpr(head.loss)(head.init(jax.random.key(0)), jax.random.key(0), one).jaxpr):
        cases["undrawn"] = trained(undrawn(head))
    if found is not None:
        wide, out = (max(sizes) for sizes in zip(*((inputs, s[-1]) for inputs, s in found.shapes), strict=True))
        as_many, like = max(1, round(batch * many)), Spec(Box(wide), Box(out, -1.0, 1.0), 1)
        given, model = _seeded(rows_of(like, as_many)), regression(found)
        cases["plain"] = trained(model, rows_of(like), fit.FitConfig(updates=steps, batch=as_many))
        descend, start = per_seed(_descend, model=model, steps=steps), fit.init(model, keys)
        cases["floor"] = lambda: descend((), (start, given))
    return cases


def stepping(
    head: Head, data: Data, found: Nets | None, many: float, batch: int, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Microseconds of a gradient step, the difference of many steps and of few, each the fastest of `rounds`."""
    per_row = 6.0 * once(found) * many if found else 6e4
    steps = int(np.clip(OPERATIONS / (per_row * batch), *STEPS))
    every = {n: training(head, data, found, many, batch, n) for n in (steps, FEW)}
    named = {f"{case}, {n} steps": run for n, cases in every.items() for case, run in cases.items()}
    best = fastest(named, rounds, say)
    took = {
        case: 1e6 * (best[f"{case}, {steps} steps"] - best[f"{case}, {FEW} steps"]) / (steps - FEW)
        for case in every[FEW]
    }
    # Of large batches XLA may run the product's loop on more cores than a bare one: the quicker of the two is the floor.
    floor = min(took["floor"], took["plain"]) if "floor" in took else None
    return {
        "steps": steps,
        "microseconds": took["train"],
        "undrawn, microseconds": took.get("undrawn"),
        "floor, microseconds": floor,
        "over floor": None if floor is None else took["train"] / floor,
    }


def acting(head: Head, params: PyTree, data: Data, count: int) -> dict[str, float]:
    """Milliseconds of acting on `count` observations at once, and seconds of compiling that."""
    keys, obs = jax.random.split(jax.random.key(1), count), jnp.asarray(data.obs[:count])

    def one(p: PyTree, key: Array, x: Array) -> Array:
        return head.act(p, key, jnp.int32(0), head.memory(p, key), x)[1]

    started = time.perf_counter()
    run = jax.jit(jax.vmap(one, (None, 0, 0))).lower(params, keys, obs).compile()
    compiling, took = time.perf_counter() - started, []
    for _ in range(REPEATS[count]):
        started = time.perf_counter()
        jax.block_until_ready(run(params, keys, obs))
        took.append(time.perf_counter() - started)
    return {"milliseconds": 1e3 * float(np.median(took)), "compile, seconds": compiling}


def _compiled(head: Head, params: PyTree, data: Data, batch: int) -> float | None:
    """Operations of a row's gradient by XLA's own count, of everything and not of products alone; None where it says nothing."""
    rows, keys = jax.tree.map(lambda leaf: leaf[:batch], data), jax.random.split(jax.random.key(0), batch)
    whole = jax.jit(jax.grad(lambda p: jnp.mean(jax.vmap(head.loss, (None, 0, 0))(p, keys, rows))))
    said = whole.lower(params).compile().cost_analysis()
    return float(said["flops"]) / batch if said and "flops" in said else None


def measured(name: str, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """One head at its defaults."""
    plugin = plugins.head(name)
    size, spec = next((size, spec) for size, spec in SIZES.items() if plugin.skip(spec) is None)
    config = plugin.Config()
    head, data = plugin.make(spec, config), rows_of(spec)
    params = (
        head.init(jax.random.key(0))
        if head.solve is None
        else head.solve(jax.tree.map(jnp.asarray, data), jax.random.key(0))
    )
    params = params if head.prepare is None else head.prepare(params, data)
    found = perceptrons(params, config)
    per_action, per_row = (math.nan, math.nan) if found is None else evaluations(head, params, data, found)
    known = found if math.isfinite(per_row) else None
    row: dict[str, Any] = {"head": name, "size": size, "evaluations per action": _number(per_action)}
    row["act"] = {str(count): acting(head, params, data, count) for count in ACTS}
    row["evaluations per row"] = None if head.solve else _number(per_row)
    row["train"] = {}
    for batch in () if head.solve else BATCHES:
        tell = lambda line, batch=batch: say(f"{name}, {batch} rows: {line}")  # noqa: E731
        row["train"][str(batch)] = stepping(head, data, known, per_row, batch, rounds, tell)
    if row["train"]:
        row["operations of a row"] = {
            "products": None if known is None else 3 * once(known) * per_row,
            "XLA": _compiled(head, params, data, BATCHES[0]),
        }
    return row


def _number(x: float) -> float | None:
    return x if math.isfinite(x) else None


def run(
    names: tuple[str, ...], rounds: int, say: Callable[[str], None], keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Measures heads by name, all of them where none is given; `keep` gets what there is after every one. Raises UnknownName first."""
    every = tuple(registry.entries("heads"))
    for name in names:
        if name not in every:
            raise registry.unknown("heads", name, list(every))
    out: dict[str, Any] = {
        "format": FORMAT,
        "device": jax.devices()[0].device_kind,
        "platform": jax.default_backend(),
        "packages": {n: metadata.version(n) for n in ("jax", "jaxlib")} | {"ilbench": ilbench.__version__},
        "flags": process.flags(),
        "rounds": rounds,
        "rows": [],
    }
    for name in names or every:
        say(f"{name}: acting")
        out["rows"].append(measured(name, rounds, say))
        keep(out)
    return out
