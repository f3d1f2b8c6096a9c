"""`ilbench theory`: checks of theorems, the sweep of a suite, certificates."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional, UseAppendAction

from ilbench.commands.output import emit, opened, say

if TYPE_CHECKING:
    from ilbench.evaluation.certify import Certificate


@dataclass(frozen=True)
class Theory:
    """Hold theory against measurement: checks of theorems, the sweep of a suite, or a certificate for one policy.

    ilbench theory [CHECK ...]: what each statement says, what was predicted and measured, how tight, the verdict.
    ilbench theory SUITE: how cost grew with the horizon in its records. ilbench theory certify TASK POLICY: what held-out
    demonstrations alone promise about a policy's deployment.
    """

    names: Positional[tuple[str, ...]] = ()
    """Checks (T05, exponent_budget, or a word for them: chunk, mode), or one suite, or `certify TASK POLICY`; nothing: every check."""
    exact: bool = False
    """Only the exact parts: dynamic programming and closed forms in float64, under a minute."""
    monte_carlo: bool = False
    """Only the parts that roll out and train, minutes."""
    plots: str | None = None
    """Folder for one SVG per check."""
    out: str | None = None
    """Folder to keep the checks in: OUT/theory@1 gets a JSON each, pictures and CHECKS.md."""
    sigma: float | None = None
    """certify: standard deviation of the noise that both execute; needed for continuous actions."""
    episodes: int = 256
    """certify: held-out expert demonstrations, and rollouts with --deploy."""
    deploy: bool = False
    """certify: roll the policy out and say whether the certificate held."""
    horizon: int | None = None
    """certify: horizon; default: the task's."""
    seed: int = 0
    """certify: seed of demonstrations and of a policy trained now."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """certify: settings of a policy trained now, e.g. --set fit.updates=2000."""
    suite: str | None = None
    """certify: suite whose settings a policy trained now has; default: the first that runs its algorithm on the task."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds them, else results/."""
    write: bool = False
    """With a suite: also write THEORY.md beside its records."""
    full: bool = False
    """Every column, however wide the terminal is."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Runs checks, or reads records; exit code 3 where something came out against what is expected."""
        from ilbench import registry
        from ilbench.running import checks

        if self.names[:1] == ("certify",):
            return self._certify()
        suites = set(registry.entries("suites")) | _stored(self.results)
        others = [name for name in self.names if name not in checks.known()]
        unknown = [name for name in others if not {_stem(name), _stem(name).removesuffix("+custom")} & suites]
        if unknown:
            raise _unknown(unknown[0], suites)
        if others and len(self.names) > 1:
            raise ValueError(f"{others[0]!r} is a suite; give one suite alone, or checks")
        return self._sweep(others[0]) if others else self._checks()

    def _checks(self) -> int:
        import pathlib

        from ilbench.compute.parallel import setup
        from ilbench.display import tables
        from ilbench.records import store
        from ilbench.report import checks as report
        from ilbench.running import checks

        checks.select(self.names)
        for folder in (self.plots, self.out and pathlib.Path(self.out, report.FOLDER)):
            if folder:
                store.preflight(folder)
        setup()
        both = self.exact == self.monte_carlo
        modes = [m for m, on in zip(checks.MODES, (self.exact, self.monte_carlo), strict=True) if on or both]
        ran = checks.run(self.names, modes, quiet=self.quiet)
        emit(self.json, [r.as_json() for r in ran], lambda: print(report.text(ran, tables.terminal(), self.full)))
        if self.plots is not None:
            written = report.save_plots(ran, pathlib.Path(self.plots))
            print(f"wrote {len(written)} picture{'' if len(written) == 1 else 's'} to {self.plots}", file=sys.stderr)
        if self.out is not None:
            print(f"wrote {report.save(ran, pathlib.Path(self.out))}", file=sys.stderr)
        return checks.worst(ran)

    def _certify(self) -> int:
        from ilbench.compute.parallel import setup
        from ilbench.display import tables
        from ilbench.running import select

        if len(self.names) != 3:
            raise ValueError(
                "certify takes a task and a policy, e.g. `ilbench theory certify gridworld bc:20` (bc trained on 20 "
                "demonstrations now) or the id of a record written with --save-policies"
            )
        setup()
        made = certificate(
            self.names[1],
            self.names[2],
            sigma=self.sigma,
            episodes=self.episodes,
            deploy=self.deploy,
            results=self.results,
            horizon=self.horizon,
            seed=self.seed,
            changes=select.parse_set(self.set),
            suite=self.suite,
        )
        emit(self.json, made.as_json(), lambda: print(made.text(tables.terminal(), self.full)))
        return 3 if made.exceeded else 0

    def _sweep(self, suite: str) -> int:
        from ilbench.display import tables
        from ilbench.report import pages, source, theory

        found, first = opened(suite, self.results)
        rows = theory.build(found.records, found.arrays)
        if any(r.cell.evaluation.get("snap") for r in found.records):
            say(f"of learners in 0-1 deployment: ilbench compounding {found.suite}")
        shown = tables.plain([r.as_json() for r in rows])
        emit(self.json, shown, lambda: print(theory.text(rows, first, tables.terminal(), self.full)))
        if self.write:
            page = pages.render(found)["THEORY.md"]
            print(f"wrote {source.write_page(found, 'THEORY.md', page)}", file=sys.stderr)
        return 3 if any(r.verdict == "VIOLATED" for r in rows) else 0


def certificate(
    task: str,
    policy: str,
    *,
    sigma: float | None = None,
    episodes: int = 256,
    deploy: bool = False,
    results: str | None = None,
    horizon: int | None = None,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    suite: str | None = None,
) -> Certificate:
    """What `ilbench theory certify TASK POLICY` shows. POLICY: `bc:20`, `bc/mlp:20`, a record id, or its JSON file.

    `bc:20` trains now, with the settings of `suite` (by default of the first that runs it on the task), `seed` and `changes`
    ({"fit.updates": 5000}), where sigma is given on demonstrations of the smoothed expert; a saved policy is taken as it is.
    Raises ValueError (UnknownName with the closest match) or StoreError, before any compute where that is possible.
    """
    from ilbench.evaluation import certify
    from ilbench.report.standing import standing
    from ilbench.running import plan, policies

    plan.check_seeds((seed,))
    found = policies.find(policy, task, results=results, seed=seed, horizon=horizon, changes=changes, suite=suite)
    certify.check(policies.task_of(found), sigma, episodes)
    loaded = policies.build(found, sigma=sigma)
    made = certify.certify(
        loaded.task, loaded.policy, sigma=sigma, episodes=episodes, deploy=deploy, label=loaded.source
    )
    beside = standing(found) if sigma is None else ()  # a board's policies were trained without the noise
    return dataclasses.replace(made, notes=(*loaded.told, *beside, *made.notes))


def _stem(suite: str) -> str:
    """`quick+custom@1` -> `quick+custom`."""
    return suite.rsplit("@", 1)[0]


def _stored(results: str | None) -> set[str]:
    """Names of the suites that have records, in the folder given or in those that reports read by default."""
    from ilbench.records import places

    return {_stem(suite) for folder in places.folders(results) for suite in places.suites(folder)}


def _unknown(name: str, suites: set[str]) -> ValueError:
    """The error for a name that is neither a check nor a suite, with the closest of both."""
    from ilbench import registry
    from ilbench.names import hint
    from ilbench.running import checks

    # Without numbers a check's name reads like a suite's; `select` takes it, but the hint names what `list` shows.
    shown = sorted({n for e in registry.entries("checks").values() for n in (e.id, checks.short(e.id), *checks.words(e))})
    near = hint(_stem(name), [*shown, *sorted(suites), "certify"], n=3)
    return registry.UnknownName(f"unknown check or suite {name!r}. {near} (ilbench list checks, ilbench list suites)")
