"""`ilbench submit-check`: can these records be believed?"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit, plain

SHOWN = 20  # lines of each kind; --json has them all


@dataclass(frozen=True)
class SubmitCheck:
    """Check a folder or bundle of records before it is handed in, or after: schema, ids, seals, scores from episodes, arrays, coverage.

    ilbench submit-check runs, or results.zip; exit code 0: sound and whole, 1: sound but something is missing, 2: something is not sound.
    """

    folder: Positional[pathlib.Path]
    """Folder of results, or one suite's folder in it, packed or not; or a zip, tar or tar.gz of one."""
    json: bool = False
    """Print JSON: verdict, suites, wrong, open."""

    def execute(self) -> int:
        """Reads; executes nothing, follows no link out of the folder, leaves a bundle packed, changes nothing."""
        from ilbench.report import submission

        done = submission.check(self.folder)

        def show() -> None:
            print(", ".join(f"{suite}: {n:,} sound records" for suite, n in done.suites.items()))
            for title, lines in (("wrong", done.wrong), ("open", done.open)):
                for line in lines[:SHOWN]:
                    print(f"{title}: {plain(line)}")
                if len(lines) > SHOWN:
                    print(f"{title}: ... and {len(lines) - SHOWN} more (--json has them all)")
            print(done.as_json()["verdict"])

        emit(self.json, done.as_json(), show)
        return done.code
