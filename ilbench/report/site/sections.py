"""Parts of a page, as the template page.html takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ilbench.report.site.book import View


def section(
    heading: str = "",
    text: Sequence[str] = (),
    tables: Sequence[View] = (),
    *,
    anchor: str = "",
    href: str = "",
    code: Sequence[str] = (),
    figures: Sequence[dict[str, Any]] = (),
    image: tuple[str, str] = ("", ""),  # where it lies, and what it shows
    more: tuple[str, str] = ("", ""),  # a file to download, and what it is
) -> dict[str, Any]:
    """One section: heading, paragraphs, commands, pictures, tables, a file."""
    return {
        "anchor": anchor, "heading": heading, "href": href, "text": text, "code": code, "figures": figures, "image": image[0],
        "alt": image[1], "tables": tables, "more": more[0], "more_text": more[1],
    }  # fmt: skip
