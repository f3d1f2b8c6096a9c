"""`ilbench data`: demonstrations out and in, in the formats that people have."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from ilbench.commands.output import emit, plain, say, table

if TYPE_CHECKING:
    from ilbench.records.interchange.episodes import Episodes


@dataclass(frozen=True)
class Data:
    """Demonstrations in a file: export an expert's, import anybody's, show what one holds.

    ilbench data export gridworld --format hdf5 -o grid.hdf5 --demos 20 writes what an algorithm of that seed is shown;
    ilbench data import FILE --task gridworld -o grid.safetensors checks a robomimic, Minari, D4RL or flat file against the task, and
    ilbench evaluate gridworld --policy bc:20 --demos grid.safetensors trains on it. HDF5 and Minari take pip install 'ilbench[data]'.
    """

    action: Positional[Literal["export", "import", "show"]]
    """export: the expert's of a task. import: a file, checked and written in our own layout. show: episodes, steps, returns, fields."""
    what: Positional[str]
    """export: a task, e.g. hopper. import, show: a .safetensors, .npz or .hdf5 file, or the folder of a Minari dataset."""
    format: Literal["safetensors", "npz", "hdf5", "minari"] = "safetensors"
    """export: the layout; hdf5 is robomimic's."""
    out: Annotated[pathlib.Path | None, arg(aliases=["-o"])] = None
    """File to write; of minari the folder of datasets, as MINARI_DATASETS_PATH names it. Default of import: FILE.safetensors."""
    demos: int = 20
    """export: episodes."""
    seed: int = 0
    """export: seed whose demonstrations they are."""
    horizon: int | None = None
    """Steps; default: the task's, of an import those that the file was made for."""
    head: str | None = None
    """export: head beside whose network the expert is rolled out, which on some robots moves last bits; default: the plainest."""
    record: str | None = None
    """export: what else to tell of every step, comma-separated: dist (the law of an expert that draws), views (further sensors)."""
    task: str | None = None
    """import: the task; default: the one that the file says it is of."""
    keys: str | None = None
    """import, show: observations to take, side by side in this order, where a file has several, comma-separated."""
    clip: bool = False
    """import: clip actions to the task's bounds, where they are beyond."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Reads or rolls out, checks, writes."""
        from ilbench.compute.parallel import setup

        if self.action != "show":
            setup()
        made = {"export": self._export, "import": self._import, "show": self._show}[self.action]()
        emit(self.json, made, lambda: _print(made))
        return 0

    def _export(self) -> dict[str, Any]:
        from ilbench.records.interchange import formats
        from ilbench.running import demonstrated
        from ilbench.wrappers.recorded import what

        if self.out is None:
            ending = formats.ENDINGS.get(self.format, ("",))[0]
            raise ValueError(
                f"export writes a file; say where, e.g. -o {self.what.replace(':', '-').replace('/', '-')}{ending}"
            )
        record = _names(self.record)
        task, head = demonstrated.planned(self.what, self.demos, self.seed, self.horizon, self.head, record)
        if record and self.format == "minari":
            raise ValueError("--record has no place in a Minari dataset; take --format hdf5, npz or safetensors")
        formats.ready(self.format, self.out, demonstrated.about(task, head, self.seed, self.demos))
        say(f"{task.name}, H = {task.horizon}: {self.demos} episodes of its expert, seed {self.seed}")
        episodes = demonstrated.demonstrations(task, head, self.demos, self.seed, record)
        path = formats.write(self.format, self.out, episodes, what(task.env.obs), what(task.env.action))
        return {"wrote": str(path), **said(episodes)}

    def _import(self) -> dict[str, Any]:
        from ilbench.records.files import write_atomic
        from ilbench.records.interchange import flat, formats
        from ilbench.running.demonstrated import taken
        from ilbench.running.policies import spelled

        source = pathlib.Path(self.what)
        out = self.out or pathlib.Path(f"{source.stem or 'demonstrations'}.safetensors")
        formats.ready("safetensors", out, {})
        found = formats.read(source, _names(self.keys))
        name = self.task or spelled(found.about.get("task", "").rpartition("@")[0])
        if not name:
            raise ValueError(f"{source.name} does not say of which task it is; give --task NAME (ilbench list tasks)")
        if out.exists() and out.samefile(source):
            raise ValueError(f"{str(out)!r} is the file that is read; give another with -o")
        horizon = self.horizon or (int(found.about["horizon"]) if "horizon" in found.about else None)
        episodes, task, told = taken(source.name, found, name, horizon, self.clip)
        for line in told:
            say(line)
        write_atomic(out, flat.content("safetensors", episodes))
        say(f"{task.name}: train on it with --demos {out} (ilbench evaluate, ilbench run)")
        return {"wrote": str(out), **said(episodes)}

    def _show(self) -> dict[str, Any]:
        from ilbench.records.interchange import formats

        return said(formats.read(pathlib.Path(self.what), _names(self.keys)))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def said(episodes: Episodes) -> dict[str, Any]:
    """Episodes in numbers: plain values."""
    import numpy as np

    from ilbench.display import tables
    from ilbench.records.interchange.episodes import digest

    named: dict[str, Any] = {
        name: getattr(episodes, name) for name in ("obs", "action", "reward", "length", "final_obs", "terminated")
    }
    named |= episodes.extra
    made: dict[str, Any] = {
        "episodes": len(episodes.length), "steps": len(episodes.obs), "shortest": int(episodes.length.min()),
        "longest": int(episodes.length.max()), "terminated": None, "return": None, "digest": digest(episodes),
        "fields": {k: f"{v.dtype} {list(v.shape)}" for k, v in named.items() if v is not None}, "about": episodes.about,
    }  # fmt: skip
    if episodes.terminated is not None:
        made["terminated"] = int(np.count_nonzero(episodes.terminated))
    if episodes.reward is not None:
        returns = np.add.reduceat(
            np.asarray(episodes.reward, np.float64).reshape(len(episodes.obs), -1)[:, 0], episodes.starts
        )
        made["return"] = {"mean": float(returns.mean()), "least": float(returns.min()), "most": float(returns.max())}
    return tables.plain(made)  # type: ignore[no-any-return]


def _print(made: dict[str, Any]) -> None:
    from ilbench.records.interchange.episodes import ABOUT

    if "wrote" in made:
        print(plain(made["wrote"]))
    about, returns = made["about"], made["return"]
    lines = {
        "of": ", ".join(f"{key} {about[key]}" for key in ABOUT if key in about and key not in ("format", "expert"))
        or "it does not say",
        "episodes": f"{made['episodes']:,} of {made['shortest']} ... {made['longest']} steps, {made['steps']:,} in all",
        "ended by themselves": "it does not say"
        if made["terminated"] is None
        else f"{made['terminated']:,} of {made['episodes']:,}",
        "return": "no rewards" if returns is None else "mean {mean:.6g}, {least:.6g} ... {most:.6g}".format(**returns),
        "digest": made["digest"],
    }
    table([{"": key, "is": value} for key, value in (lines | made["fields"]).items()], "demonstrations")
