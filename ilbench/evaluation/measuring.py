"""All measures of one evidence at once, and the rules that their values keep; imports no JAX."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ilbench import registry

if TYPE_CHECKING:
    from ilbench.evaluation.evidence import Evidence

LONGEST = 80  # characters of a key: what a record takes


def _check(name: str, key: Any, value: Any) -> None:
    """Raises ValueError for a key or a value that no record takes."""
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST or "/" in key or not key.isprintable():
        raise ValueError(
            f"measure {name!r} returned the key {key!r:.100}; keys are words of at most {LONGEST} characters, no /"
        )
    if value is None or isinstance(value, numbers.Real):
        return
    try:
        kind = np.asarray(value).dtype.kind
    except (ValueError, TypeError):  # ragged, or no array at all
        kind = "O"
    if kind not in "biuf":
        raise ValueError(
            f"measure {name!r}: {key!r} is {value!r:.100} ({type(value).__name__}); a value is a number, an array of "
            "numbers, or None where there is none"
        )


def unmet(entry: registry.Entry, evidence: Evidence) -> str | None:
    """What a measure's literal NEEDS asks for and this evidence lacks, or None: "expert", or a field of Evidence."""
    for need in dict(entry.literals).get("NEEDS", ()):
        if getattr(evidence, "expert_alive" if need == "expert" else need) is None:
            return f"needs {need}"
    return None


def measure_all(evidence: Evidence) -> dict[str, Any]:
    """What every measure of the registry says of one evidence, in one dict; each key has one owner.

    Raises ValueError that names the measure for a key that another measure has, and for what is neither a number, an
    array of numbers nor None. NaN and inf pass: `non_finite` names them, and what they mean is the caller's to say.
    """
    values: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for name, entry in registry.entries("measures").items():
        if unmet(entry, evidence) is not None:
            continue
        found = registry.load("measures", name).measure(evidence)
        if not isinstance(found, Mapping):
            raise ValueError(
                f"measure {name!r} returned {type(found).__name__}; it must return a dict of values by name"
            )
        for key, value in found.items():
            _check(name, key, value)
            if key in owner:
                raise ValueError(f"measures {owner[key]!r} and {name!r} both return {key!r}; rename one of the two")
            owner[key], values[key] = name, value
    return values


def non_finite(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys whose number, or any entry of whose array, is NaN or inf, in order."""
    return tuple(k for k, v in values.items() if v is not None and not np.isfinite(np.asarray(v, np.float64)).all())
