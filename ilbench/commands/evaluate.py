"""`ilbench evaluate`: a policy from outside, or a stored one, judged as every learner is."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from ilbench.commands.output import emit, say

if TYPE_CHECKING:
    from ilbench.evaluation.evaluate import Judged, Session
    from ilbench.running.subject import Subject


@dataclass(frozen=True)
class Evaluate:
    """Judge a policy of your own, NumPy, PyTorch or anything else, or a stored one, by what judges every learner.

    ilbench evaluate cartpole --policy ./mine.py:act calls act(obs [N, *obs], t [N]) -> actions [N, *action] at every step, on NumPy arrays.
    It runs the Python code of that file or module: give only code that you trust. The actions depend on (obs, t) alone, and on `seed`
    where act takes it too: then each seed has a policy of its own, and limits are over seeds; else over episodes.
    """

    task: Positional[str]
    """Task, e.g. cartpole or brax:ant/mjx."""
    policy: str
    """MODULE:FUNCTION or ./NAME.py:FUNCTION, whose code is run; a record's id, JSON file or .safetensors (of --save-policies); or bc:20."""
    demos: str | None = None
    """bc:20 learns from the demonstrations of this file (ilbench data) instead of the expert's, by which it is still judged."""
    episodes: int | None = None
    """Rollouts of the policy, and of the expert, per seed; default: the protocol's."""
    seeds: str | None = None
    """Seeds of the starts; default: 0-4, of a stored policy its own, which gives its record's numbers."""
    horizon: int | None = None
    """Steps; default: the suite's, or the task's."""
    suite: str | None = None
    """Suite whose protocol and horizon count; default: the first that judges the task in one way. Of a record: its own."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds them, else results/."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON: measures, per_seed, references, notes."""

    def execute(self) -> int:
        """Loads, rolls out, measures; what the policy prints goes to stderr."""
        from ilbench.compute.parallel import setup
        from ilbench.display import tables
        from ilbench.report import judgement
        from ilbench.running import plan, select

        seeds = None if self.seeds is None else select.parse_numbers(self.seeds, "seeds")
        plan.check_seeds((0,) if seeds is None else seeds)
        setup()
        with contextlib.redirect_stdout(sys.stderr):
            made = evaluation(
                self.task,
                self.policy,
                seeds=seeds,
                progress=not self.quiet,
                episodes=self.episodes,
                horizon=self.horizon,
                suite=self.suite,
                results=self.results,
                demos=self.demos,
            )
        emit(self.json, made, lambda: print(judgement.text(made, tables.terminal())))
        return 0


def evaluation(task: str, policy: str, *, progress: bool = False, **options: Any) -> dict[str, Any]:
    """What `ilbench evaluate` says, as plain values; `options` are those of `subject`. Raises ValueError for what cannot be judged."""
    from ilbench.display import tables
    from ilbench.evaluation.evaluate import Session, reference_returns
    from ilbench.report import judgement
    from ilbench.running.subject import subject

    who = subject(task, policy, **options)
    protocol, session = who.protocol, Session()
    if progress:
        say(f"{who.task.name}, H = {who.task.horizon}: {len(who.seeds)} x {protocol.episodes} episodes")
    judged = _judged(who, session)
    references = reference_returns(who.task, protocol, who.policy, session)
    found = judgement.build(judged, who.seeds, references, who.task.horizon, who.task.reward_range, apart=who.apart)
    made = {
        "task": who.task.name,
        "policy": who.label,
        "horizon": who.task.horizon,
        "seeds": list(who.seeds),
        "episodes": protocol.episodes,
        "held_out": protocol.held_out,
        "noise": protocol.noise,
        **found,
        "references": references,
        "notes": list(_notes(who)),
    }
    return tables.plain(made)  # type: ignore[no-any-return]


def _judged(who: Subject, session: Session) -> Judged:
    """The evaluation; an error of the policy's own in its own words."""
    from ilbench.evaluation.evaluate import evaluate

    judged = evaluate(who.task, who.policy, who.protocol, who.seeds, session, deployed=False)
    if who.watched is not None and who.watched.failure is not None:
        raise who.watched.failure
    return judged


def _notes(who: Subject) -> tuple[str, ...]:
    """How to read the numbers."""
    count, episodes = len(who.seeds), who.protocol.episodes
    each = f"{count} seed{'' if count == 1 else 's'} of {episodes} episodes, held out {who.protocol.held_out} of the expert's"
    what = (
        "over seeds, a policy each" if who.apart else "over episodes: one policy, and nothing about training it again"
    )
    mixture = f"a mixture of {who.iterates} iterates, dealt to its episodes in turn" if who.iterates > 1 else None
    return tuple(note for note in (f"{each}; {who.told[0]}", f"limits are {what}", mixture, *who.told[1:]) if note)
