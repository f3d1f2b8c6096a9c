"""The site over HTTP, for this machine alone: files below one folder, no listings, nothing outside."""

from __future__ import annotations

import functools
import http.server
import os
import pathlib
from typing import Any

from ilbench.records.files import inside

HOST = "127.0.0.1"


class _Files(http.server.SimpleHTTPRequestHandler):
    """Regular files below the folder; a link that leads out, and a folder without a page, are not there."""

    def send_head(self) -> Any:
        path = self.translate_path(self.path)
        if not inside(pathlib.Path(path), pathlib.Path(self.directory)) and not os.path.samefile(self.directory, path):
            self.send_error(404)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: what was asked for may hold anything."""


def server(folder: str | pathlib.Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server that is bound and does not run yet; raises ValueError for no site, and OSError for a port that is taken."""
    root = pathlib.Path(folder)
    if not (root / "index.html").is_file():
        raise ValueError(f"{str(folder)!r} holds no site; make one: ilbench report --out {folder}")
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must lie in 0 ... 65535 (0: any that is free), got {port}")
    try:
        return http.server.ThreadingHTTPServer((HOST, port), functools.partial(_Files, directory=str(root)))
    except OSError as error:
        raise OSError(f"port {port} of {HOST}: {error.strerror}; try --port 0") from error
