"""`ilbench render TASK POLICY`: trains or reads the policy, plays both episodes, writes the page and the GIF."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from ilbench import registry
from ilbench.records import files
from ilbench.render import episode, geometry, gif, html
from ilbench.render.film import Film, film
from ilbench.report.standing import standing
from ilbench.rollouts.random import random_policy
from ilbench.running import policies, trained_now
from ilbench.types import Policy, Task

BUILTIN = ("expert", "random")


def _target(path: str | None, suffix: str) -> pathlib.Path | None:
    """A path that can be written; raises ValueError otherwise."""
    if path is None:
        return None
    target = pathlib.Path(path)
    if target.suffix.lower() != suffix:
        raise ValueError(f"{path!r} should end in {suffix}")
    if target.is_dir() or not target.parent.is_dir():
        what = "is a folder" if target.is_dir() else f"cannot be written: there is no folder {str(target.parent)!r}"
        raise ValueError(f"{path!r} {what}")
    return target


def _policy(found: Any, name: str, task: Task, number: int) -> tuple[Policy, str, tuple[str, ...]]:
    """A plain policy, what to call it, and how it was trained."""
    if name == "expert":
        return task.ask(), "the expert itself", ()
    if name == "random":
        return random_policy(task.env.action), "random, uniform over actions", ()
    loaded = policies.build(found)
    return episode.iterate(loaded.policy, number), loaded.source, (*loaded.told, *standing(found))


def make(
    task: str,
    policy: str,
    *,
    horizon: int | None = None,
    seed: int = 0,
    number: int = 0,
    results: str | None = None,
    changes: Mapping[str, Any] | None = None,
    suite: str | None = None,
    say: Any = lambda text: None,
) -> Film:
    """The Film of evaluation episode `number` of `seed`; `policy` is `expert`, `random`, or what `policies.find` takes.

    Raises ValueError (UnknownName with the closest match) before any compute for what cannot be rendered.
    """
    geometry.check(task)
    if number < 0 or seed < 0:
        raise ValueError(f"seed and episode count from 0, got {seed} and {number}")
    found = None
    if policy not in BUILTIN:
        found = policies.find(policy, task, results=results, seed=seed, horizon=horizon, changes=changes, suite=suite)
    elif changes or suite is not None:
        what = f"settings such as {next(iter(changes))}" if changes else f"--suite {suite}"
        raise ValueError(f"{policy} is not trained; {what} need{'' if changes else 's'} ALGORITHM:EPISODES")
    made = registry.task(task, horizon) if found is None else policies.task_of(found)
    doing = f"training {policy}, {found.settings}" if isinstance(found, trained_now.Training) else f"reading {policy}"
    say(f"{made.name}: {doing}")
    learner, label, told = _policy(found, policy, made, number)
    say("playing expert and learner")
    scene = geometry.scene(made)
    return film(made, scene, episode.play(made, learner, scene.pose, seed=seed, number=number), label, told)


def run(
    task: str, policy: str, *, out: str | None, gif_out: str | None, quiet: bool = False, **options: Any
) -> dict[str, Any]:
    """Writes what was asked for and returns it: paths, and what happened, in steps and seconds."""
    page_path = _target(out if out is not None else f"{task.replace(':', '-').replace('/', '-')}.html", ".html")
    gif_path = _target(gif_out, ".gif")
    assert page_path is not None

    def say(text: str) -> None:
        if not quiet:
            print(f"ilbench: {text}", file=sys.stderr, flush=True)

    made = make(task, policy, say=say, **options)
    files.write_atomic(page_path, html.page(made).encode())
    if gif_path is not None:
        say("drawing the GIF")
        gif.save(made, gif_path)
    return {
        "task": made.task,
        "policy": made.policy,
        "trained": list(made.told),
        "horizon": made.horizon,
        "dt_s": made.dt,
        "left_expert_step": made.left,
        "left_expert_s": made.seconds(made.left),
        "first_mistake_step": made.mistake,
        "first_mistake_s": made.seconds(made.mistake),
        "expert_fell_s": made.seconds(made.fallen[0]),
        "learner_fell_s": made.seconds(made.fallen[1]),
        "expert_return": float(made.returns[0, -1]),
        "learner_return": float(made.returns[1, -1]),
        "html": str(page_path),
        "gif": None if gif_path is None else str(gif_path),
    }


def text(done: dict[str, Any]) -> str:
    """What is printed: what happened, and the written paths."""
    left, fell = done["left_expert_s"], done["learner_fell_s"]
    seen = "stays among the expert's states" if left is None else f"leaves the expert's states at {left:.2f} s"
    lines = [
        f"{done['task']}, {done['policy']}: {seen}{'' if fell is None else f', fell at {fell:.2f} s'}; return "
        f"{done['learner_return']:.1f}, expert {done['expert_return']:.1f}",
        *done["trained"],
        *(f"wrote {path}" for path in (done["html"], done["gif"]) if path is not None),
    ]
    return "\n".join(lines)
