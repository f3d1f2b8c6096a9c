"""Contract checks for plug-ins, also third-party ones: each raises AssertionError that says what is wrong.

`check_env(task)`, `check_policy(task, policy)`, `check_head(head, task)`, `check_algorithm(name, task, head, labels)`,
`check_measure(module)` and `check_check(name)`; the project's own tests run them over everything that the registry finds.
On what a head or an algorithm is tried its module says: `TRY = (task, ...)`, `TRY = (task, head, labels)`, and `TRY_AT` at which
settings where its own would take long; `tried` and `tried_at` read them.
"""

from __future__ import annotations

import copy
import dataclasses
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import densities, registry
from ilbench.compute import parallel, prng
from ilbench.distributions import mode
from ilbench.evaluation.evidence import Branched, Evidence, Snapped
from ilbench.rollouts.behaviours import mixed, same
from ilbench.rollouts.episode import nobody
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import rollout
from ilbench.training import fit
from ilbench.training.deployed import to_policy
from ilbench.training.rows import rows
from ilbench.types import COLLECT, Data, Demos, Discrete, Head, Policy, Space, Task

FIELDS = (*COLLECT, "error", "reward")


def _spec(tree: Any) -> Any:
    return jax.tree.map(lambda x: (jnp.shape(x), jnp.asarray(x).dtype, getattr(x, "weak_type", False)), tree)


def _same(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs)


def _inside(space: Space, x: Any, what: str) -> None:
    x = jnp.asarray(x)
    dtype = jnp.int32 if isinstance(space, Discrete) else jnp.dtype(space.dtype)
    assert x.shape == space.shape, f"{what} has shape {x.shape}; the space says {space.shape}"
    assert x.dtype == dtype, f"{what} is {x.dtype}; it must be {jnp.dtype(dtype)}"
    assert bool(jnp.isfinite(x).all()), f"{what} is not finite"
    assert not isinstance(space, Discrete) or 0 <= int(x) < space.n, f"{what} is {x}; allowed are 0 ... {space.n - 1}"


def _roll(task: Task, horizon: int, seeds: tuple[int, ...], episodes: int) -> Demos:
    behaviour = same(mixed(task.env.action, horizon, beta=1.0), len(seeds))
    policy = nobody(task.env.action)  # the expert acts; where there is none, it does not matter who does
    keys = episode_keys("testing", seeds, episodes)
    # One small block: what a contract says is the same for one lane and for a hundred, and compiles faster.
    return rollout(task.env, task.expert, policy, behaviour, keys, horizon=horizon, record=FIELDS, block=8)


def check_env(task: Task, horizon: int = 20) -> None:
    """Shapes, dtypes, determinism, fresh resets, no mutation, no NaN, absorbing ends, batched equals looped."""
    env, key = task.env, prng.key(1)
    before = copy.deepcopy(jax.tree.map(np.asarray, env.params))
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    state, obs = reset(env.params, key)
    _inside(env.obs, obs, "the observation of reset")
    expert = task.expert or nobody(env.action)
    clean = obs if env.expert_obs is None else env.expert_obs(env.params, state, obs)
    _, label = expert.act(expert.params, key, jnp.int32(0), expert.init(expert.params, key), clean)
    _inside(env.action, label, "the expert's action")
    if expert.dist is not None:
        law = expert.dist(expert.params, jnp.int32(0), expert.init(expert.params, key), clean)
        _inside(env.action, mode(law), "the likeliest action of the expert's law")
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
    known = both if task.expert else both._replace(error=None)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(known) if x.dtype.kind == "f"), "a rollout holds NaN or inf"
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


def tried(kind: str, name: str) -> tuple[Any, ...]:
    """The literal TRY of a plug-in: what its contract is tried on; AssertionError where it declares none."""
    found = dict(registry.entry(kind, name).literals).get("TRY")
    form = "(task, head, labels)" if kind == "algorithms" else "(task, ...)"
    wanted = (str, str, int) if kind == "algorithms" else (str,) * max(1, len(found or ()))
    fits = isinstance(found, tuple) and len(found) == len(wanted) and all(map(isinstance, found, wanted))
    assert fits, (
        f"{kind.rstrip('s')} {name!r} must say what it is tried on, TRY = {form} as literals; it says {found!r}"
    )
    return found  # type: ignore[return-value]


def tried_at(name: str) -> dict[str, Any]:
    """The optional literal TRY_AT of an algorithm: settings at which its contract is tried, fewer rounds and updates."""
    found: dict[str, Any] = dict(dict(registry.entry("algorithms", name).literals).get("TRY_AT", {}))
    return found


# ------------------------------------------------------------------------------------------------ heads
def _check_deployed(head: Head, params: Any, data: Data, space: Space) -> None:
    """On the expert's own states: actions near the bounds or inside, and nearer to the labels than the best constant."""
    actions = jax.jit(jax.vmap(lambda t, obs: head.act(params, prng.key(4), t, head.memory(params, prng.key(4)), obs)[1]))(
        jnp.asarray(data.t)[0], jnp.asarray(data.obs)[0]
    )
    exists = np.asarray(data.weight)[0] > 0
    done, label = np.asarray(actions)[exists], np.asarray(data.action)[0][exists]
    if isinstance(space, Discrete):
        assert ((done >= 0) & (done < space.n)).all(), f"actions {np.unique(done)} of 0 ... {space.n - 1} are deployed"
        wrong, best = (done != label).mean(), 1 - np.bincount(label).max() / len(label)
    else:
        assert np.isfinite(done).all(), "an action that is not finite is deployed on the expert's states"
        if np.isfinite(slack := 0.1 * (space.high - space.low)):
            low, high = space.low - slack, space.high + slack
            assert done.min() >= low and done.max() <= high, (
                f"actions of {done.min():.3g} ... {done.max():.3g} are deployed; the bounds are {space.low:g} ... {space.high:g}"
            )
        wrong, best = np.square(done - label).mean(), np.square(label - label.mean(0)).mean()
    assert wrong <= best, (
        f"the deployed actions miss the labels by {wrong:.3g} in the mean, the best constant one by {best:.3g}"
    )


def check_head(head: Head, task: Task, updates: int = 200) -> None:
    """Loss finite and falling on the expert's data, deployed actions better than a constant, densities right, no retrace.

    Densities: probabilities sum to one, densities integrate to one, and `sample` draws what `log_prob` says.
    """
    demos = _roll(task, min(20, task.horizon), (0, 1), 4)
    data = rows(demos, window=head.window)
    keys = jax.random.split(prng.key(3), 2)
    start = fit.init(head, keys)
    config = fit.FitConfig(updates=updates, batch=32, learning_rate=1e-2)
    fitted = (
        fit.solve(head, keys, data)
        if head.solve
        else fit.fit(head, keys, start, data, config, updates)[0]
    )
    first, last = (np.asarray(fit.loss(head, keys, p, data)) for p in (start, fitted))
    assert np.isfinite(first).all() and np.isfinite(last).all(), f"losses are not finite: {first}, {last}"
    assert (last < first).all(), f"fitting the expert's data did not lower the loss: {first} to {last}"
    one = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[0]), fitted)
    check_policy(task, jax.tree.map(lambda x: jnp.asarray(x)[0, 0], to_policy(head, fitted)))
    _check_deployed(head, one, data, task.env.action)
    space, draws = task.env.action, jax.random.split(prng.key(5), densities.DRAWS)
    for row in (0, len(data.t[0]) // 2) if head.log_prob is not None else ():
        at = jnp.int32(data.t[0, row]), jnp.asarray(data.obs)[0, row]
        if isinstance(space, Discrete):
            densities.check_probabilities(head, space.n, one, *at, draws)
        else:
            densities.check_density(head, space, one, *at, draws)
    count = parallel.compiled_programs()
    if not head.solve:
        fit.fit(head, keys, start, data, dataclasses.replace(config, learning_rate=1e-4), updates)
    assert parallel.compiled_programs() == count, "a new learning rate compiled anew"


# -------------------------------------------------------------------------------------------- algorithms
def _check_spent(name: str, instrument: bool, bought: list[int], labels: int) -> None:
    """An algorithm buys labels, most of its budget and no more; an instrument, whose error is dialled, buys none."""
    assert all(n <= labels for n in bought), f"{name} bought {bought} of {labels} labels"
    if instrument:
        assert not any(bought), f"{name} is an INSTRUMENT and bought {bought} labels; what is learnt is no instrument"
        return
    assert all(bought), (
        f"{name} bought no label: it learns nothing from the expert; what is dialled says INSTRUMENT = True"
    )
    assert all(2 * n >= labels for n in bought), (
        f"{name} left more than half of its budget unspent: {bought} of {labels} labels"
    )


def _check_alone(name: str, whole: Any, other: Any, pairs: list[tuple[int, int]]) -> None:
    """Seeds at the positions `pairs` of two runs have the same policy, returns and ledger, to the last bit."""
    for one, two in pairs:
        a, b = whole.outcomes[one], other.outcomes[two]
        ran = [o.seed for o in other.outcomes]
        said = f"{name}: seed {a.seed} depends on the seeds that it runs with ({ran} against {[o.seed for o in whole.outcomes]})"
        assert (a.seed, a.spent) == (b.seed, b.spent), f"{said}: {a.spent} and {b.spent}"
        for x, y in zip(jax.tree.leaves(whole.policy.params), jax.tree.leaves(other.policy.params), strict=True):
            np.testing.assert_array_equal(np.asarray(x)[one], np.asarray(y)[two], err_msg=said)
        np.testing.assert_array_equal(a.returns, b.returns, err_msg=said)


def check_algorithm(name: str, task_id: str, head: str, labels: int, **config: Any) -> None:
    """Runs through the planner: what is returned is sound, labels are bought within the budget and most of it is spent
    (an INSTRUMENT buys none), a seed's result is its own whichever others run with it, repeatable, no retrace."""
    from ilbench.evaluation.evidence import Protocol
    from ilbench.running.execute import Session, execute
    from ilbench.running.plan import Block, resolve

    block = Block(task_id, name, head, labels, seeds=(0, 1), protocol=Protocol(episodes=8, held_out=8), config=config)
    plan = resolve(block)
    first = execute(plan, (0, 1), Session())
    for leaf in jax.tree.leaves(first.policy.params):
        assert leaf.ndim >= 2 and leaf.shape[0] == 2, (
            f"policies must have leaves [S, M, ...], found {leaf.shape} for 2 seeds"
        )
    assert all(o.status == "ok" for o in first.outcomes), f"{name} diverged: {[o.reason for o in first.outcomes]}"
    _check_spent(name, plan.algorithm.instrument, [o.spent["labels"] for o in first.outcomes], labels)
    count = parallel.compiled_programs()
    again = execute(plan, (0, 1), Session())
    turned = execute(plan, (1, 0), Session())
    assert parallel.compiled_programs() == count, f"{name} compiled anew when it was repeated"
    assert [o.scores for o in first.outcomes] == [o.scores for o in again.outcomes], (
        f"{name} gave other scores for the same seeds"
    )
    _check_alone(name, first, turned, [(0, 1), (1, 0)])
    _check_alone(name, first, execute(plan, (1,), Session()), [(1, 0)])


def evidence(wrong: bool, horizon: int = 12, episodes: int = 3) -> Evidence:
    """Evidence of a learner that is always right, or always wrong; the expert earns 1 per step, the wrong learner 0.

    On observations `[1]` of one value the right one holds still, the wrong one jerks from one end to the other.
    """
    shape = (episodes, horizon)
    error, alive = np.full(shape, float(wrong)), np.ones(shape, bool)
    reward = np.full(shape, 0.0 if wrong else 1.0)
    refs = {"random": 0.0, "expert": float(horizon), "noisy_expert": float(horizon)}
    shown = (error, alive, np.ones(shape), error, alive, reward, reward, alive, np.full(shape, 0.5))
    jerk = np.where(np.arange(horizon) % 2, -1.0, 1.0)[None, :, None] * np.ones((episodes, 1, 1)) * wrong
    return Evidence(
        horizon, (0.0,), (4, horizon), (0.0, 1.0), refs, *shown,
        obs=np.ones((episodes, horizon, 1)), action=jerk, held_out_loss=(1.0, float(wrong)),
        snapped=(Snapped(0.01, 0.5, error, alive, error, alive),),
        branches={"own": Branched(error, alive, reward, alive, np.ones(shape))},
    )  # fmt: skip


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

    from ilbench.display import style
    from ilbench.running import checks
    from ilbench.stats.claims import VERDICTS, failed

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


__all__ = [
    "check_algorithm",
    "check_check",
    "check_env",
    "check_head",
    "check_measure",
    "check_policy",
    "evidence",
    "tried",
]
