"""Speed of the pieces that matter, every ratio from one run: `ilbench bench speed`.

Robots: bare Brax stepping (one vmap over all environments; in blocks; in blocks on all devices), the same with the
lanes last, Brax's own `acting.generate_unroll`, and the product's rollout with a 2x64 MLP, the expert's label and the
full record, as data collection and as evaluation. An env step is several physics steps: rates of other engines compare in those.
Whole jobs: DAgger against its floor, and behaviour cloning on a CartPole-sized job with ten seeds; where they are asked for,
thousands of episodes side by side and ten cells on hopper. Rounds go through all cases in turn, and each case counts with its
fastest, so that a machine that drifts drifts for all. Compiling is apart, and memory is that of a process of its own.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import gc
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import registry
from ilbench.compute.parallel import per_seed
from ilbench.heads import mse
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import episode_keys, seed_keys
from ilbench.rollouts.rollout import rollout
from ilbench.training import fit
from ilbench.training.deployed import to_policy
from ilbench.types import COLLECT, EVIDENCE, Task

Case = Callable[[], Any]
FULL = (*COLLECT, "error", "reward")
# Robots with many bodies or substeps are timed over this share of the steps: under one vmap 1,024 of them take minutes.
SHARE = {"pusher": 0.1, "humanoid": 0.25, "humanoidstandup": 0.25, "swimmer": 0.5, "halfcheetah": 0.5, "ant": 0.5}


def fastest(cases: dict[str, Case], rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Seconds of the fastest of `rounds` calls of each case, after one that compiles; cases take turns."""
    for name, run in cases.items():
        say(f"compiling: {name}")
        jax.block_until_ready(run())
    best = dict.fromkeys(cases, float("inf"))
    for i in range(rounds):
        say(f"round {i + 1} of {rounds}")
        for name, run in cases.items():
            started = time.perf_counter()
            jax.block_until_ready(run())
            best[name] = min(best[name], time.perf_counter() - started)
    return best


# ---------------------------------------------------------------------------------------- robots
def frames(name: str) -> int:
    """Physics steps of one env step of a robot that ships: Brax's `n_frames` on the task's backend."""
    from ilbench.envs import _brax
    from ilbench.envs.brax import ROBOTS

    return int(_brax.robot(name, ROBOTS[name]["backend"])._n_frames)


def _raw_episode(env: Any, key: Any, *, steps: int) -> Any:
    """Brax stepping and nothing else: random actions, the sum of rewards."""
    state, _ = env.reset(env.params, key)
    actions = jax.random.uniform(key, (steps, *env.action.shape), jnp.float32, -1.0, 1.0)

    def step(state: Any, action: Any) -> Any:
        after = env.step(env.params, key, state, action)
        return after.state, after.reward

    return jax.lax.scan(step, state, actions)[1].sum()


def _on_one_device(one: Any, block: int) -> Any:
    return jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=block))


def _generate_unroll(robot: str, envs: int, steps: int) -> Case:
    """Brax's own data collection under its defaults: its wrappers and PPO's default policy network."""
    from ilbench.envs import _brax
    from ilbench.envs.brax import ROBOTS

    with _brax.rules():
        from brax.training import acting
        from brax.training.agents.ppo import networks as ppo_networks

        env = _brax.robot(robot, ROBOTS[robot]["backend"])
        wrapped = _brax.envs().training.wrap(env, episode_length=1000, action_repeat=1)
        nets = ppo_networks.make_ppo_networks(env.observation_size, env.action_size)
        make = ppo_networks.make_inference_fn(nets)
        # Old-style keys: Brax takes the shape of the batch from all but the last axis of the keys.
        state = jax.jit(wrapped.reset)(jax.random.split(jax.random.PRNGKey(0), envs))
        params = (None, nets.policy_network.init(jax.random.PRNGKey(1)))
        policy = make(params, deterministic=False)

        # All of it is asked for: from a robot whose reward is constant the compiler would drop the physics.
        def unroll(state: Any, key: Any) -> Any:
            last, transitions = acting.generate_unroll(wrapped, state, policy, key, steps)
            return last.obs, transitions.reward, transitions.observation

        run = jax.jit(unroll)

    def call() -> Any:
        with _brax.rules():
            return run(state, jax.random.PRNGKey(2))

    return call


def _product(task: Task, envs: int, steps: int, record: tuple[str, ...], beta: float) -> Case:
    head = mse.make(task.spec, mse.Config())
    policy = to_policy(head, fit.init(head, seed_keys("speed", (0,))))
    behaviour = jax.tree.map(lambda x: np.asarray(x)[None], mixed(task.env.action, steps, beta=beta))
    keys = episode_keys("speed", (0,), envs)
    return functools.partial(
        rollout, task.env, task.expert, policy, behaviour, keys, horizon=steps, record=record, block=task.block
    )


def robot(name: str, envs: int, steps: int, rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Env steps per second of every way to step one robot, and their ratios."""
    task = registry.task(name)
    keys = episode_keys("speed", (0,), envs)[0]
    # Brax's step as jax.vmap batches it, lanes first.
    brax = dataclasses.replace(task.env, step=task.env.step.fun)  # type: ignore[attr-defined]
    one = functools.partial(_raw_episode, brax, steps=steps)
    blocked = per_seed(_raw_episode, block=task.block, steps=steps)
    whole, in_blocks = jax.jit(jax.vmap(one)), _on_one_device(one, task.block)
    cases: dict[str, Case] = {
        "raw, one vmap": lambda: whole(keys),
        "raw, in blocks, one device": lambda: in_blocks(keys),
        "raw, in blocks, all devices": lambda: blocked(brax, keys),
        "raw, lanes last, all devices": lambda: blocked(task.env, keys),
        "rollout, full record": _product(task, envs, steps, FULL, 0.0),
        "collection with labels": _product(task, envs, steps, COLLECT, 0.5),
        "evaluation": _product(task, envs, steps, EVIDENCE, 0.0),
        "brax generate_unroll": _generate_unroll(name, envs, steps),
    }
    rate = {k: envs * steps / seconds for k, seconds in fastest(cases, rounds, say).items()}
    full, best = rate["rollout, full record"], max(v for k, v in rate.items() if k.startswith("raw"))
    return rate | {
        "rollout / raw in blocks of vmap": full / rate["raw, in blocks, all devices"],
        "rollout / best raw": full / best,
        "rollout / one vmap": full / rate["raw, one vmap"],
        "best raw / one vmap": best / rate["raw, one vmap"],
        "rollout / generate_unroll": full / rate["brax generate_unroll"],
    }


def blocks(name: str, sizes: tuple[int, ...], steps: int, rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Raw env steps per second on all devices by environments per block: what a task's `block` was chosen from."""
    task, devices = registry.task(name), jax.device_count()
    cases: dict[str, Case] = {}
    for size in sizes:
        keys = episode_keys("speed", (0,), max(size * devices, 256))[0]
        run = per_seed(_raw_episode, block=size, steps=steps)
        cases[str(size)] = functools.partial(run, task.env, keys)
    seconds = fastest(cases, rounds, say)
    return {f"block {k}": max(int(k) * devices, 256) * steps / s for k, s in seconds.items()}


# ------------------------------------------------------------------------------------- whole jobs
def _matmul_rate(rounds: int) -> float:
    """Floating-point operations per second of 512 x 512 products on all devices: the floor's second rate."""
    size, repeats = 512, 20

    def many(shared: Any, x: Any) -> Any:
        return jax.lax.fori_loop(0, repeats, lambda _, y: jnp.tanh(y @ x) * 0.1, x)

    items = np.random.default_rng(0).standard_normal((jax.device_count(), size, size)).astype(np.float32)
    run = per_seed(many)
    seconds = fastest({"matmul": lambda: run((), items)}, rounds, lambda text: None)["matmul"]
    return 2 * size**3 * repeats * jax.device_count() / seconds


def dagger(rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """DAgger on hopper (5 rounds of 5 episodes x 10 seeds, 5,000 updates of 256 in each) against env steps and operations."""
    from ilbench.running.plan import Block, resolve
    from ilbench.training.lab import Lab

    config = {"dagger.rounds": 5, "dagger.validate": False, "fit.updates": 5000, "fit.batch": 256}
    plan = resolve(Block("hopper", "dagger", "mse", 25_000, horizon=1000, config=config))
    block, steps = plan.block, 200
    keys = episode_keys("speed", (0,), 1024)[0]
    blocked = per_seed(_raw_episode, block=plan.task.block, steps=steps)

    def run() -> Any:
        lab = Lab(plan.task, plan.head, block.seeds, block.budget, plan.fit, {})
        return plan.algorithm.train(lab, plan.config).curve["loss"]

    seconds = fastest({"dagger": run, "raw": lambda: blocked(plan.task.env, keys)}, rounds, say)
    net = fit.init(plan.head, seed_keys("speed", (0,)))["net"]
    weights, env_steps = sum(leaf.size for leaf in jax.tree.leaves(net)), block.budget * len(block.seeds)
    updates = plan.fit.updates * plan.config.rounds * len(block.seeds)
    operations = 6 * weights * plan.fit.batch * updates + 4 * weights * env_steps
    floor = env_steps / (1024 * steps / seconds["raw"]) + operations / _matmul_rate(rounds)
    return {"seconds": seconds["dagger"], "floor, seconds": floor, "seconds / floor": seconds["dagger"] / floor}


def cartpole(rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Seconds for bc with ten seeds: 20 demonstrations of 500 steps, 2000 updates of 32, 64 evaluation episodes a seed."""
    from ilbench.running.execute import Session, execute
    from ilbench.running.plan import Block, resolve

    plan = resolve(Block("cartpole", "bc", "mlp", 20 * 500, config={"fit.updates": 2000, "fit.batch": 32}))
    session = Session()

    def run() -> Any:
        session.demos.clear()  # demonstrations and expert rollouts are part of the job
        session.expert.clear()
        return execute(plan, plan.block.seeds, session).outcomes[0].returns

    return {"ten seeds, seconds": fastest({"bc": run}, rounds, say)["bc"]}


def many(rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Seconds for 4,096 whole episodes of hopper side by side, as they are evaluated: policy, expert's label, cost, reward."""
    task, envs = registry.task("hopper"), 4096
    seconds = fastest({"episodes": _product(task, envs, task.horizon, EVIDENCE, 0.0)}, rounds, say)["episodes"]
    rate = envs * task.horizon / seconds
    return {"seconds": seconds, "env steps per second": rate, "physics steps per second": rate * frames("hopper")}


def cells(rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Seconds for ten cells of bc on hopper, from nothing to scores: 5 demonstrations, 5,000 updates, 64 episodes each."""
    from ilbench.running.execute import Session, execute
    from ilbench.running.plan import Block, resolve

    plan = resolve(Block("hopper", "bc", "mse", 5000, config={"fit.updates": 5000, "fit.batch": 256}))
    session = Session()

    def run() -> Any:
        session.demos.clear()  # demonstrations and expert rollouts are part of the job
        session.expert.clear()
        return execute(plan, plan.block.seeds, session).outcomes[0].returns

    seconds = fastest({"bc": run}, rounds, say)["bc"]
    return {"ten cells, seconds": seconds, "cells per minute": 600 / seconds}


# ----------------------------------------------------------------------------------------- memory
def _status(field: str) -> int:
    """A figure of this process in bytes, `VmRSS` (now) or `VmHWM` (peak)."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def memory(name: str, envs: int, steps: int) -> dict[str, float]:
    """Peak memory of a compiled rollout with the full record above what the process held before, in bytes.

    The largest of three calls; Linux with glibc only.
    """
    case = _product(registry.task(name), envs, steps, FULL, 0.0)
    case()  # compiles
    peak = 0
    for _ in range(3):
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator kept for later would hide growth
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts from now
        before = _status("VmRSS")
        demos = case()
        peak = max(peak, _status("VmHWM") - before)
        size = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(demos))
        del demos
    return {"record, bytes": float(size), "peak, bytes": float(peak), "peak / record": peak / size}


def memory_apart(name: str, envs: int, steps: int) -> dict[str, float]:
    """`memory` in a fresh process; raises RuntimeError where the system does not tell."""
    code = (
        "import json, ilbench; ilbench.setup(); from ilbench.bench import speed; "
        f"print(json.dumps(speed.memory({name!r}, {envs}, {steps})))"
    )
    # What is freed goes back to the system at once: else the peak is what the allocator kept, which differs from call to call.
    environ = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    if done.returncode:
        raise RuntimeError(f"memory was not measured: {(done.stderr.splitlines() or ['no reason given'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _of(say: Callable[[str], None], name: str, text: str) -> None:
    say(f"{name}: {text}")


def everything(
    robots: tuple[str, ...],
    envs: int,
    steps: int,
    rounds: int,
    say: Callable[[str], None],
    keep: Callable[[dict[str, Any]], None] = lambda found: None,
    whole: bool = True,
    scale: bool = False,
) -> dict[str, Any]:
    """All figures, and what they were measured on; `keep` gets what there is after every robot and job.

    `whole` also measures the jobs that are no single robot's: DAgger, behaviour cloning, memory; `scale` two larger ones.
    """
    out: dict[str, Any] = {
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "packages": {name: metadata.version(name) for name in ("jax", "jaxlib", "brax")},
        "robots": {},
        "jobs": {},
    }
    for name in robots:
        fewer = max(1, int(steps * SHARE.get(name, 1.0)))
        figures = robot(name, envs, fewer, rounds, functools.partial(_of, say, name))
        block = registry.task(name).block
        measured = {"envs": envs, "steps": fewer, "block": block, "rounds": rounds, "frames": frames(name)}
        out["robots"][name] = {**measured, **figures}
        keep(out)
    jobs: dict[str, Callable[[], dict[str, float]]] = {
        "dagger on hopper, 25 episodes x 10 seeds, 5 fits of 5,000 updates of 256": lambda: dagger(
            rounds, lambda t: say(f"dagger: {t}")
        ),
        "bc on cartpole, 20 episodes x 10 seeds, 2,000 updates of 32": lambda: cartpole(
            rounds, lambda t: say(f"cartpole: {t}")
        ),
        "memory, hopper, 4,096 envs x 1,000 steps, full record": lambda: memory_apart("hopper", 4096, 1000),
    }
    larger: dict[str, Callable[[], dict[str, float]]] = {
        "evaluation on hopper, 4,096 episodes of 1,000 steps": lambda: many(rounds, lambda t: say(f"episodes: {t}")),
        "bc on hopper, 5 episodes x 10 seeds, 5,000 updates of 256, evaluated": lambda: cells(
            rounds, lambda t: say(f"cells: {t}")
        ),
    }
    for title, job in ((jobs if whole else {}) | (larger if scale else {})).items():
        say(title)
        try:
            out["jobs"][title] = job()
        except RuntimeError as error:  # figures that took minutes are not lost for one that cannot be had
            say(str(error))
        keep(out)
    return out
