"""Every robot on the devices that JAX finds, in minutes: `ilbench bench devices`.

For each robot rollouts of its expert, by episodes side by side: env steps and physics steps per second, whether a rollout repeats bit
for bit, and whether the expert's returns are those of its manifest, which another processor measured (a z test: contacts amplify rounding,
so that episodes differ and only their law can agree). First every robot at the first size and its whole horizon, then the other
sizes, shorter; what there is lies in the file after every row, so that nothing is lost with the process.
"""

from __future__ import annotations

import json
import math
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.stats import norm

import ilbench
from ilbench import registry
from ilbench.bench.speed import frames
from ilbench.compute import process
from ilbench.compute.parallel import COMPILE_SECONDS, device_count
from ilbench.experts import weights
from ilbench.heads import mse
from ilbench.records.files import write_atomic
from ilbench.rollouts.behaviours import mixed, same
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import rollout
from ilbench.training.deployed import untrained
from ilbench.types import Demos, Task

FORMAT = "ilbench-gpu-1"
SIZES = {"cpu": (64, 128)}  # episodes side by side on a device, the first of them judged; of other platforms:
OTHERS = (1024, 16384, 4096, 128)
RECORD = ("error", "reward", "alive", "final_obs")  # little to copy, and no part of the physics can be left out
ALPHA = 0.01  # that one of all robots is taken for another although none is
ROUNDING = 1e-4  # of what is between chance and the expert: a return is a sum of a thousand float32 rewards


@dataclass(frozen=True)
class Asked:
    """Measure robots on the devices that JAX finds."""

    robots: str = "all"
    """Comma-separated tasks; `all` for every robot with an expert."""
    limit_seconds: float = 540.0
    """No row is begun that would not end by then."""
    out: pathlib.Path | None = None
    """A file for the rows, rewritten after every one."""
    lanes: str = ""
    """Comma-separated episodes side by side on a device; the first size has whole episodes and judges returns."""
    steps: int = 100
    """Steps of the sizes after the first."""


class Job(NamedTuple):
    """One row to measure: whole episodes, whose returns are judged, or the first `steps` steps."""

    robot: str
    lanes: int
    steps: int | None


def jobs(robots: tuple[str, ...], sizes: tuple[int, ...], steps: int) -> list[Job]:
    """Every robot at the first size, whole episodes; then size by size."""
    return [Job(name, sizes[0], None) for name in robots] + [Job(name, n, steps) for n in sizes[1:] for name in robots]


def rolled(task: Task, lanes: int, horizon: int) -> Callable[[], Demos]:
    """The expert acts on `lanes` episodes of each device, beside a 2x64 MLP whose proposals are graded."""
    policy = untrained(mse.make(task.spec, mse.Config()), (0,))
    behaviour = same(mixed(task.env.action, horizon, beta=1.0), 1)
    keys = episode_keys("bench/gpu", (0,), lanes * device_count())

    def call() -> Demos:
        return rollout(task.env, task.expert, policy, behaviour, keys, horizon=horizon, record=RECORD, block=lanes)

    return call


def judged(returns: np.ndarray, references: dict[str, Any] | None) -> dict[str, Any] | None:
    """Mean of returns `[N]` against the manifest's expert: z of the difference, and whether all is one law; None without a manifest.

    `inside`: the mean lies in the manifest's own 95 % interval, which says nothing of the noise in the mean and is for reading.
    """
    if references is None:
        return None
    expert, chance = references["expert"], references["random"]["mean"]
    se = math.hypot(
        returns.std(ddof=1) / math.sqrt(len(returns)), (expert["ci"][1] - expert["ci"][0]) / (2 * norm.ppf(0.975))
    )
    gap = float(returns.mean() - expert["mean"])
    close = abs(gap) <= ROUNDING * abs(expert["mean"] - chance)
    z = gap / se if se > 0 else None
    robots = sum("brax" in entry.tags for entry in registry.entries("tasks").values())
    return {
        "mean": float(returns.mean()),
        "n": len(returns),
        "reference": expert["mean"],
        "interval": expert["ci"],
        "inside": bool(expert["ci"][0] <= returns.mean() <= expert["ci"][1]),
        "z": z,
        "agrees": bool(close or (z is not None and abs(z) <= norm.ppf(1 - ALPHA / (2 * robots)))),
    }


def measured(job: Job) -> dict[str, Any]:
    """One row: seconds of the faster of two calls after one that compiles, and whether those two were the same bits."""
    task = registry.task(job.robot)
    horizon = task.horizon if job.steps is None else min(job.steps, task.horizon)
    call, before = rolled(task, job.lanes, horizon), COMPILE_SECONDS[0]
    call()
    compiling, times, found = COMPILE_SECONDS[0] - before, [], []
    for _ in range(2):
        started = time.perf_counter()
        found.append(call())
        times.append(time.perf_counter() - started)
    rate = job.lanes * device_count() * horizon / min(times)
    bits = [[np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(demos)] for demos in found]
    returns = np.asarray(found[0].reward, np.float64)[0].sum(-1)
    if not np.isfinite(returns).all():
        raise ValueError(f"{int((~np.isfinite(returns)).sum())} of {len(returns)} returns are not finite")
    return {
        "robot": job.robot,
        "lanes": job.lanes,
        "steps": horizon,
        "frames": frames(job.robot),
        "compile, seconds": compiling,
        "seconds": min(times),
        "env steps per second": rate,
        "physics steps per second": rate * frames(job.robot),
        "repeats": bits[0] == bits[1],
        "returns": judged(returns, weights.references(task)) if job.steps is None else None,
    }


def of_devices() -> dict[str, Any]:
    """What the numbers depend on beside the code."""
    return {
        "devices": f"{device_count()} x {jax.devices()[0].device_kind}",
        "platform": jax.default_backend(),
        "packages": {n: metadata.version(n) for n in ("jax", "jaxlib", "brax")} | {"ilbench": ilbench.__version__},
        "precision": jax.config.values.get("jax_default_matmul_precision"),
        "flags": process.flags(),
    }


def everything(
    todo: list[Job], limit: float, keep: Callable[[dict[str, Any]], None], say: Callable[[str], None]
) -> dict[str, Any]:
    """All rows that can be had in `limit` seconds; `keep` gets what there is after every one.

    What fails costs its row and no other, and its reason is kept. A row is taken to last as long as the robot's one before it, and is
    left out where that is too long.
    """
    started, took = time.perf_counter(), dict.fromkeys((job.robot for job in todo), 0.0)
    out: dict[str, Any] = {"format": FORMAT, **of_devices(), "rows": [], "failed": [], "left_out": [], "seconds": 0.0}
    for job in todo:
        begun = time.perf_counter()
        if begun - started + took[job.robot] > limit:
            out["left_out"].append([job.robot, job.lanes])
        else:
            say(f"{job.robot}: {job.lanes} episodes side by side, {begun - started:.0f} s of {limit:.0f}")
            try:
                out["rows"].append(measured(job))
            except (
                RuntimeError,
                ValueError,
            ) as error:  # no memory, a compiler that gives up: the others are still to come
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                out["failed"].append([job.robot, job.lanes, reason[:300]])
            took[job.robot] = time.perf_counter() - begun
        out["seconds"] = time.perf_counter() - started
        keep(out)
    return out


def run(asked: Asked, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures what is asked for and keeps it in `asked.out`. Raises ValueError, before anything is measured, for what is no robot."""
    every = tuple(name for name, entry in registry.entries("tasks").items() if "brax" in entry.tags)
    robots = every if asked.robots == "all" else tuple(name.strip() for name in asked.robots.split(","))
    for name in robots:
        if name not in every:
            raise registry.unknown("tasks", name, list(every))
    sizes = tuple(map(int, asked.lanes.split(","))) if asked.lanes else SIZES.get(jax.default_backend(), OTHERS)
    if min(*sizes, asked.steps) < 1 or sizes[0] * device_count() < 2:
        raise ValueError(
            f"lanes and steps are at least 1, and returns of 2 episodes or more are judged; got {sizes} and {asked.steps}"
        )

    def keep(found: dict[str, Any]) -> None:
        if asked.out is not None:
            write_atomic(asked.out, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())

    return everything(jobs(robots, sizes, asked.steps), asked.limit_seconds, keep, say)


def sound(found: dict[str, Any]) -> bool:
    """Whether something was measured, nothing failed, every rollout repeats, and every expert's returns are those of its manifest."""
    rows = found["rows"]
    return (
        bool(rows)
        and not found["failed"]
        and all(r["repeats"] and (r["returns"] is None or r["returns"]["agrees"]) for r in rows)
    )
