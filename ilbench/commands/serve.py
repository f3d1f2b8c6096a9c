"""`ilbench serve`: the site in a browser."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import say


@dataclass(frozen=True)
class Serve:
    """Serve a site to this machine alone, until Ctrl-C."""

    folder: Positional[str] = "site"
    """Folder that `ilbench report` wrote."""
    port: int = 8000
    """Port of 127.0.0.1; 0 for any that is free."""

    def execute(self) -> int:
        """Serves; does not return by itself."""
        from ilbench.report.site import serve

        with serve.server(self.folder, self.port) as running:
            say(f"http://{serve.HOST}:{running.server_port}/ (Ctrl-C ends it)")
            running.serve_forever()
        return 0
