"""Cells whose results are kept: run again they give the same bits on the same platform, and nearly the same elsewhere.

    python -m tests.golden                 compares what this code gives with tests/golden.json, and names what differs
    python -m tests.golden --write         runs all of them and keeps what they give, with the platform they were made on
    python -m tests.golden --write hopper  the same for those whose name holds a word, on the platform of the others

A number that changes here changes every record that was ever shipped: write it anew only with the reason at hand.
"""

from __future__ import annotations

import hashlib
import json
import math
import pathlib
import platform
import sys
from typing import Any

PATH = pathlib.Path(__file__).with_name("golden.json")
DEVICES = 2  # as tests/conftest.py sets them
SEEDS = (0, 3)
CONTROL = {"fit.updates": 60, "fit.batch": 32, "fit.learning_rate": 3e-3}
ROBOT = {"fit.updates": 100, "fit.batch": 64, "fit.learning_rate": 3e-3}

# name: (block, what scores may differ by on another platform). A table counts integers, least squares and a net's first
# steps differ by rounding; where a policy decides between two actions, or contacts are chaotic, rounding becomes another
# episode, and only the size of a number is kept.
CELLS: dict[str, tuple[dict[str, Any], float]] = {
    "cliff/dialled": (
        {"task": "cliff", "algorithm": "dialled", "head": "table", "budget": 0, "horizon": 20, "config": {"dialled.eps": 0.03}},
        1e-6,
    ),
    "gridworld/bc": (
        {"task": "gridworld", "algorithm": "bc", "head": "table", "budget": 200, "horizon": 40, "config": {"table.unseen": "wrong"}},
        1e-6,
    ),
    "gridworld/dagger": (
        {
            "task": "gridworld", "algorithm": "dagger", "head": "table", "budget": 320, "horizon": 40,
            "config": {"dagger.rounds": 3, "dagger.schedule": "geometric", "dagger.selected": "mixture"},
        },
        1e-6,
    ),
    "double_integrator/noise_bc": (
        {"task": "double_integrator", "algorithm": "noise_bc", "head": "linear", "budget": 120, "horizon": 40},
        1e-2,
    ),
    "double_integrator/noise_injection": (
        {
            "task": "double_integrator", "algorithm": "noise_injection", "head": "linear", "budget": 120, "horizon": 40,
            "config": {"noise_injection.sigma": 0.2, "noise_injection.clean": 0.25},
        },
        1e-2,
    ),
    "double_integrator/ccil": (
        {
            "task": "double_integrator", "algorithm": "ccil", "head": "mse", "budget": 120, "horizon": 40,
            "config": {**CONTROL, "ccil.updates": 40, "ccil.width": 16},
        },
        5e-2,
    ),
    "cartpole/dagger": (
        {
            "task": "cartpole", "algorithm": "dagger", "head": "mlp", "budget": 240, "horizon": 60,
            "config": {**CONTROL, "dagger.rounds": 2},
        },
        0.5,
    ),
}  # fmt: skip
SLOW: dict[str, tuple[dict[str, Any], float]] = {
    "hopper/dagger": (
        {
            "task": "hopper", "algorithm": "dagger", "head": "mse", "budget": 240, "horizon": 60,
            "config": {**ROBOT, "dagger.rounds": 2, "dagger.validate": False},
        },
        0.5,
    ),
}  # fmt: skip


def of_platform() -> dict[str, Any]:
    """What decides the bits of a result: versions, devices, and the features of the processor."""
    import jax
    import jaxlib
    import numpy as np

    features = platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        lines = {line for line in info.read_text().splitlines() if line.startswith(("flags", "Features"))}
        features += "".join(sorted(lines))
    return {
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "features": hashlib.sha256(features.encode()).hexdigest()[:12],
    }


def _digest(arrays: dict[str, Any]) -> str:
    """Of arrays by name: their names, types, shapes and bytes."""
    import numpy as np

    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return found.hexdigest()[:16]


def run(name: str) -> dict[str, Any]:
    """What a cell gives, per seed: scores, labels, steps, returns and costs of its episodes; a digest of its policy."""
    import jax

    from ilbench.evaluation.evidence import Protocol
    from ilbench.running.execute import Session, execute
    from ilbench.running.plan import Block, resolve

    fields, _ = (CELLS | SLOW)[name]
    protocol = Protocol(episodes=8, held_out=8, prefixes=(10,))
    plan = resolve(Block(**fields, seeds=SEEDS, protocol=protocol))
    made = execute(plan, SEEDS, Session())
    leaves = jax.tree_util.tree_flatten_with_path(made.policy.params)[0]
    out: dict[str, Any] = {
        "gradient_steps": made.gradient_steps,
        "policy": _digest({jax.tree_util.keystr(path): leaf for path, leaf in leaves}),
    }
    for o in made.outcomes:
        out[f"seed {o.seed}"] = {
            "status": o.status,
            "labels": o.spent["labels"],
            "env_steps": o.spent["env_steps"],
            "returns": [float(x) for x in o.returns],
            "costs": [float(x) for x in o.costs],
            "scores": {k: None if v is None else float(v) for k, v in sorted(o.scores.items())},
            "variants": {n: dict(sorted(scores.items())) for n, scores in sorted(o.variants.items())},
        }
    return json.loads(json.dumps(out))


def differences(kept: Any, found: Any, same: bool, tolerance: float, at: str = "") -> list[str]:
    """What differs, a line each. With `same` every bit counts; else scores may differ by `tolerance` (in units of the score).

    What was not kept is not compared: a new measure is no difference.
    """
    if isinstance(kept, dict):
        if not isinstance(found, dict):
            return [f"{at}: {found!r} is no longer a group of values"]
        missing = [f"{at}/{k}: {v!r} is gone" for k, v in kept.items() if k not in found]
        inner = [differences(v, found[k], same, tolerance, f"{at}/{k}") for k, v in kept.items() if k in found]
        return missing + [line for lines in inner for line in lines]
    if same:
        return [] if kept == found else [f"{at}: {kept!r} was kept, {found!r} came out"]
    name = at.rsplit("/", 1)[-1]
    if name in ("status", "gradient_steps"):
        return [] if kept == found else [f"{at}: {kept!r} was kept, {found!r} came out"]
    if name == "score" and not (isinstance(kept, float) and isinstance(found, float)):
        return [] if kept == found else [f"{at}: {kept!r} was kept, {found!r} came out"]
    if name == "score" and not math.isclose(kept, found, rel_tol=0, abs_tol=tolerance):
        return [f"{at}: {kept:.6g} was kept, {found:.6g} came out, more than {tolerance:g} apart"]
    if name in ("labels", "env_steps") and tolerance < 0.1 and kept != found:
        return [f"{at}: {kept!r} was kept, {found!r} came out"]
    return []


def compare(name: str, kept: dict[str, Any]) -> list[str]:
    """Runs a cell again and says how it differs from what was kept of it."""
    same = kept["platform"] == of_platform()
    return differences(kept["cells"][name], run(name), same, (CELLS | SLOW)[name][1], name)


def main(arguments: list[str]) -> int:
    """Compares, or with --write keeps anew; 1 where something differs, 2 where nothing was done."""
    import jax

    import ilbench

    write, words = "--write" in arguments, [a for a in arguments if a != "--write"]
    names = [n for n in CELLS | SLOW if not words or any(word in n for word in words)]
    if not names or any(word.startswith("-") for word in words):
        print(f"golden takes --write and words of: {', '.join(CELLS | SLOW)}; got {' '.join(words)}", file=sys.stderr)
        return 2
    ilbench.setup(devices=DEVICES)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    here = of_platform()
    kept = json.loads(PATH.read_text()) if PATH.is_file() else {"platform": here, "cells": {}}
    if not write:
        found = [line for name in names for line in compare(name, kept)]
        print("\n".join(found) or f"as kept, {'bit for bit' if kept['platform'] == here else 'nearly'}")
        return int(bool(found))
    others = {n: cell for n, cell in kept["cells"].items() if n in CELLS | SLOW and n not in names}
    if others and kept["platform"] != here:
        print(
            f"{', '.join(others)} were made on another platform: write all of them anew, without words", file=sys.stderr
        )
        return 2
    cells = others | {name: run(name) for name in names}
    PATH.write_text(json.dumps({"platform": here, "cells": cells}, indent=1, sort_keys=True) + "\n")
    print(f"kept {len(names)} cells")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
