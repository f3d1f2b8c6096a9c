"""`ilbench doctor`: is this installation fit to run, and are the records sound? One row per check."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import subprocess
import sys
from typing import Any

from ilbench import registry
from ilbench.compute import arithmetic, process
from ilbench.records import store


def _row(check: str, ok: bool, found: str) -> dict[str, Any]:
    return {"check": check, "ok": ok, "found": found}


def _versions() -> dict[str, Any]:
    names = ("jax", "jaxlib", "brax", "flax", "optax", "mujoco", "mujoco-mjx", "numpy")
    return _row("packages", True, ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names))


def _pins() -> dict[str, Any]:
    a, b = (importlib.metadata.version(n) for n in ("mujoco", "mujoco-mjx"))
    return _row(
        "mujoco = mujoco-mjx", a == b, f"{a}, {b}" + ("" if a == b else ": install the locked versions (make quick)")
    )


def _devices() -> dict[str, Any]:
    import jax

    devices = jax.devices()
    return _row("devices", True, f"{len(devices)} x {devices[0].device_kind} ({jax.default_backend()})")


def _arithmetic() -> dict[str, Any]:
    """The known answers, computed anew: a pass that is remembered says nothing of the packages of today."""
    wrong = arithmetic.faults()
    return _row(
        "arithmetic", not wrong, arithmetic.message(wrong) if wrong else f"{len(arithmetic.PIECES)} known answers right"
    )


def _settings() -> dict[str, Any]:
    found = process.settings()
    said = ", ".join(f"{name} {value}" for name, value in found.items())
    return _row("settings that move bits", True, f"recorded: {said}" if found else "as pinned")


def _cache() -> dict[str, Any]:
    import jax

    folder = jax.config.values.get("jax_compilation_cache_dir")
    if not folder:
        return _row("compile cache", False, "off: every process compiles anew")
    path = pathlib.Path(folder)
    files = [p for p in path.rglob("*") if p.is_file()]
    size = sum(p.stat().st_size for p in files) / 2**20
    return _row("compile cache", os.access(path, os.W_OK), f"{len(files)} files, {size:.0f} MB in {path}")


def _experts() -> list[dict[str, Any]]:
    rows = []
    for name, entry in registry.entries("tasks").items():
        if "brax" not in entry.tags:
            continue
        try:
            task = registry.task(name)
            rows.append(_row(f"expert of {name}", True, f"{task.name}, horizon {task.horizon}, weights sound"))
        except (ValueError, OSError) as error:
            rows.append(_row(f"expert of {name}", False, str(error)))
    return rows


def _stdout() -> dict[str, Any]:
    """Importing Brax prints to stdout when warp is missing; through ilbench it must not, or `--json` breaks."""
    code = "import ilbench.envs._brax as b; b.names()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    clean = done.returncode == 0 and not done.stdout
    return _row(
        "clean stdout", clean, "nothing printed by imports" if clean else repr((done.stdout or done.stderr)[-200:])
    )


def _records(results: str) -> dict[str, Any]:
    if not os.path.isdir(results):
        return _row("records", True, f"no folder {results}/ yet")
    records, problems = store.read_all(results, sidecars=True)
    found = f"{len(records)} sound in {results}/" + "".join(f"; {p.path}: {p.reason}" for p in problems[:5])
    return _row("records", not problems, found)


def examine(results: str) -> list[dict[str, Any]]:
    """All checks as rows `{check, ok, found}`; raises ValueError, before any of them, for results that are a file."""
    if os.path.exists(results) and not os.path.isdir(results):
        raise ValueError(f"--results {results!r} is not a folder; give the folder of records, e.g. runs or results")
    from ilbench.compute.parallel import setup

    setup()
    return [
        _versions(),
        _pins(),
        _devices(),
        _arithmetic(),
        _settings(),
        _cache(),
        *_experts(),
        _stdout(),
        _records(results),
    ]
