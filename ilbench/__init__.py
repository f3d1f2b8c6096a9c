"""ilbench: imitation learning, measured. `run`, `load_records` and `setup` are the whole front door.

Importing this package imports neither JAX nor Brax and changes no device, cache or flag;
`ilbench.setup()` and the command line do (see ilbench/compute/parallel.py).
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# envs/ and bench/ are top-level folders of a checkout and sub-packages of the wheel. In a checkout the
# package looks for its sub-packages beside itself too; a user's own envs/ elsewhere is never picked up.
_root = pathlib.Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file() and (_root / "envs" / "__init__.py").is_file():
    __path__.append(str(_root))

_LAZY = {
    "run": "ilbench.running.runner",
    "load_records": "ilbench.records.table",
    "setup": "ilbench.compute.parallel",
}

if TYPE_CHECKING:
    from ilbench.compute.parallel import setup as setup
    from ilbench.records.table import load_records as load_records
    from ilbench.running.runner import run as run

__all__ = ["__version__", "load_records", "run", "setup"]


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        from ilbench.compute import caches

        caches.hush()
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ilbench' has no attribute {name!r}")
