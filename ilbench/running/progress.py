"""Progress on stderr: a bar on a terminal, plain lines elsewhere; silence on request. stdout stays clean.

Between two units of work is also where a Ctrl-C that was swallowed is raised again (ilbench/running/interrupt.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ilbench.running import interrupt

EVERY = 10.0  # seconds between plain lines
BAR = 16  # columns of the bar; the rest of the line says what it means


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

    def short(self, label: str, columns: int) -> str:
        """The same in so many columns: what is least needed is left out first, and the label is cut."""
        finished = self.done + self.cached + self.failed
        failed = f", {self.failed} failed" if self.failed else ""
        for known in (f" ({self.cached} cached{failed})", failed, ""):
            start = f"{finished}/{self.total} {self.unit}{known}, ETA {self.eta()}: "
            room = columns - len(start)
            if len(label) <= room or (room >= 24 and not known):
                break
        return (start + label if len(label) <= room else start + label[: max(0, room - 1)] + "\N{HORIZONTAL ELLIPSIS}")[
            :columns
        ]


def several(labels: Sequence[str]) -> str:
    """Labels of what runs at the same time, as one: the first that is not done yet, and how many more."""
    return labels[0] + (f" and {len(labels) - 1} more" if len(labels) > 1 else "")


@contextmanager
def reporter(total: int, quiet: bool = False, unit: str = "cells") -> Iterator[tuple[Counter, Callable[[str], None]]]:
    """Yields `(counter, show)`; `show(label)` prints where the run is, as a bar where stderr is a terminal.

    `show` raises KeyboardInterrupt where one was asked for and got lost in the work before it.
    """
    counter = Counter(total, unit=unit)
    with interrupt.remembered() as check, _display(counter, quiet) as display:

        def show(label: str) -> None:
            check()
            display(label)

        yield counter, show


@contextmanager
def _display(counter: Counter, quiet: bool) -> Iterator[Callable[[str], None]]:
    if quiet:
        yield lambda label: None
        return
    if not sys.stderr.isatty():
        last = [0.0]

        def line(label: str) -> None:
            if time.monotonic() - last[0] >= EVERY or label == "finished":
                last[0] = time.monotonic()
                print(f"ilbench: {counter.text(label)}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    text = TextColumn("{task.description}", markup=False)  # labels have square brackets
    with Progress(BarColumn(bar_width=BAR), text, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=counter.total)

        def update(label: str) -> None:
            finished = counter.done + counter.cached + counter.failed
            bar.update(task, completed=finished, description=counter.short(label, console.width - BAR - 2))

        yield update
