"""`ilbench bench`: speed on this machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from ilbench.commands.output import emit


@dataclass(frozen=True)
class Bench:
    """Measure speed on this machine: every way to step a robot, whole jobs against their floor, memory."""

    what: Positional[Literal["speed", "blocks"]]
    """speed: the table. blocks: env steps/s of each robot by block size (a task's own block never changes)."""
    robots: str = "hopper,halfcheetah"
    """Comma-separated tasks; `all` for every robot with an expert."""
    envs: int = 1024
    """Environments side by side."""
    steps: int = 200
    """Steps of each."""
    rounds: int = 5
    """Rounds through all cases; the fastest counts."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Runs the benchmark; every ratio comes from this one run."""
        from ilbench import registry
        from ilbench.bench import speed
        from ilbench.parallel import setup

        every = [name for name, entry in registry.entries("tasks").items() if "brax" in entry.tags]
        robots = tuple(every if self.robots == "all" else (r.strip() for r in self.robots.split(",")))
        for name in robots:
            if name not in every:
                raise registry.unknown("tasks", name, every)
        setup()

        def say(line: str) -> None:
            print(f"ilbench: {line}", file=sys.stderr, flush=True)

        if self.what == "blocks":
            sizes = (32, 64, 128, 256)
            found = {
                n: speed.blocks(n, sizes, self.steps, self.rounds, lambda t, n=n: say(f"{n}: {t}")) for n in robots
            }
            found = {"devices": "", "rounds": self.rounds, **found}
        else:
            found = speed.everything(robots, self.envs, self.steps, self.rounds, say)
        emit(self.json, found, lambda: print(speed.text(found)))
        return 0
