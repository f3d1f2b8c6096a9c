"""`ilbench report`: everything as a static site."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from ilbench.commands.output import emit, say

SILENT = 2.0  # seconds without a word


@dataclass(frozen=True)
class Report:
    """Everything as a static site: boards, tasks, algorithms, compounding, theory, where each number comes from.

    It opens from a file, needs no network and no JavaScript.
    """

    suites: Positional[tuple[str, ...]] = ()
    """Suites to show; default: all that have records."""
    out: Annotated[str, arg(aliases=["-o"])] = "site"
    """Folder of the site: new, empty, or an earlier site."""
    results: str | None = None
    """Folder of records; default: runs/, results/ and the shipped records; `shipped` for these alone."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Reads records, writes pages; computes nothing on a device."""
        from ilbench.report.site import build

        started = time.monotonic()

        def progress(text: str) -> None:
            if not self.quiet and time.monotonic() - started > SILENT:
                say(f"report: {text}")

        done = build.run(self.suites, self.out, self.results, progress)
        shown = {
            "folder": done.folder.as_posix(),
            "files": done.files,
            "bytes": done.bytes,
            "suites": list(done.suites),
            "aside": [a._asdict() for a in done.aside],
        }
        emit(
            self.json, shown, lambda: print(f"{done.folder}/index.html: {done.files} files, {done.bytes / 1e6:.1f} MB")
        )
        return 0
