"""Where trained experts lie, and what is stated about them; read without JAX, so that lists of tasks stay fast.

Weights `<task>@<version>.safetensors` have a manifest `<task>@<version>.json` beside them. Shipped ones are found first.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
from typing import Any

FORMAT = "ilbench-expert-1"
MAX_MANIFEST = 1 << 20  # bytes; one takes some 10,000
SHIPPED = pathlib.Path(__file__).parent / "data"
FOLDER_VARIABLE = "ILBENCH_EXPERTS"


def known_name(task: str) -> str:
    """`task` itself; ValueError unless it is a name with a version, which is then safe as a file name too."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]{0,63}@[0-9]{1,9}", task):
        raise ValueError(f"{task!r} is not a task with its version, such as 'hopper@1'")
    return task


def user_folder() -> pathlib.Path:
    """Where experts trained here are kept: $ILBENCH_EXPERTS, else the user's data folder, without a home experts/."""
    import platformdirs

    if given := os.environ.get(FOLDER_VARIABLE):
        return pathlib.Path(given)
    try:
        return pathlib.Path(platformdirs.user_data_dir("ilbench"), "experts")
    except RuntimeError:  # no HOME, and a user that the system does not know: what took minutes to train is not for /tmp
        return pathlib.Path("experts")


def folders() -> tuple[pathlib.Path, ...]:
    """Where experts are looked for, first match wins: shipped before home-made, unless $ILBENCH_EXPERTS is set."""
    return (user_folder(), SHIPPED) if os.environ.get(FOLDER_VARIABLE) else (SHIPPED, user_folder())


def find(task: str) -> pathlib.Path:
    """Path of the weights of `task` ("hopper@1"); FileNotFoundError that says how to train them."""
    name, places = known_name(task), folders()
    for folder in places:
        if (folder / f"{name}.safetensors").is_file():
            return folder / f"{name}.safetensors"
    stem = name.rsplit("@", 1)[0]
    others = sorted({path.stem for folder in places for path in folder.glob(f"{stem}@*.safetensors")})
    hint = f" There is {', '.join(others)}, but weights are valid for one version of a task only." if others else ""
    raise FileNotFoundError(
        f"expert_missing: no trained expert for {task!r}.{hint} Train one with: ilbench expert train {stem}"
    )


def refuse(path: pathlib.Path, found: str, expected: str) -> ValueError:
    """The error for a file that is not what it should be."""
    return ValueError(f"refused expert weights {path.name}: found {found}, expected {expected}")


def manifest(task: str) -> dict[str, Any]:
    """What is stated about the expert of `task`: training, curve, survival, references; FileNotFoundError if none."""
    path = find(task).with_suffix(".json")
    if not path.is_file():
        raise FileNotFoundError(f"the expert {task!r} has no manifest {path.name} beside its weights; train it again")
    try:
        if (size := path.stat().st_size) > MAX_MANIFEST:
            raise refuse(path, f"{size} bytes", f"at most {MAX_MANIFEST}")
        stated = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refuse(path, f"no JSON ({error})", "the manifest of an expert") from error
    if not isinstance(stated, dict) or stated.get("format") != FORMAT or stated.get("task") != task:
        of = stated.get("task") if isinstance(stated, dict) else None
        raise refuse(path, f"a manifest of {of!r}", f"one of {task!r} in format {FORMAT!r}")
    return stated


def kind(tags: tuple[str, ...]) -> str:
    """What the expert of a task with these tags is: trained, made from a trained one, exact or closed form."""
    if "brax" in tags:
        return "trained"
    if "robot" in tags:  # whose physics is a Brax robot's: so is the expert, from the one that ships
        return "made from a trained one"
    return "exact" if "tabular" in tags else "closed form"


def line(task: str, tags: tuple[str, ...]) -> str:
    """The expert of `task` ("hopper@1") in a few words: return, survival, and the score of its clone where it is known."""
    if kind(tags) != "trained":
        return kind(tags)
    try:
        stated = manifest(task)
    except (FileNotFoundError, ValueError) as error:
        return f"none: {str(error).split(':', 1)[0]}"
    report, cloned = stated["report"], stated.get("cloned")
    score = f", clone {cloned['score']:.2f}" if cloned else ""
    mean = report["return"]["mean"]
    shown = f"{mean:,.0f}" if abs(mean) >= 1000 else f"{mean:.4g}"
    return f"return {shown}, {report['survived']:.0%} survive{score}"
