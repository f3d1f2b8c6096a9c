"""`ilbench expert`: train, show and clone experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from ilbench.commands.output import emit, say


@dataclass(frozen=True)
class Expert:
    """Train an expert for a Brax task with reinforcement learning, see whether it can be cloned, or show it."""

    action: Positional[Literal["train", "clone", "show"]]
    """train: run PPO and write weights and manifest. clone: behaviour cloning of it. show: the
    manifest: learning curve, return and its distribution, survival, clone."""
    task: Positional[str]
    """Task, e.g. hopper or brax:walker2d/spring."""
    steps: int | None = None
    """Env steps of training; default: the task's."""
    seconds: float | None = None
    """Stop after this time; the same command goes on. Ctrl-C does the same."""
    seed: int = 0
    """Seed of training."""
    trajectories: int = 200
    """Demonstrations to clone from."""
    keep: bool = False
    """Write what cloning found into the expert's manifest."""
    out: str | None = None
    """Folder for the weights; default: the user's data folder."""
    json: bool = False
    """Print the manifest as JSON."""

    def execute(self) -> int:
        """Trains, clones or reads a manifest."""
        import pathlib

        from ilbench.compute.parallel import setup
        from ilbench.report import expert as page
        from ilbench.running import plan

        plan.check_seeds((self.seed,))
        setup()
        if self.action == "train":
            from ilbench.experts.training.train import train_expert, untrained

            name = untrained(self.task).name
            say(
                f"{name}: compiling; the first line of its learning curve comes in a minute or two, Ctrl-C keeps what is learnt"
            )
            path = train_expert(
                self.task,
                seed=self.seed,
                steps=self.steps,
                seconds=self.seconds,
                out=pathlib.Path(self.out) if self.out else None,
            )
            if path is None:
                return 0
            say(f"wrote {path}")
            manifest = page.read_manifest(path)
        elif self.action == "clone":
            from ilbench.experts.training.clone import clone_expert

            manifest = clone_expert(self.task, self.trajectories, self.keep)
        else:
            manifest = page.manifest_of(self.task)
        emit(self.json, manifest, lambda: print(page.text(manifest)))
        return 0
