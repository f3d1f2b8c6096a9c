"""Ctrl-C that is not lost: code that calls back into Python from C may swallow the KeyboardInterrupt of the signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def remembered() -> Iterator[Callable[[], None]]:
    """Yields `check`, which raises KeyboardInterrupt if one was asked for and swallowed (pydantic's serializer does it).

    Only where Python's own handler is in force and in the main thread; a caller's handler is left alone.
    """
    asked = False

    def handler(number: int, frame: Any) -> None:
        nonlocal asked
        asked = True
        signal.default_int_handler(number, frame)

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
