"""The speed table on a terminal and as a page, and on disk: speed@1/speed.json and SPEED.md beside it."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from ilbench.display.tables import Table, markdown
from ilbench.display.tables import text as render
from ilbench.records.files import write_atomic

FOLDER = "speed@1"  # where the figures lie, beside the suites' records
RATES = {  # what a column shows, and its key in the figures
    "one vmap, 1 device": "raw, one vmap",
    "blocks, 1 device": "raw, in blocks, one device",
    "blocks": "raw, in blocks, all devices",
    "lanes last": "raw, lanes last, all devices",
    "rollout": "rollout, full record",
    "collection": "collection with labels",
    "evaluation": "evaluation",
    "generate_unroll, 1 device": "brax generate_unroll",
}
RATIOS = {
    "rollout / blocks": "rollout / raw in blocks of vmap",
    "rollout / best raw": "rollout / best raw",
    "rollout / one vmap": "rollout / one vmap",
    "best raw / one vmap": "best raw / one vmap",
    "rollout / generate_unroll": "rollout / generate_unroll",
}
NOTES = (
    "one vmap, blocks: Brax's own step, lanes first, in one batch or in blocks that fit the cache. lanes last: the same step,",
    "batch axis last. rollout: policy and expert (2x64 MLPs), every field recorded; collection and evaluation record less.",
    "generate_unroll: brax.training.acting under its defaults. It and one vmap run on one device, as Brax leaves them; what has no",
    "number of devices runs on all. Every ratio is of one run of its robot; compiling is apart. On the pendulums, whose step takes a",
    "microsecond, a rollout is faster than the raw loops, which are no floor there.",
)


PHYSICS = (
    "An env step is so many physics steps: Brax's n_frames, on the backend of the task. Rates as in the table of env steps, times that.",
)


def _physics(found: dict[str, Any]) -> list[Table]:
    """Physics steps per second, of the robots whose figures say how many make an env step: earlier ones do not."""
    rows = [
        (name, str(f["frames"]), *(f"{f[key] * f['frames']:,.0f}" for key in RATES.values()))
        for name, f in found["robots"].items()
        if "frames" in f
    ]
    title = f"Physics steps per second ({found['devices']})"
    return [Table(title, ("robot", "per env step", *RATES), rows, PHYSICS)] if rows else []


def tables(found: dict[str, Any]) -> list[Table]:
    """Rates and ratios of the robots, and the whole jobs."""
    taken = found["devices"]
    out = []
    if found["robots"]:
        robots = found["robots"].items()
        rates = [
            (
                name,
                f"{f['envs']:,} x {f['steps']}",
                str(f["block"]),
                str(f["rounds"]),
                *(f"{f[key]:,.0f}" for key in RATES.values()),
            )
            for name, f in robots
        ]
        ratios = [(name, *(f"{f[key]:.2f}" for key in RATIOS.values())) for name, f in robots]
        title = f"Env steps per second ({taken})"
        out = [
            Table(title, ("robot", "envs x steps", "block", "fastest of", *RATES), rates, NOTES),
            *_physics(found),
            Table("Ratios", ("robot", *RATIOS), ratios),
        ]
    if found["jobs"]:
        jobs = [
            (title, name, f"{value:,.0f}" if value >= 1000 else f"{value:.3f}")
            for title, figures in found["jobs"].items()
            for name, value in figures.items()
        ]
        notes = (
            "floor: env steps at the raw rate + the networks' operations at the rate of 512 x 512 products.",
            "Memory: peak above what the process held before, Linux only.",
        )
        out.append(Table(f"Whole jobs ({taken})", ("job", "figure", "value"), jobs, notes))
    return out


def blocks(found: dict[str, dict[str, float]], rounds: int) -> str:
    """For a terminal: env steps per second by robot and block size."""
    sizes = next(iter(found.values()), {})
    rows = [(name, *(f"{rate:,.0f}" for rate in rates.values())) for name, rates in found.items()]
    return render([Table(f"Env steps per second by lanes of a block, fastest of {rounds}", ("robot", *sizes), rows)])


def text(found: dict[str, Any]) -> str:
    """For a terminal."""
    return render(tables(found))


def page(found: dict[str, Any]) -> str:
    """SPEED.md."""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    head = (
        f"# Speed\n\n`ilbench bench speed --robots NAMES --out results` fills it, a robot at a time ({packages}).\n\n"
    )
    return head + markdown(tables(found)) + "\n"


def load(folder: pathlib.Path) -> dict[str, Any]:
    """The figures stored in `folder`/speed@1; raises OSError, and ValueError for what is no such file."""
    return json.loads((folder / FOLDER / "speed.json").read_text(encoding="utf-8"))


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What is new in place of the same robots and jobs of old; new alone if devices or packages are others."""
    if any(old[name] != new[name] for name in ("devices", "packages")):
        return new
    robots, jobs = ({**old[name], **new[name]} for name in ("robots", "jobs"))
    return {**new, "robots": dict(sorted(robots.items())), "jobs": jobs}


def save(found: dict[str, Any], folder: pathlib.Path) -> pathlib.Path:
    """Writes speed.json and SPEED.md to `folder`/speed@1, keeping other robots of the same machine; the page. Raises OSError."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    if (folder / FOLDER / "speed.json").is_file():
        found = merge(load(folder), found)
    rounded = json.loads(json.dumps(found), parse_float=lambda x: float(f"{float(x):.5g}"))
    write_atomic(folder / FOLDER / "speed.json", (json.dumps(rounded, indent=1) + "\n").encode())
    write_atomic(folder / FOLDER / "SPEED.md", page(rounded).encode())
    return folder / FOLDER / "SPEED.md"
