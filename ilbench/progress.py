"""Progress on stderr: a bar on a terminal, plain lines elsewhere; silence on request. stdout stays clean."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

EVERY = 10.0  # seconds between plain lines


@dataclass
class Counter:
    """Units of work (cells, checks) done, cached and failed out of `total`."""

    total: int
    done: int = 0
    cached: int = 0
    failed: int = 0
    unit: str = "cells"
    started: float = field(default_factory=time.monotonic)

    def eta(self) -> str:
        """Seconds to go at the pace so far, as text; `?` before the first."""
        left = self.total - self.done - self.cached - self.failed
        if not self.done:
            return "?" if left else "0s"
        seconds = (time.monotonic() - self.started) / self.done * left
        return f"{seconds:.0f}s" if seconds < 90 else f"{seconds / 60:.1f}min"

    def text(self, label: str) -> str:
        """One line that says where the run is."""
        return f"{self.done} done, {self.cached} cached, {self.failed} failed of {self.total} {self.unit}; ETA {self.eta()}; now {label}"


@contextmanager
def reporter(total: int, quiet: bool = False, unit: str = "cells") -> Iterator[tuple[Counter, Any]]:
    """Yields `(counter, show)`; `show(label)` prints where the run is, as a bar where stderr is a terminal."""
    counter = Counter(total, unit=unit)
    if quiet:
        yield counter, lambda label: None
        return
    if not sys.stderr.isatty():
        last = [0.0]

        def line(label: str) -> None:
            if time.monotonic() - last[0] >= EVERY or label == "finished":
                last[0] = time.monotonic()
                print(f"ilbench: {counter.text(label)}", file=sys.stderr, flush=True)

        yield counter, line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    with Progress(BarColumn(bar_width=24), TextColumn("{task.description}"), console=console, transient=True) as bar:
        task = bar.add_task("starting", total=total)

        def update(label: str) -> None:
            finished = counter.done + counter.cached + counter.failed
            bar.update(task, completed=finished, description=counter.text(label))

        yield counter, update
