"""`ilbench new`: a plug-in of one's own that runs as it stands."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from ilbench.commands.output import say

ALGORITHM = '''"""NAME: say in one sentence what sets it apart; `ilbench list algorithms` shows this paragraph.

Paper: AUTHORS YEAR, TITLE, ADDRESS
"""

from __future__ import annotations

from dataclasses import dataclass

from ilbench.training.lab import Lab
from ilbench.types import Trained

NEEDS = ("demonstrations",)  # what it cannot do without; "expert" where it asks on its own states
TRY = ("gridworld", "table", 300)  # what its contract is tried on: task, head, labels


@dataclass(frozen=True)
class Config:
    """Its settings; `--set NAME.share=0.5` changes one."""

    share: float = 1.0  # of the budget that goes into demonstrations

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"NAME.share must lie in (0, 1], got {self.share}")


def train(lab: Lab, config: Config) -> Trained:
    """All seeds at once: the lab shows demonstrations and counts labels, fits the head, and makes policies of parameters."""
    demos = lab.demonstrate(labels=int(config.share * lab.budget))  # the expert acts; as many episodes as these labels pay
    params, losses = lab.fit(lab.rows(demos, lab.budget))  # rows of labels, one supervised fit
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
'''
HEAD = '''"""NAME: say in one sentence what sets it apart; `ilbench list heads` shows this paragraph.

Source: AUTHORS YEAR, TITLE, ADDRESS
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.types import Array, Box, Data, Head, Spec

NEEDS = ("continuous observations", "continuous actions")
TRY = ("scalar_stable",)  # what its contract is tried on


@dataclass(frozen=True)
class Config:
    """Its settings; `--set NAME.scale=0.1` changes one."""

    scale: float = 0.0  # standard deviation of the first weights


@lru_cache  # the same settings give the same functions: nothing compiles twice
def _head(obs: Box, action: Box, config: Config) -> Head:
    def init(key: Array) -> Any:
        return {"weight": config.scale * jax.random.normal(key, (obs.dim, action.dim)), "bias": jnp.zeros(action.dim)}

    def out(params: Any, seen: Array) -> Array:
        return (seen.reshape(-1) @ params["weight"] + params["bias"]).reshape(action.shape)

    def loss(params: Any, key: Array, row: Data) -> Array:  # of one row, without a leading axis
        return jnp.sum(jnp.square(out(params, row.obs) - row.action))

    def act(params: Any, key: Array, t: Array, memory: Any, seen: Array) -> tuple[Any, Array]:
        return memory, out(params, seen)

    return Head(init, loss, act)


def make(spec: Spec, config: Config) -> Head:
    """A linear map, by squared error."""
    return _head(spec.obs, spec.action, config)
'''
TASK = '''"""NAME: a cart on a line that is to stand still at 0; say here what is hard about it.

Source: AUTHORS YEAR, TITLE, ADDRESS
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.types import Array, Box, Env, Policy, Step, Task, no_memory

TASKS: dict[str, dict[str, float]] = {"NAME": {}}  # a name, and what sets it apart from others in this file
VERSION = 1  # raise it when the numbers change
HORIZON = 50
TAGS = ("control",)
SUMMARY = {"NAME": "A cart that is to stand still at 0."}


def _reset(params: Any, key: Array) -> tuple[Array, Array]:
    x = jax.random.uniform(key, (1,), jnp.float32, -1.0, 1.0)
    return x, x  # the state, and what is seen of it


def _step(params: Any, key: Array, x: Array, action: Array) -> Step:
    new = params["keeps"] * x + action
    reward = -jnp.sum(jnp.square(x))
    return Step(new, new, reward, jnp.abs(new[0]) > jnp.float32(10))


def _expert(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
    return memory, -params["gain"] * obs


@lru_cache  # the same numbers give the same task
def make(task_id: str, horizon: int | None = None, *, gain: float = 0.5) -> Task:
    """The cart, whose expert pushes back with `gain`; ValueError for one that does not hold it."""
    if not 0 < gain < 2:
        raise ValueError(f"task.gain must lie in (0, 2), got {gain}")
    env = Env({"keeps": jnp.float32(1.0)}, _reset, _step, Box(1), Box(1), absorbing_reward=-100.0)
    expert = Policy({"gain": jnp.float32(gain)}, no_memory, _expert)
    return Task(task_id, VERSION, env, expert, horizon or HORIZON, deltas=(0.05,), reward_range=(-100.0, 0.0), tags=TAGS)
'''
TEXTS = {"algorithm": ALGORITHM, "head": HEAD, "task": TASK}
TRIED = {
    "algorithm": "ilbench smoke {file} holds it against tasks with known answers.",
    "head": "Once it is installed: python -c \"from ilbench import testing, registry; m = registry.load('heads', '{name}'); "
    "t = registry.task('scalar_stable'); testing.check_head(m.make(t.spec, m.Config()), t)\"",
    "task": "Once it is installed: python -c \"from ilbench import testing, registry; testing.check_env(registry.task('{name}'))\"",
}


@dataclass(frozen=True)
class New:
    """Begin with a plug-in that runs as it stands, and change it: an algorithm, a head or a task.

    ilbench new algorithm mine writes ./mine.py; ilbench smoke ./mine.py tells in words whether it works.
    """

    kind: Positional[Literal["algorithm", "head", "task"]]
    """What it is to be."""
    name: Positional[str]
    """Its name, which is the file's too: letters a-z, digits and _."""
    out: pathlib.Path = pathlib.Path()
    """Folder to write it to."""

    def execute(self) -> int:
        """Writes one file, never over another one."""
        from ilbench import registry
        from ilbench.records.files import write_new

        if not re.fullmatch("[a-z][a-z0-9_]{0,63}", self.name):
            raise ValueError(
                f"{self.name!r:.80} is no name; one has letters a-z, digits and _, 64 at most, and begins with a letter"
            )
        if not self.out.is_dir():
            raise ValueError(f"no folder {str(self.out)!r}; make it first, or give another with --out")
        file = self.out / f"{self.name}.py"
        if file.exists():
            raise ValueError(f"{str(file)!r} is there already; nothing was changed: take another name or folder")
        if self.name in registry.entries(f"{self.kind}s"):
            raise ValueError(
                f"there is another {self.kind} {self.name!r} (ilbench list {self.kind}s); take another name"
            )
        write_new(file, TEXTS[self.kind].replace("NAME", self.name).encode())
        print(file)
        say(TRIED[self.kind].format(file=file, name=self.name))
        say(
            f'for everybody, in a package\'s pyproject.toml: [project.entry-points."ilbench.{self.kind}s"] '
            f'{self.name} = "{self.name}"; or, in a checkout of ilbench, the folder '
            f"{'envs' if self.kind == 'task' else f'ilbench/{self.kind}s'}/"
        )
        return 0
