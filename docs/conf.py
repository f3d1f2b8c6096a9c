"""Sphinx: docs/*.md as HTML. Mathematics becomes MathML, which browsers draw by themselves: no script, no network."""

import os
import posixpath
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

project = "ilbench"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Imitation learning, measured",
    "page_width": "1240px",
    "sidebar_width": "200px",
    "body_max_width": "none",
    "code_font_size": "0.74em",  # a table as wide as README's fits
}
html_show_sourcelink = False
html_show_copyright = False
highlight_language = "none"  # what stands in a fence without a name is a table or a command
html_math_renderer = "mathml"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
default_role = "code"


def inline_math(self, node):
    """`$...$`"""
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def display_math(self, node):
    """`$$...$$`"""
    self.body.append(f"<div>{tex2mathml(node.astext(), as_block=True)}</div>")
    raise nodes.SkipNode


def plain(app, what, name, obj, options, lines):
    """Docstrings are prose: outside of `code` no character means anything to Sphinx, and what is indented stays as it stands."""
    kept = []
    for line in lines:
        parts = line.split("`")
        kept.append("`".join(re.sub(r"([*|_\\])", r"\\\1", p) if i % 2 == 0 else p.replace("\\", "\\\\") for i, p in enumerate(parts)))
    text = "\n".join(kept)
    if text.count("`") % 2 or any(line.startswith(" ") for line in lines):
        text = "::\n\n" + "\n".join(f"   {line}" for line in lines)
    lines[:] = [*text.split("\n"), ""]


def outside(app, docname, source):
    """Links to files beside docs/ lead from the built page to the checkout."""
    out = Path(app.outdir) / posixpath.dirname(docname)

    def link(m):
        path, hash_, mark = m[2].partition("#")
        file = (ROOT / "docs" / path).resolve()
        return f'<a href="{os.path.relpath(file, out)}{hash_}{mark}">{m[1]}</a>'

    source[0] = re.sub(r"(?<!!)\[([^\]\[]*)\]\((\.\./[^)\s]+)\)", link, source[0])


def setup(app):
    """Registers the above."""
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("autodoc-process-docstring", plain)
    app.connect("source-read", outside)
