"""`ilbench cite`: what to cite."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit


@dataclass(frozen=True)
class Cite:
    """BibTeX of ilbench and of every method, head and task that a suite runs, as far as their papers are named.

    ilbench cite quick > works.bib
    """

    suite: Positional[str | None] = None
    """Suite that was run, e.g. quick; without one: everything that can be run."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Reads docstrings; computes nothing."""
        from dataclasses import asdict

        from ilbench.report import cite

        if self.suite is None:
            entries = cite.used(None)
        else:
            from ilbench.running.plan import load_suite

            entries = cite.used(load_suite(self.suite).blocks)
        works, none = cite.cited(entries)
        shown = {"ilbench": cite.ours(), "works": [asdict(w) for w in works], "without": none}
        emit(self.json, shown, lambda: print(cite.bibtex(works, none), end=""))
        return 0
