"""`ilbench list`: what can be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from ilbench.commands.output import emit, table


@dataclass(frozen=True)
class List:
    """List what can be run, with the paper of each."""

    kind: Positional[Literal["suites", "tasks", "algorithms", "heads", "measures", "checks"]]
    """What to list."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Reads docstrings and manifests only: no JAX."""
        from ilbench import registry
        from ilbench.experts import manifests
        from ilbench.running import checks

        def more(e: registry.Entry) -> dict[str, str]:
            if self.kind == "tasks":
                return {"tags": ",".join(e.tags), "expert": manifests.line(f"{e.id}@{e.version}", e.tags)}
            if self.kind == "checks":
                return {"words": ", ".join(checks.words(e))}
            if self.kind in ("algorithms", "heads", "measures"):  # without it they are refused, before anything is computed
                return {"needs": ", ".join(dict(e.literals).get("NEEDS", ()))}
            return {}

        rows = [
            {"id": e.id, "what": e.summary, **more(e), "source": e.paper} for e in registry.entries(self.kind).values()
        ]
        emit(self.json, rows, lambda: table(rows, f"{self.kind} ({len(rows)})"))
        return 0
