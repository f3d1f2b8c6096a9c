"""The command line: one file per command in ilbench/commands/.

Tables for people go to stdout, progress and problems to stderr; with `--json` stdout is one JSON document.
Exit codes: 0 ok, 1 error, 2 usage, 3 some cells failed or a check was violated, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import tyro
from tyro.conf import OmitArgPrefixes, subcommand

from ilbench.commands.bench import Bench
from ilbench.commands.convergence import Convergence
from ilbench.commands.doctor import Doctor
from ilbench.commands.expert import Expert
from ilbench.commands.leaderboard import Leaderboard
from ilbench.commands.list import List
from ilbench.commands.pack import Pack
from ilbench.commands.render import Render
from ilbench.commands.run import Run
from ilbench.commands.theory import Theory

Command = (
    Annotated[Run, subcommand("run")]
    | Annotated[List, subcommand("list")]
    | Annotated[Leaderboard, subcommand("leaderboard")]
    | Annotated[Convergence, subcommand("convergence")]
    | Annotated[Theory, subcommand("theory")]
    | Annotated[Expert, subcommand("expert")]
    | Annotated[Render, subcommand("render")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Pack, subcommand("pack")]
    | Annotated[Doctor, subcommand("doctor")]
)


def _line(error: Exception) -> str:
    """What is printed of an error: of the operating system's its reason and path, of pydantic's the first of its list."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename!r}" if error.filename is not None else error.strerror
    listed = getattr(error, "errors", None)
    if callable(listed):
        first, what = listed(include_url=False, include_input=False)[0], getattr(error, "title", "")
        return f"{'.'.join(map(str, (what, *first['loc'])))}: {first['msg']}"
    return str(error)


def main() -> None:
    """Entry point of the `ilbench` command."""
    from ilbench import caches
    from ilbench.store import StoreError

    caches.hush()

    command: Any = tyro.cli(
        OmitArgPrefixes[Command],  # type: ignore[misc, valid-type]
        prog="ilbench",
        description="Imitation learning, measured: run suites, rank algorithms, hold them against the theory.",
    )
    try:
        code = command.execute()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("ilbench: interrupted; what is committed stays, repeat the command to go on", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (ValueError, FileNotFoundError) as error:
        print(f"ilbench: {_line(error)}", file=sys.stderr)
        code = 2
    except (StoreError, OSError) as error:
        print(f"ilbench: {_line(error)}", file=sys.stderr)
        code = 1
    raise SystemExit(code)
