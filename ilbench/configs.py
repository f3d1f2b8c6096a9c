"""Config dataclasses from what a person writes: the text of a `--set` becomes the type that the field declares."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from ilbench.names import hint

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?")


def read(value: Any) -> Any:
    """What the text of a `--set` means: JSON where it is some, else the text itself; NumPy numbers as Python's."""
    if hasattr(value, "tolist"):  # configs are written as JSON, which knows no NumPy
        return value.tolist()
    if isinstance(value, str):
        if NUMBER.fullmatch(value):  # JSON wants a digit on either side of a point, and no plus
            return float(value)
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(value.lower() if value in ("True", "False") else value)
    return value


def cast(prefix: str, name: str, kind: Any, value: Any) -> Any:
    """`value` as the type a config field declares; raises ValueError that names the field, the value and the type."""
    given = value
    if kind is not str:
        value = read(value)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        kinds = [k for k in typing.get_args(kind) if k is not types.NoneType]
        return cast(prefix, name, kinds[0], given) if len(kinds) == 1 else value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e300 else math.inf
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        if not isinstance(value, (list, tuple)):
            what = getattr(item, "__name__", str(item))
            raise ValueError(f"{prefix}.{name} must be a list of {what}, in brackets, got {value!r}")
        return tuple(cast(prefix, f"{name}[{i}]", item, v) for i, v in enumerate(value))
    plain = kind if isinstance(kind, type) else None
    if plain in (int, float, bool, str) and (
        not isinstance(value, plain) or (plain is int and isinstance(value, bool))
    ):
        raise ValueError(f"{prefix}.{name} must be {plain.__name__}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{prefix}.{name} must be a finite number, got {given!r}")
    return value


def build_config(prefix: str, cls: Any, given: Mapping[str, Any]) -> Any:
    """A config dataclass from `{"field": value}`; raises ValueError for unknown fields, with the closest match."""
    hints = typing.get_type_hints(cls)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls)}
    for name in given:
        if name not in known:
            raise ValueError(f"{prefix} has no field {name!r}. {hint(name, known, before=f'{prefix}.')}")
    return cls(**{name: cast(prefix, name, known[name], value) for name, value in given.items()})


# ---------------------------------------------------------------------------------------- and back to text
def stated(config: Any) -> dict[str, Any]:
    """The fields of a config dataclass as plain values, tuples as lists: what a cell says of it.

    A field with `metadata={"neutral": True}` is left out while it has its default: a setting that came later and leaves
    every number as it was at the default changes no id. One that changes numbers there must not be neutral.
    """
    out = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if not (f.metadata.get("neutral", False) and _is_default(f, value)):
            out[f.name] = _plain(value)
    return out


def spelled(prefix: str, config: Any) -> dict[str, Any]:
    """`stated` with the names that `--set` takes: `{"dagger.rounds": 5, ...}`."""
    return {f"{prefix}.{name}": value for name, value in stated(config).items()}


def _is_default(f: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a neutral field has its default; raises TypeError for one that has none: nothing would be neutral."""
    if f.default is not dataclasses.MISSING:
        default = f.default
    elif f.default_factory is not dataclasses.MISSING:
        default = f.default_factory()
    else:
        raise TypeError(f"the neutral field {f.name!r} has no default; give it the value that changes no number")
    return type(value) is type(default) and bool(value == default)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return stated(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value
