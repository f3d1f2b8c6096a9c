"""What hatchling adds to a wheel: the shipped results, packed; single records and lost attempts of a checkout stay out."""

from __future__ import annotations

import pathlib
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LOCAL = {"records", "attempts"}  # folders of a suite that runs write into


class ShippedResults(BuildHookInterface[Any]):
    """results/ travels as ilbench/results; an editable install reads the checkout's own."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Names every file of results/ to the builder."""
        if version == "editable":
            return
        root = pathlib.Path(self.root)
        for file in sorted((root / "results").rglob("*")):
            inside = file.relative_to(root)
            if file.is_file() and not file.is_symlink() and not LOCAL & set(inside.parts):
                build_data["force_include"][str(file)] = f"ilbench/{inside.as_posix()}"
