"""Contract checks for plug-ins, also third-party ones: each raises AssertionError that says what is wrong.

`check_env(task)`, `check_policy(task, policy)`, `check_head(head, task)`, `check_algorithm(name, task, head)`,
`check_measure(module)` and `check_check(name)`; the project's own tests run them over everything that the registry finds.
"""

from __future__ import annotations

import copy
import dataclasses
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import fit, parallel, prng, registry
from ilbench.evidence import Evidence
from ilbench.lab import to_policy
from ilbench.rollout import COLLECT, episode_keys, mixed, rollout
from ilbench.types import Data, Demos, Discrete, Head, Policy, Space, Task

FIELDS = (*COLLECT, "error", "reward")


def _spec(tree: Any) -> Any:
    return jax.tree.map(lambda x: (jnp.shape(x), jnp.asarray(x).dtype, getattr(x, "weak_type", False)), tree)


def _same(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs)


def _inside(space: Space, x: Any, what: str) -> None:
    x = jnp.asarray(x)
    dtype = jnp.int32 if isinstance(space, Discrete) else jnp.float32
    assert x.shape == space.shape, f"{what} has shape {x.shape}; the space says {space.shape}"
    assert x.dtype == dtype, f"{what} is {x.dtype}; it must be {jnp.dtype(dtype)}"
    assert bool(jnp.isfinite(x).all()), f"{what} is not finite"
    assert not isinstance(space, Discrete) or 0 <= int(x) < space.n, f"{what} is {x}; allowed are 0 ... {space.n - 1}"


def _batched(tree: Any, seeds: int, iterates: bool = False) -> Any:
    axes = (seeds, 1) if iterates else (seeds,)
    return jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (*axes, *np.shape(x))).copy(), tree)


def _roll(task: Task, horizon: int, seeds: tuple[int, ...], episodes: int) -> Demos:
    behaviour = _batched(mixed(task.env.action, horizon, beta=1.0), len(seeds))
    policy = dataclasses.replace(task.expert, params=_batched(task.expert.params, len(seeds), iterates=True))
    keys = episode_keys("testing", seeds, episodes)
    return rollout(task.env, task.expert, policy, behaviour, keys, horizon=horizon, record=FIELDS, block=task.block)


def check_env(task: Task, horizon: int = 20) -> None:
    """Shapes, dtypes, determinism, fresh resets, no mutation, no NaN, absorbing ends, batched equals looped."""
    env, key = task.env, prng.key(1)
    before = copy.deepcopy(jax.tree.map(np.asarray, env.params))
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    state, obs = reset(env.params, key)
    _inside(env.obs, obs, "the observation of reset")
    _, label = task.expert.act(task.expert.params, key, jnp.int32(0), task.expert.init(task.expert.params, key), obs)
    _inside(env.action, label, "the expert's action")
    after = step(env.params, key, state, label)
    _inside(env.obs, after.obs, "the observation of step")
    assert after.reward.shape == () and after.reward.dtype == jnp.float32, (
        f"reward must be a float32 scalar, is {_spec(after.reward)}"
    )
    assert after.terminated.shape == () and after.terminated.dtype == jnp.bool_, "terminated must be a bool scalar"
    assert _spec(state) == _spec(after.state), (
        "reset and step give states of other shapes, dtypes or weak types: no scan carry"
    )
    assert _same(reset(env.params, key), (state, obs)), "the same key gave another reset"
    assert _same(step(env.params, key, state, label), after), "the same key gave another step"
    assert _same(before, env.params), "the env's params were mutated"
    short = min(horizon, task.horizon)
    both, count = _roll(task, short, (0, 1), 3), parallel.compiled_programs()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(both) if x.dtype.kind == "f"), "a rollout holds NaN or inf"
    assert _same(both, _roll(task, short, (0, 1), 3)), "the same keys gave another rollout"
    assert parallel.compiled_programs() == count, "the same rollout compiled twice"
    dead = ~both.alive
    assert not both.revealed[dead].any(), "labels were revealed after the end"
    assert np.all(both.reward[dead] == np.float32(env.absorbing_reward)), (
        "after the end the reward must be absorbing_reward"
    )
    alone = _roll(task, short, (1,), 3)
    np.testing.assert_allclose(
        alone.obs[0, :, 0], both.obs[1, :, 0], rtol=1e-5, atol=1e-5, err_msg="a seed alone starts elsewhere"
    )


def check_policy(task: Task, policy: Policy) -> None:
    """Action in the space, memory of one shape, same key same action; for params without seed axes."""
    key = prng.key(2)
    _, obs = task.env.reset(task.env.params, key)
    memory = policy.init(policy.params, key)
    new, action = policy.act(policy.params, key, jnp.int32(0), memory, obs)
    _inside(task.env.action, action, "the policy's action")
    assert _spec(memory) == _spec(new), "the memory's shapes or dtypes change from step to step: no scan carry"
    assert _same(policy.act(policy.params, key, jnp.int32(0), memory, obs), (new, action)), (
        "the same key gave another action"
    )


def check_head(head: Head, task: Task, updates: int = 200) -> None:
    """Loss finite and falling on the expert's data, action in the space, densities normalised, no retrace."""
    demos = _roll(task, min(20, task.horizon), (0, 1), 4)
    t = np.broadcast_to(np.arange(demos.revealed.shape[2], dtype=np.int32), demos.revealed.shape)
    flat = (x.reshape(2, -1, *x.shape[3:]) for x in (t, demos.obs, demos.label, demos.revealed.astype(np.float32)))
    data = Data(*flat)
    keys = jax.random.split(prng.key(3), 2)
    start = fit.init(head, keys)
    config = fit.FitConfig(updates=updates, batch=32)
    fitted = (
        fit.solve(head, keys, data)
        if head.solve
        else fit.fit(head, task.env.obs, keys, start, data, config, updates)[0]
    )
    first, last = (np.asarray(fit.loss(head, p, data)) for p in (start, fitted))
    assert np.isfinite(first).all() and np.isfinite(last).all(), f"losses are not finite: {first}, {last}"
    assert (last < first).all(), f"fitting the expert's data did not lower the loss: {first} to {last}"
    one = jax.tree.map(lambda x: jnp.asarray(x)[0], fitted)
    check_policy(task, jax.tree.map(lambda x: jnp.asarray(x)[0, 0], to_policy(head, fitted)))
    if head.log_prob is not None and isinstance(task.env.action, Discrete):
        obs = jnp.asarray(data.obs)[0, 0]
        total = sum(
            float(jnp.exp(head.log_prob(one, jnp.int32(0), obs, jnp.int32(a)))) for a in range(task.env.action.n)
        )
        assert abs(total - 1) < 1e-5, f"the probabilities of the actions sum to {total}"
    count = parallel.compiled_programs()
    if not head.solve:
        fit.fit(head, task.env.obs, keys, start, data, dataclasses.replace(config, learning_rate=1e-4), updates)
    assert parallel.compiled_programs() == count, "a new learning rate compiled anew"


def check_algorithm(name: str, task_id: str, head: str, labels: int, **config: Any) -> None:
    """Runs through the planner: selected is returned, leaves `[S, M, ...]`, budget kept, repeatable, no retrace."""
    from ilbench.evidence import Protocol
    from ilbench.execute import Session, execute
    from ilbench.plan import Block, resolve

    block = Block(task_id, name, head, labels, seeds=(0, 1), protocol=Protocol(episodes=8, held_out=8), config=config)
    plan = resolve(block)
    first = execute(plan, block.seeds, Session())
    for leaf in jax.tree.leaves(first.policy.params):
        assert leaf.ndim >= 2 and leaf.shape[0] == 2, (
            f"policies must have leaves [S, M, ...], found {leaf.shape} for 2 seeds"
        )
    assert all(o.labels <= labels for o in first.outcomes), (
        f"{name} bought {[o.labels for o in first.outcomes]} of {labels} labels"
    )
    assert all(o.status == "ok" for o in first.outcomes), f"{name} diverged: {[o.reason for o in first.outcomes]}"
    count = parallel.compiled_programs()
    again = execute(plan, block.seeds, Session())
    assert parallel.compiled_programs() == count, f"{name} compiled anew when it was repeated"
    assert [o.scores for o in first.outcomes] == [o.scores for o in again.outcomes], (
        f"{name} gave other scores for the same seeds"
    )


def evidence(wrong: bool, horizon: int = 12, episodes: int = 3) -> Evidence:
    """Evidence of a learner that is always right, or always wrong; the expert earns 1 per step, the wrong learner 0."""
    shape = (episodes, horizon)
    error, alive = np.full(shape, float(wrong)), np.ones(shape, bool)
    reward = np.full(shape, 0.0 if wrong else 1.0)
    refs = {"random": 0.0, "expert": float(horizon)}
    shown = (error, alive, np.ones(shape), error, alive, reward, reward, alive)
    return Evidence(horizon, (0.0,), (4, horizon), (0.0, 1.0), refs, *shown)


def check_measure(module: ModuleType) -> None:
    """Pure, inputs untouched, values are numbers, None or arrays, and right and wrong learners differ."""
    results = []
    for wrong in (False, True):
        given = evidence(wrong)
        kept = copy.deepcopy(given)
        values = module.measure(given)
        assert all(repr(a) == repr(b) for a, b in zip(given, kept, strict=True)), "the evidence was mutated"
        assert values, "a measure must return something"
        for key, value in values.items():
            assert value is None or np.ndim(value) > 0 or np.isfinite(float(value)), (
                f"{key} is {value!r}; give None for no value"
            )
        assert repr(module.measure(given)) == repr(values), "the same evidence gave other values"
        results.append(repr(values))
    assert results[0] != results[1], "a perfect learner and one that is always wrong measure the same"


def check_check(name: str) -> None:
    """A check of the theory in exact mode: closed verdicts, expectations met, plain JSON, a picture that JSON alone redraws."""
    import json

    from ilbench import checks
    from ilbench.claims import VERDICTS, failed
    from ilbench.report import style

    entry = registry.entry("checks", name)
    modes = dict(entry.literals).get("MODES")
    assert modes and set(modes) <= set(checks.MODES), f"{name}.MODES is {modes}; allowed are {checks.MODES}"
    assert entry.summary and entry.paper, f"{name} needs a statement and a `Source:` paragraph in its docstring"
    if "exact" not in modes:
        return
    (ran,) = checks.run([name], ["exact"])
    assert ran.error is None, ran.error
    assert not ran.failed, failed(ran.claims)
    assert ran.claims, f"{name} makes no claim"
    for claim in ran.claims:
        assert claim.verdict in VERDICTS, f"{claim.verdict!r} is not a verdict"
        assert claim.mode == "exact", f"{claim.statement}: mode {claim.mode} out of an exact measure"
        for value in (claim.measured, claim.predicted):
            assert value is None or not np.isnan(value), f"{claim.statement}: {value} is no number, yet {claim.verdict}"
    stored = json.loads(json.dumps({**ran.as_json(), "data": ran.data}, allow_nan=False))
    again = checks.from_json(stored, stored["data"])
    first, second = (checks.figure(r) for r in (ran, again))
    assert first is not None, f"{name} gives no numbers to its plot"
    assert style.svg(first) == style.svg(second), f"{name}: the picture changes when its numbers went through JSON"
    assert all(a.get_xlabel() or a.get_title() for a in first.axes if a.get_visible()), f"{name}: axes without labels"


__all__ = ["check_algorithm", "check_check", "check_env", "check_head", "check_measure", "check_policy", "evidence"]
