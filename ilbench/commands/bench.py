"""`ilbench bench`: speed on this machine."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tyro.conf import Positional

from ilbench.commands.output import emit

SIZES = (32, 64, 128, 256)  # lanes per block


@dataclass(frozen=True)
class Bench:
    """Measure speed on this machine: every way to step a robot, whole jobs against their floor, memory."""

    what: Positional[Literal["speed", "blocks", "devices", "heads"]]
    """speed: the table. blocks: env steps/s of each robot by block size (a task's own block never changes).
    devices: rollouts of many episodes on whatever JAX finds, whether they repeat, whether the experts are themselves there.
    heads: what every head costs to act and to train, against its floor of arithmetic."""
    robots: str = "hopper,halfcheetah"
    """Comma-separated tasks; `all` for every robot with an expert, `none` for the whole jobs alone."""
    envs: int = 1024
    """Environments side by side."""
    steps: int = 200
    """Steps of each."""
    rounds: int = 5
    """Rounds through all cases; the fastest counts."""
    jobs: bool = True
    """Also the whole jobs (DAgger, behaviour cloning) and memory."""
    scale: bool = False
    """Also two larger jobs: 4,096 whole episodes of hopper side by side, and ten cells of bc on it from nothing to scores."""
    out: pathlib.Path | None = None
    """Folder to keep the table in: speed@1/speed.json and SPEED.md, rewritten after every robot; of devices gpu.json, GPU.md;
    of heads heads.json, HEADS.md."""
    heads: str = "all"
    """heads: comma-separated heads to measure."""
    lanes: str = ""
    """devices: comma-separated episodes side by side on a device; whole episodes at the first size, --steps of them at the others."""
    limit_seconds: float = 540.0
    """devices: no row is begun that would not end by then."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Runs the benchmark; every ratio comes from this one run."""
        from ilbench import registry
        from ilbench.bench import speed
        from ilbench.compute.parallel import setup
        from ilbench.records import store
        from ilbench.report import speed as report

        every = [name for name, entry in registry.entries("tasks").items() if "brax" in entry.tags]
        given = {"all": every, "none": []}.get(self.robots, [r.strip() for r in self.robots.split(",")])
        for name in given:
            if name not in every:
                raise registry.unknown("tasks", name, every)
        for name in ("envs", "steps", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, got {getattr(self, name)}")
        if self.out is not None and self.what == "blocks":
            raise ValueError("--out keeps the table of `bench speed`; `bench blocks` prints its own and has no file")
        if self.out is not None:
            store.preflight(self.out)
        setup()

        def say(line: str) -> None:
            print(f"ilbench: {line}", file=sys.stderr, flush=True)

        if self.what == "heads":
            return self._heads(say)
        if self.what == "devices":
            return self._devices(tuple(given), say)
        if self.what == "blocks":
            found = {n: speed.blocks(n, SIZES, self.steps, self.rounds, lambda t, n=n: say(f"{n}: {t}")) for n in given}
            emit(self.json, found, lambda: print(report.blocks(found, self.rounds)))
            return 0
        keep = (lambda found: None) if self.out is None else (lambda found: report.save(found, self.out))
        figures = speed.everything(tuple(given), self.envs, self.steps, self.rounds, say, keep, self.jobs, self.scale)
        emit(self.json, figures, lambda: print(report.text(figures)))
        return 0

    def _devices(self, robots: tuple[str, ...], say: Callable[[str], None]) -> int:
        """1 where what was measured is not sound."""
        from ilbench.bench import gpu
        from ilbench.report import gpu as report

        rows = None if self.out is None else self.out / report.FOLDER / "gpu.unfinished.json"
        if rows is not None:
            rows.parent.mkdir(parents=True, exist_ok=True)
        found = gpu.run(gpu.Asked(",".join(robots), self.limit_seconds, rows, self.lanes, self.steps), say)
        if self.out is not None and rows is not None:
            say(f"kept in {report.keep(found, self.out)}")
            rows.unlink()
        emit(self.json, found, lambda: print(report.summary(found)))
        return int(not gpu.sound(found))

    def _heads(self, say: Callable[[str], None]) -> int:
        """The table; there is nothing to be unsound."""
        from ilbench.bench import heads
        from ilbench.report import heads as report

        names = () if self.heads == "all" else tuple(name.strip() for name in self.heads.split(","))

        def keep(found: dict[str, Any]) -> None:
            if self.out is not None:
                report.save(found, self.out)

        found = heads.run(names, self.rounds, say, keep)
        emit(self.json, found, lambda: print(report.text(found)))
        return 0
