"""`ilbench doctor`: the installation."""

from __future__ import annotations

from dataclasses import dataclass

from ilbench.commands.output import emit, table


@dataclass(frozen=True)
class Doctor:
    """Check the installation: versions, devices, compile cache, experts, records, a clean stdout."""

    results: str = "runs"
    """Folder of records to check."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Runs the checks; exit code 1 when one fails."""
        from ilbench import doctor

        rows = doctor.examine(self.results)
        emit(self.json, rows, lambda: table(rows, "doctor"))
        return 0 if all(r["ok"] for r in rows) else 1
