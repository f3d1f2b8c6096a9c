"""What `ilbench expert show` prints: how an expert was trained, its learning curve, return and survival."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from ilbench import registry
from ilbench.display.tables import Table, interval, number
from ilbench.display.tables import text as render
from ilbench.experts import manifests

BARS = 28  # characters of the widest bar of the learning curve


def read_manifest(path: pathlib.Path) -> dict[str, Any]:
    """The manifest beside a weights file."""
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def manifest_of(task_id: str) -> dict[str, Any]:
    """The manifest of a task's trained expert; raises ValueError for tasks whose expert is exact or closed form."""
    if task_id not in registry.entries("tasks"):
        from ilbench.envs.brax import untrained

        return manifests.manifest(untrained(task_id).name)
    entry = registry.entry("tasks", task_id)
    if "brax" not in entry.tags:
        raise ValueError(
            f"the expert of {task_id} is {manifests.kind(entry.tags)} and needs no training; trained experts belong to "
            "Brax tasks"
        )
    return manifests.manifest(f"{task_id}@{entry.version}")


def text(manifest: dict[str, Any]) -> str:
    """For a terminal."""
    report = manifest["report"]
    mean = report["return"]
    head = [
        f"expert of {manifest['task']}: {manifest['method']}, weights {manifest['digest'][:12]}",
        f"trained {manifest['env_steps']:,} env steps in {manifest['seconds']:.0f} s on {manifest['devices']}, "
        f"taken at {manifest['chosen_at']:,}",
        f"return {interval(mean['mean'], mean['ci'][0], mean['ci'][1], 4)} (95 %), sd {number(report['return_sd'])}, "
        f"survived {report['survived']:.1%} of {report['episodes']} fresh episodes of {report['horizon']} steps",
    ]
    if "final_distance" in report:
        d = report["final_distance"]
        head.append(f"final distance to the target {interval(d['mean'], *d['ci'])}")
    if "return_quantiles" in report:
        spread = "  ".join(f"{float(q):.0%} {number(v, 4)}" for q, v in report["return_quantiles"].items())
        head.append(f"return by quantile of episodes: {spread}")
    if "cloned" in manifest:
        c = manifest["cloned"]
        head.append(
            f"cloned by a 2x64 MLP from {c['trajectories']} trajectories to a score of "
            f"{interval(c['score'], *c['ci'])} ({c['seeds']} seeds x {c['episodes']} episodes, {c['updates']:,} updates)"
        )
    if "notes" in manifest:
        head.append(manifest["notes"])
    references = [
        (
            h,
            *(interval(ref[who]["mean"], ref[who]["ci"][0], ref[who]["ci"][1], 4) for who in ("random", "expert")),
            str(ref["expert"]["n"]),
        )
        for h, ref in manifest["references_by_horizon"].items()
    ]
    return (
        "\n".join(head)
        + "\n\n"
        + render(
            [
                Table(
                    "Reference returns [95 %]",
                    ("horizon", "random (score 0)", "expert (score 1)", "episodes"),
                    references,
                ),
                _curve(manifest),
            ]
        )
    )


def _curve(manifest: dict[str, Any]) -> Table:
    """At most 16 points of the learning curve with a bar."""
    curve = manifest["curve"]
    shown = curve[:: max(1, len(curve) // 16)]
    if shown[-1] is not curve[-1]:
        shown = [*shown, curve[-1]]
    low, high = min(0.0, *(c[1] for c in curve)), max(c[1] for c in curve)
    rows = [
        (
            f"{c[0] / 1e6:.2f}M",
            number(c[1], 4),
            number(c[2]),
            f"{c[4]:.0%}",
            "#" * round(BARS * (c[1] - low) / max(high - low, 1e-9)),
        )
        for c in shown
    ]
    return Table(
        "Learning curve (deterministic action, validation episodes)", ("env steps", "return", "sd", "survive", ""), rows
    )
