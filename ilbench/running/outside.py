"""A policy from outside, named on the command line: `module:function` or `folder/NAME.py:function`, imported, tried and watched.

Importing it runs its code. Every call is checked: one action per observation, of the task's shape, finite, of a discrete action an
integer that there is; what is not is named with the step. A function that also takes `seed` is a policy for each seed, as S trainings
leave; any other is one policy.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pathlib
import re
import sys
import threading
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench.names import hint, meant
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import LANES
from ilbench.types import Discrete, Policy, Space, Task
from ilbench.wrappers.foreign import foreign

_NAME = r"[^\W\d]\w*"
FILE = re.compile(rf"(?P<where>.+\.py):(?P<what>{_NAME}(\.{_NAME})*)")
MODULE = re.compile(rf"(?P<where>{_NAME}(\.{_NAME})*):(?P<what>{_NAME}(\.{_NAME})*)")
FORM = "f(obs [N, *obs], t [N]) -> actions [N, *action]"
TRIED = 2  # observations of zeros on which a function is tried; a rollout never has so few


class Outside(NamedTuple):
    """What a user's text names: a callable, how messages call it, and whether it takes a seed."""

    name: str
    call: Callable[..., Any]
    seeded: bool


def named(text: str) -> bool:
    """Whether a text has the form of a policy from outside; `bc:20` has not."""
    return bool(FILE.fullmatch(text) or MODULE.fullmatch(text))


# ------------------------------------------------------------------------------------------ importing
def load(text: str) -> Outside:
    """Imports what `module:function` or `folder/NAME.py:function` names; ValueError, with the closest match, for what cannot be called."""
    file = FILE.fullmatch(text)
    found = file or MODULE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} names no function; give MODULE:FUNCTION or ./NAME.py:FUNCTION")
    module = _from_file(pathlib.Path(found["where"])) if file else _from_module(found["where"])
    value: Any = module
    for part in found["what"].split("."):
        if not hasattr(value, part):
            there = (
                [k for k, v in vars(value).items() if callable(v) and not k.startswith("_")]
                if hasattr(value, "__dict__")
                else []
            )
            raise ValueError(f"{found['where']} has no {part!r}. {hint(part, there)}")
        value = getattr(value, part)
    if isinstance(value, type) or not callable(value):
        what = "a class" if isinstance(value, type) else type(value).__name__
        raise ValueError(f"{text} is {what}, not a function; give {FORM}, or an object that is called like one")
    return Outside(text, value, _takes_seed(text, value))


def _takes_seed(text: str, call: Callable[..., Any]) -> bool:
    """Whether it is a policy for each seed; raises ValueError for a signature that takes no `(obs, t)`."""
    try:
        signature = inspect.signature(call)
    except (ValueError, TypeError):  # of a builtin: nobody knows
        return False
    seeded = "seed" in signature.parameters
    try:
        signature.bind(None, None, **({"seed": 0} if seeded else {}))
    except TypeError as error:
        raise ValueError(
            f"{text} takes {signature}; wanted {FORM}, with `seed` beside where each seed has a policy"
        ) from error
    return seeded


def _reach(folder: pathlib.Path) -> None:
    """Lets a user's own modules be imported, after everything that is installed."""
    if (path := str(folder.resolve())) not in sys.path:
        sys.path.append(path)


def _from_file(path: pathlib.Path) -> ModuleType:
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.py"))[:20] if path.parent.is_dir() else []
        raise ValueError(f"no file {str(path)!r}. {meant(path.name, there) or 'Give ./NAME.py:FUNCTION'}")
    _reach(path.parent)
    name = f"_policy_from_outside_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(f"{str(path)!r} cannot be imported: {_said(error)}") from error
    return module


def _from_module(name: str) -> ModuleType:
    _reach(pathlib.Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ValueError(f"{name} cannot be imported: {_said(error)}") from error
        near = meant(name, sorted(p.stem for p in pathlib.Path.cwd().glob("*.py")), after=":...")
        raise ValueError(
            f"no module {error.name!r} is installed or lies in this folder. {near}{near and ' '}A file is given as ./NAME.py:FUNCTION"
        ) from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"{name} cannot be imported: {_said(error)}") from error


def _said(error: BaseException) -> str:
    """One line: kind, message and the innermost place."""
    frames = [] if isinstance(error, SyntaxError) else traceback.extract_tb(error.__traceback__)  # which says it itself
    where = f" ({pathlib.Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    message = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{message and ': '}{message}{where}"


# ------------------------------------------------------------------------------------------- watching
class Watched:
    """The function as `foreign` calls it, every call checked; `failure` is the first error.

    In a rollout it is kept and not raised: JAX would say it in forty lines, and once more at exit. From then on it gives zeros, and
    whoever rolled out asks for `failure`.
    """

    def __init__(self, outside: Outside, action: Space) -> None:
        self.outside, self.action = outside, action
        self.__name__ = outside.name
        self.failure: ValueError | None = None
        self._turn = threading.Lock()  # devices call at once, and the function knows nothing of threads

    def __call__(self, *given: Any) -> np.ndarray:
        *params, obs, t = given
        if self.failure is None:
            try:
                return self.checked(params, np.array(obs), np.array(t))
            except ValueError as error:
                self.failure = self.failure or error  # another device's may have come first
        return np.zeros((len(t), *self.action.shape), np.int32)

    def checked(self, params: Any, obs: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The actions `[N, *action]` for `obs [N, *obs]` at `t [N]`; ValueError says what is wrong with them."""
        own = {"seed": int(params[0]["seed"])} if params else {}
        seen = obs.copy(), t.copy()  # the function may write into what it gets
        try:
            with self._turn:
                out = np.asarray(self.outside.call(*seen, **own))
        except Exception as error:
            raise ValueError(f"{self.outside.name} raised {_said(error)} on observations {list(obs.shape)}") from error
        wanted, name = (len(t), *self.action.shape), self.outside.name
        if out.shape != wanted:
            raise ValueError(
                f"{name} gave actions of shape {list(out.shape)} for {len(t)} observations; wanted {list(wanted)}, one for each"
            )
        if out.dtype.kind not in "biuf":
            raise ValueError(f"{name} gave actions of type {out.dtype}; wanted numbers")
        tried = len(t) == TRIED and not obs.any() and not t.any()
        if not tried:  # zeros are no observation of anybody's: only the form counts
            self._values(out, obs, t)
        return out if not isinstance(self.action, Discrete) else np.nan_to_num(out).astype(np.int32)

    def _values(self, out: np.ndarray, obs: np.ndarray, t: np.ndarray) -> None:
        """Raises ValueError for actions that there are not; what follows exploded physics, NaN observations, passes."""
        rows = (len(t), -1)
        sound = np.isfinite(obs.reshape(rows)).all(1)
        bad, what = sound & ~np.isfinite(out.reshape(rows)).all(1), "that are not finite"
        if isinstance(self.action, Discrete) and not bad.any():
            n = self.action.n
            bad, what = sound & ~((out >= 0) & (out < n) & (out == np.floor(out))), f"that are none of 0 ... {n - 1}"
        if bad.any():
            at = int(t[bad].min())
            first = out[bad & (t == at)][0]
            raise ValueError(f"{self.outside.name} gave actions {what} at step {at}, the first is {first}")


def policy(outside: Outside, task: Task, seeds: tuple[int, ...]) -> tuple[Policy, Watched]:
    """The Policy, and the function that watches it; of one that takes a seed leaves `[S, 1]`.

    It is tried on zeros and then on first observations of the evaluation: ValueError before anything is rolled out.
    """
    watched, obs = Watched(outside, task.env.action), task.env.obs
    params: Any = {"seed": np.asarray(seeds, np.uint32)[:, None]} if outside.seeded else ()
    one = [{"seed": seeds[0]}] if outside.seeded else []
    kind = np.int32 if isinstance(obs, Discrete) else obs.dtype
    watched.checked(one, np.zeros((TRIED, *obs.shape), kind), np.zeros(TRIED, np.int32))
    first = _first(task, seeds[0])
    watched.checked(one, first, np.zeros(len(first), np.int32))
    return foreign(watched, task.env.action, params), watched


def _first(task: Task, seed: int) -> np.ndarray:
    """What the first episodes of a seed's evaluation begin with, `[LANES, *obs]`."""
    (keys,) = episode_keys(f"evaluation/{task.name}", (seed,), LANES)

    def reset(params: Any, key: Any) -> Any:
        return task.env.reset(params, jax.random.split(key, 5)[0])[1]

    return np.asarray(jax.jit(jax.vmap(reset, (None, 0)))(task.env.params, keys))
