"""One item of the lecture: what it says, the command that runs it, and the sentence of what came out, made from records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ilbench.display.tables import Table
from ilbench.report.lecture.known import Known


@dataclass(frozen=True)
class Item:
    """What runs has a command and `found`; what does not has `why`."""

    id: str  # what is typed: `ilbench lecture dagger`
    says: str  # what the lecture says, in our words
    command: str = ""  # what follows `ilbench`; empty: not covered
    seconds: float = (
        0.0  # CPU seconds of it, all of the process, as measured (ilbench/report/lecture/contents.py says on what)
    )
    found: Callable[[Known], str] | None = None  # one sentence; every number in it is read or computed
    picture: str = ""  # below the folder of records
    check: str = ""  # of the theory, whose section on the site it leads to
    words: tuple[str, ...] = ()  # what else it is looked for by
    why: str = ""  # it is not covered
    name: str = ""  # as the lecture has it; by default the id
    shows: Callable[[], Table] | None = None  # what `lecture ID` computes itself, where no other command does

    @property
    def title(self) -> str:
        """Its name."""
        return self.name or self.id.replace("_", " ").capitalize()
