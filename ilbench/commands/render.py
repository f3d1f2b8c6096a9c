"""`ilbench render`: an episode to look at."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional, UseAppendAction

from ilbench.commands.output import emit


@dataclass(frozen=True)
class Render:
    """See it: an episode of expert and learner from the same start, as a page that plays offline and as a GIF.

    Where the learner leaves the expert's states is marked on the timeline and on the picture. Brax robots, cartpole, pendulum.
    """

    task: Positional[str]
    """Task, e.g. hopper or brax:ant/spring."""
    policy: Positional[str]
    """bc:20 (bc trained on 20 demonstrations now), a record's id or JSON file (with --save-policies), expert or random."""
    out: str | None = None
    """The page; default: TASK.html."""
    gif: str | None = None
    """Also a GIF."""
    horizon: int | None = None
    """Steps; default: the task's."""
    seed: int = 0
    """Seed of the start, and of a policy trained now."""
    episode: int = 0
    """Which of the seed's evaluation episodes; of a mixture, which iterate."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Settings of a policy trained now, e.g. --set fit.updates=2000."""
    suite: str | None = None
    """Suite whose settings a policy trained now has; default: the first that runs its algorithm on the task."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds them, else results/."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Plays, writes, prints the written paths."""
        from ilbench.compute.parallel import setup
        from ilbench.render import show
        from ilbench.running import plan, select

        plan.check_seeds((self.seed,))
        setup()
        done = show.run(
            self.task,
            self.policy,
            out=self.out,
            gif_out=self.gif,
            quiet=self.quiet,
            horizon=self.horizon,
            seed=self.seed,
            number=self.episode,
            results=self.results,
            changes=select.parse_set(self.set),
            suite=self.suite,
        )
        emit(self.json, done, lambda: print(show.text(done)))
        return 0
