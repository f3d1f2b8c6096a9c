"""Ctrl-C that is neither lost nor a traceback: while modules load, in the middle of work, a second time, and at the end.

early        modules load; nothing has been done --> one line, exit 130
remembered   work --> KeyboardInterrupt, and if C code that calls back into Python swallows it, raised again between units;
             on the command line a second one ends the process without a word: the store is safe against a kill
over         everything asked for is done and printed --> nothing
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

LINE = "ilbench: interrupted; what is committed stays, repeat the command to go on"
CODE = 130  # what a shell says of a command ended by Ctrl-C
SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it

_asked = False  # whether Ctrl-C was pressed since the outermost `remembered` began
_final = False  # whether a second one ends the process


def _leave(said: bytes) -> None:
    with contextlib.suppress(OSError):
        os.write(2, said)
    os._exit(CODE)


def _at_once(number: int, frame: Any) -> None:
    _leave(f"{LINE}\n".encode())


def _ask(number: int, frame: Any) -> None:
    global _asked
    if _asked and _final:
        _leave(SHOW_CURSOR if os.isatty(2) else b"")
    _asked = True
    signal.default_int_handler(number, frame)


def _ours() -> bool:
    """Whether Ctrl-C is Python's or ours to handle: a caller's handler is left alone, and so is a signal that is ignored."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _at_once, _ask)


def early() -> None:
    """For a process that is a command, before it loads anything: Ctrl-C says one line and ends it."""
    if _ours():
        signal.signal(signal.SIGINT, _at_once)


def over(code: object) -> None:
    """For a process that is a command, after its last output: Ctrl-C while the interpreter is taken down changes nothing.

    An interrupted one is not taken down at all: Python would turn its exit code into a signal's where the interrupt came while
    source text was executed, as dataclasses do.
    """
    if _ours():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if code == CODE:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        os._exit(CODE)


def _unraisable(before: Callable[[Any], None]) -> Callable[[Any], None]:
    """The hook for errors where none can be raised, e.g. while memory is collected: an interrupt is remembered anyway."""
    return lambda seen: None if _asked and isinstance(seen.exc_value, KeyboardInterrupt) else before(seen)


@contextlib.contextmanager
def remembered(final: bool = False) -> Iterator[Callable[[], None]]:
    """Yields `check`, which raises KeyboardInterrupt if one was asked for and swallowed (pydantic's serializer does it).

    Only where Python's own handler is in force and in the main thread. `final`: a second Ctrl-C ends the process.
    """
    global _asked, _final

    def check() -> None:
        if _asked:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if not _ours():
        yield lambda: None
        return
    if before is _ask:  # inside another one
        yield check
        return
    _asked, _final = False, final
    hook, sys.unraisablehook = sys.unraisablehook, _unraisable(sys.unraisablehook)
    signal.signal(signal.SIGINT, _ask)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook
