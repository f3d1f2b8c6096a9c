"""The two pictures of the site in README: `make screenshots` builds the site, and Chromium or Chrome takes them.

A picture states by a digest what of its page it shows (`state`), so that a test can tell that the page says something else by now.
"""

import hashlib
import io
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH = 1280
MARGIN = 24  # rows of pixels without anything below the last thing that is shown


class Shot(NamedTuple):
    """One picture: of which page, opened how, no higher than that, and what on the page decides whether it is current."""

    name: str
    page: str
    opened: str
    height: int
    shows: str  # a pattern, found once


ROWS = "".join(f"&row={name}" for name in ("hg_dagger", "dagger", "noise_injection", "dart", "bc", "constant"))
SHOTS = (
    Shot("site-front.png", "index.html", "", 800, r'<h1>.*?<section class="answers".*?</section>'),
    Shot(
        "site-board.png",
        "suites/repairs@1/index.html",
        f"#?by=score{ROWS}",
        960,
        r"repairs@1: [\d,]+ records, digest \w+",
    ),
)


def state(shot: Shot, html: str) -> str:
    """A digest of what the picture shows of a page."""
    return hashlib.sha256(re.search(shot.shows, html, re.S)[0].encode()).hexdigest()[:16]


def take(browser: str, address: str, height: int) -> Image.Image:
    """What a browser that never saw the page shows, in the light."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "shot.png")
        size = (f"--window-size={WIDTH},{height}", "--force-device-scale-factor=1", "--hide-scrollbars")
        still = (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder}/profile",
            "--virtual-time-budget=3000",
        )
        subprocess.run(
            [browser, *still, *size, f"--screenshot={file}", address], check=True, timeout=120, capture_output=True
        )
        return Image.open(io.BytesIO(file.read_bytes())).convert("RGB")


def cut(picture: Image.Image) -> Image.Image:
    """The picture down to the last gap of MARGIN rows in which nothing stands: no line and no table is cut through."""
    rows = np.asarray(picture)
    empty = (rows == rows[:, :1]).all((1, 2))
    ends = [y for y in range(MARGIN, len(rows) + 1) if empty[y - MARGIN : y].all()]
    return picture.crop((0, 0, picture.width, ends[-1]))


def main() -> None:
    """Takes the pictures of a site, the first argument, into a folder, the second."""
    site, out = map(pathlib.Path, sys.argv[1:3])
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser: one of {', '.join(BROWSERS)} is wanted")
    out.mkdir(exist_ok=True)
    for shot in SHOTS:
        page = (site / shot.page).resolve()
        picture = cut(take(browser, f"{page.as_uri()}{shot.opened}", shot.height))
        said = PngImagePlugin.PngInfo()
        said.add_text("shows", state(shot, page.read_text(encoding="utf-8")))
        picture.quantize(48, dither=Image.Dither.NONE).save(out / shot.name, optimize=True, pnginfo=said)
        print(out / shot.name, picture.size, (out / shot.name).stat().st_size)


if __name__ == "__main__":
    main()
