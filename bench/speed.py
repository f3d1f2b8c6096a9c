"""Speed of the pieces that matter, ratios measured in one run: `python -m ilbench.bench.speed`.

Rollouts of hopper through the product against raw Brax stepping, blocked and sharded, and against one vmap over the
same environments; behaviour cloning on a CartPole-sized job, ten seeds. Best of several repetitions, compiling apart.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ilbench

ENVS, STEPS, BLOCK = 1024, 200, 128


def _best(run: Callable[[], Any], repetitions: int) -> float:
    """Seconds of the fastest of several calls, after one that compiles."""
    jax.block_until_ready(run())
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - started)
    return min(times)


def _raw_episode(shared: Any, key: Any, *, steps: int) -> Any:
    """Brax stepping and nothing else: random actions, the sum of rewards."""
    env = shared
    state, _ = env.reset(env.params, key)
    actions = jax.random.uniform(key, (steps, *env.action.shape), jnp.float32, -1.0, 1.0)

    def step(state: Any, action: Any) -> Any:
        after = env.step(env.params, key, state, action)
        return after.state, after.reward

    return jax.lax.scan(step, state, actions)[1].sum()


def hopper(repetitions: int) -> dict[str, float]:
    """Steps per second: raw in one vmap, raw blocked and sharded, and the product's rollout with policy, label and full record."""
    from ilbench import fit, registry
    from ilbench.heads import mse
    from ilbench.lab import to_policy
    from ilbench.parallel import per_seed
    from ilbench.rollout import COLLECT, episode_keys, mixed, rollout, seed_keys

    task = registry.task("hopper")
    keys = episode_keys("speed", (0,), ENVS)
    naive = jax.jit(jax.vmap(functools.partial(_raw_episode, task.env, steps=STEPS)))
    blocked = per_seed(_raw_episode, block=BLOCK, steps=STEPS)
    head = mse.make(task, mse.Config())
    policy = to_policy(head, fit.init(head, seed_keys("speed", (0,))))
    behaviour = jax.tree.map(lambda x: np.asarray(x)[None], mixed(task.env.action, STEPS))
    record = (*COLLECT, "error", "reward")
    product = functools.partial(
        rollout, task.env, task.expert, policy, behaviour, keys, horizon=STEPS, record=record, block=BLOCK
    )
    total = ENVS * STEPS
    out = {
        "raw, one vmap": total / _best(lambda: naive(keys[0]), repetitions),
        "raw, blocked and sharded": total / _best(lambda: blocked(task.env, keys[0]), repetitions),
        "product rollout": total / _best(product, repetitions),
    }
    out["product / raw blocked and sharded"] = out["product rollout"] / out["raw, blocked and sharded"]
    out["product / raw one vmap"] = out["product rollout"] / out["raw, one vmap"]
    return out


def cartpole(repetitions: int) -> dict[str, float]:
    """Seconds for bc with ten seeds: 20 demonstrations of 500 steps, 2000 updates of 32, 64 evaluation episodes a seed."""
    from ilbench.execute import Session, execute
    from ilbench.plan import Block, resolve

    plan = resolve(Block("cartpole", "bc", "mlp", 20 * 500, config={"fit.updates": 2000, "fit.batch": 32}))
    session = Session()
    execute(plan, plan.block.seeds, session)

    def again() -> Any:
        session.demos.clear()  # demonstrations and expert rollouts are part of the job
        session.expert.clear()
        return execute(plan, plan.block.seeds, session).outcomes[0].returns

    return {"ten seeds, seconds": _best(again, repetitions)}


def main() -> None:
    """Prints the figures, as text or with --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    ilbench.setup()
    print(
        f"{jax.device_count()} x {jax.devices()[0].device_kind}; best of {args.repetitions}, compiling apart",
        file=sys.stderr,
    )
    out = {
        "cartpole bc": cartpole(args.repetitions),
        f"hopper, {ENVS} envs x {STEPS} steps, steps/s": hopper(args.repetitions),
    }
    if args.json:
        print(json.dumps(out, indent=2))
        return
    for title, figures in out.items():
        print(title)
        for name, value in figures.items():
            print(f"  {name:40s} {value:12,.2f}" if value < 1000 else f"  {name:40s} {value:12,.0f}")


if __name__ == "__main__":
    main()
