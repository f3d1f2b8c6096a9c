"""The project's modules as text: where each lies, and what it defines; nothing is imported."""

import ast
import functools
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def _files():
    tops = ((ROOT / "ilbench", ""), (ROOT / "envs", "envs"), (ROOT / "bench", "bench"))
    found = {}
    for top, first in tops:
        for path in sorted(top.rglob("*.py")):
            parts = [*filter(None, [first]), *path.relative_to(top).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


FILES = _files()  # "running.plan": its file; "" is the package itself
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def named(dotted):
    """The longest module that starts a dotted name `ilbench.A.B`; None for what is not ours."""
    top, *parts = dotted.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), -1, -1))
    return next((name for name in names if name in FILES), None) if top == "ilbench" else None


@functools.cache
def defined(module):
    """Names that a module's top level defines itself."""
    found = set()
    for node in TREES[module].body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
    return found
