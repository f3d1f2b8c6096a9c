"""What prose, comments and texts name is there: files, modules, and names in them."""

import ast
import pathlib
import re

import modules
import pytest
from modules import ROOT

from ilbench import registry

TESTS = sorted(pathlib.Path(__file__).parent.rglob("*.py"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "results").glob("*.md"), *(ROOT / "results").glob("*/*.md")]
PLAIN = [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "hatch_build.py", ROOT / "tests" / "mutants.txt"]
TEXTS = [*modules.FILES.values(), *TESTS, *PAGES, *PLAIN]
PATH = re.compile(r"(?<![\w/.{-])(?:ilbench|envs|bench|tests|results)/[\w@+./-]*\.(?:py|md|json|txt|js)\b")
FILE = re.compile(r"(?<![\w/@.-])[A-Za-z_]+\.(?:py|md)\b")
IMPORT = re.compile(r"\bfrom (ilbench[\w.]*) import (\w+(?:(?: as \w+)?, *\w+)*)")
MEMBER = re.compile(r"`([a-z_]+)\.(?!py\b|md\b)([a-z_]\w*)[`(]")
OTHERS = {"ilbench.record", *(f"ilbench.{kind}" for kind in registry.KINDS)}  # a schema, and groups of entry points
SETTINGS = ("fit", "policy", "brax", "lab")  # modules named as settings (`fit.updates`), another package, an object


@pytest.mark.parametrize("file", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_named_exists(file):
    """Paths and dotted names, those in programs that tests start too; NAME in a path stands for any."""
    text = file.read_text(encoding="utf-8")
    assert not [path for path in PATH.findall(text) if "NAME" not in path and not (ROOT / path).is_file()]
    dotted = set(re.findall(r"\bilbench(?:\.[a-z_]\w*)+", text)) - OTHERS
    for module, names in IMPORT.findall(text):
        dotted |= {f"{module}.{name}" for name in re.findall(r"\w+", re.sub(r" as \w+", "", names))}
    assert not sorted(name for name in dotted if not _there(name))
    if file not in TESTS and file.name != "tutorial.md":  # they invent files
        assert not set(FILE.findall(text)) - {path.name for path in TEXTS}
        assert not [f"{stem}.{name}" for stem, name in MEMBER.findall(text) if _lost(stem, name)]


@pytest.mark.parametrize("file", modules.FILES.values(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_claimed_was_looked_up_or_derived(file):
    assert not re.search(r"from memory|(not|un)[ -]?(confirmed|verified)", file.read_text(encoding="utf-8"), re.I)


def _there(dotted):
    """Whether a dotted name is a module, or a name that a module defines or imports."""
    module = modules.named(dotted)
    rest = dotted.split(".")[1 + (len(module.split(".")) if module else 0) :]
    if not rest or rest[0].startswith("__") or (module == "" and rest[0] in ("run", "load_records", "setup")):
        return True
    imports = [node for node in ast.walk(modules.TREES[module]) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return rest[0] in modules.defined(module) | {alias.asname or alias.name for node in imports for alias in node.names}


def _lost(stem, name):
    """Whether `stem.name` looks like a module and a name in it, and is not."""
    meant = [] if stem in SETTINGS else [m for m, path in modules.FILES.items() if path.stem == stem]
    return bool(meant) and not any(name in modules.defined(m) for m in meant)
