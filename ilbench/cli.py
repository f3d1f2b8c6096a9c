"""The command line: run, list, leaderboard, theory, expert, doctor.

Tables for people go to stdout, progress and problems to stderr; with `--json` stdout is one JSON document.
Exit codes: 0 ok, 1 error, 2 usage, 3 some cells failed or a check was violated, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, subcommand


@dataclass(frozen=True)
class Run:
    """Train and evaluate every cell of a suite; repeat the command and only what is missing runs."""

    suite: Positional[str] = "quick"
    """Suite to run (ilbench list suites)."""
    tasks: str | None = None
    """Only tasks that match these comma-separated globs, e.g. 'hopper,scalar_*'."""
    algorithms: str | None = None
    """Only algorithms that match these globs."""
    horizons: str | None = None
    """Horizons to sweep instead of the suite's, e.g. 16,32,64."""
    seeds: str | None = None
    """Seeds instead of the suite's, e.g. 0-9."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Change any config field: --set dagger.rounds=10 --set fit.updates=500 --set evaluation.episodes=256."""
    out: str = "runs"
    """Folder that records go to."""
    save_policies: bool = False
    """Keep the scored policies in the records' sidecars."""
    dry_run: bool = False
    """Print what would run and stop."""
    devices: int | None = None
    """CPU devices to make; default: one per core."""
    compile_cache: str = "auto"
    """auto, off, or a folder for compiled programs."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print a JSON summary instead of text."""

    def execute(self) -> int:
        """Runs; returns the exit code."""
        from ilbench import plan, runner
        from ilbench.parallel import setup

        setup(self.devices, self.compile_cache)
        prepared = runner.prepare(
            self.suite,
            tasks=self.tasks,
            algorithms=self.algorithms,
            horizons=plan.parse_numbers(self.horizons, "horizons") if self.horizons is not None else None,
            seeds=plan.parse_numbers(self.seeds, "seeds") if self.seeds is not None else None,
            changes=plan.parse_set(self.set),
        )
        if self.dry_run:
            rows = runner.describe(prepared, self.out)
            _emit(
                self.json,
                rows,
                lambda: _table(rows, f"{prepared.suite}: {sum(r['to_run'] for r in rows)} cells to run"),
            )
            return 0
        summary = runner.execute_plans(prepared, out=self.out, save_policies=self.save_policies, quiet=self.quiet)
        _emit(self.json, summary.__dict__, lambda: _print_summary(summary))
        return 3 if summary.failed else 0


@dataclass(frozen=True)
class List:
    """List what can be run, with the paper of each."""

    kind: Positional[Literal["suites", "tasks", "algorithms", "heads", "measures", "checks"]]
    """What to list."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Reads docstrings and manifests only: no JAX."""
        from ilbench import registry
        from ilbench.experts import manifests

        tasks = self.kind == "tasks"
        rows = [
            {"id": e.id, "what": e.summary}
            | ({"tags": ",".join(e.tags), "expert": manifests.line(f"{e.id}@{e.version}", e.tags)} if tasks else {})
            | {"source": e.paper}
            for e in registry.entries(self.kind).values()
        ]
        _emit(self.json, rows, lambda: _table(rows, f"{self.kind} ({len(rows)})"))
        return 0


@dataclass(frozen=True)
class Leaderboard:
    """Who is better, by how much, how sure, at what cost: a table per task and one over tasks."""

    suite: Positional[str] = "quick"
    """Suite whose records are ranked."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""
    write: bool = False
    """Also write LEADERBOARD.md beside the records."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Reads records; computes nothing on a device."""
        from ilbench.report import leaderboard, source

        found = source.load(self.suite, self.results)
        board = leaderboard.build(found.records)
        _emit(self.json, board.as_json(), lambda: print(leaderboard.text(board)))
        if self.write:
            print(
                f"wrote {source.write_page(found, 'LEADERBOARD.md', leaderboard.page(board, found.suite))}",
                file=sys.stderr,
            )
        return 0


@dataclass(frozen=True)
class Theory:
    """Hold theory against measurement: checks of theorems, the sweep of a suite, or a certificate for one policy.

    ilbench theory [CHECK ...]: what each statement says, what was predicted and measured, how tight, the verdict.
    ilbench theory SUITE: how cost grew with the horizon in its records. ilbench theory certify TASK POLICY: what held-out
    demonstrations alone promise about a policy's deployment.
    """

    names: Positional[tuple[str, ...]] = ()
    """Checks (T05, exponent_budget), or one suite, or `certify TASK POLICY`; nothing: every check."""
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
    results: str | None = None
    """Folder of records; default: runs/ if it holds them, else results/."""
    write: bool = False
    """With a suite: also write THEORY.md beside its records."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Runs checks, or reads records; exit code 3 where something came out against what is expected."""
        from ilbench import registry

        if self.names[:1] == ("certify",):
            return self._certify()
        if len(self.names) == 1 and self.names[0].rsplit("@", 1)[0] in registry.entries("suites"):
            return self._sweep(self.names[0])
        return self._checks()

    def _checks(self) -> int:
        import pathlib

        from ilbench import checks
        from ilbench.parallel import setup
        from ilbench.report import checks as report

        checks.select(self.names)
        setup()
        both = self.exact == self.monte_carlo
        modes = [m for m, on in zip(checks.MODES, (self.exact, self.monte_carlo), strict=True) if on or both]
        ran = checks.run(self.names, modes, quiet=self.quiet)
        _emit(self.json, [r.as_json() for r in ran], lambda: print(report.text(ran)))
        if self.plots is not None:
            written = report.save_plots(ran, pathlib.Path(self.plots))
            print(f"wrote {len(written)} pictures to {self.plots}", file=sys.stderr)
        if self.out is not None:
            print(f"wrote {report.save(ran, pathlib.Path(self.out))}", file=sys.stderr)
        return checks.worst(ran)

    def _certify(self) -> int:
        from ilbench import certify, plan
        from ilbench.parallel import setup

        if len(self.names) != 3:
            raise ValueError(
                "certify takes a task and a policy, e.g. `ilbench theory certify gridworld bc:20` (bc trained on 20 "
                "demonstrations now) or the id of a record written with --save-policies"
            )
        setup()
        certificate = certify.main_rows(
            self.names[1],
            self.names[2],
            sigma=self.sigma,
            episodes=self.episodes,
            deploy=self.deploy,
            results=self.results,
            horizon=self.horizon,
            seed=self.seed,
            changes=plan.parse_set(self.set),
        )
        _emit(self.json, certificate.as_json(), lambda: print(certificate.text()))
        return 3 if certificate.exceeded else 0

    def _sweep(self, suite: str) -> int:
        from ilbench.report import source, theory

        found = source.load(suite, self.results)
        rows = theory.build(found.records, found.arrays)
        _emit(self.json, [r.as_json() for r in rows], lambda: print(theory.text(rows)))
        if self.write:
            print(f"wrote {source.write_page(found, 'THEORY.md', theory.page(rows, found.suite))}", file=sys.stderr)
        return 3 if any(r.verdict == "VIOLATED" for r in rows) else 0


@dataclass(frozen=True)
class Expert:
    """Train an expert for a Brax task with reinforcement learning, see whether it can be cloned, or show it."""

    action: Positional[Literal["train", "clone", "show"]]
    """train: run PPO and write weights and manifest. clone: behaviour cloning of it, kept in the manifest. show: the
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
    out: str | None = None
    """Folder for the weights; default: the user's data folder."""
    json: bool = False
    """Print the manifest as JSON."""

    def execute(self) -> int:
        """Trains, clones or reads a manifest."""
        import pathlib

        from ilbench.experts import page
        from ilbench.parallel import setup

        setup()
        if self.action == "train":
            from ilbench.experts.train import train_expert

            path = train_expert(
                self.task,
                seed=self.seed,
                steps=self.steps,
                seconds=self.seconds,
                out=pathlib.Path(self.out) if self.out else None,
            )
            if path is None:
                return 0
            print(f"wrote {path}", file=sys.stderr)
            manifest = page.read_manifest(path)
        elif self.action == "clone":
            from ilbench.experts.clone import clone_expert

            manifest = clone_expert(self.task, self.trajectories)
        else:
            manifest = page.manifest_of(self.task)
        _emit(self.json, manifest, lambda: print(page.text(manifest)))
        return 0


@dataclass(frozen=True)
class Render:
    """See it: an episode of expert and learner from the same start, as a page that plays offline and as a GIF.

    The moment of the learner's first mistake is marked on the timeline and on the picture. Brax robots, cartpole, pendulum.
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
    results: str | None = None
    """Folder of records; default: runs/ if it holds them, else results/."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Plays, writes, prints the written paths."""
        from ilbench import plan
        from ilbench.parallel import setup
        from ilbench.render import show

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
            changes=plan.parse_set(self.set),
        )
        _emit(self.json, done, lambda: print(show.text(done)))
        return 0


@dataclass(frozen=True)
class Bench:
    """Measure speed on this machine: every way to step a robot, whole jobs against their floor, memory."""

    what: Positional[Literal["speed", "blocks"]]
    """speed: the table. blocks: env steps/s of each robot by block size (a task's own block never changes)."""
    robots: str = "hopper,halfcheetah"
    """Comma-separated tasks; `all` for every robot with an expert."""
    envs: int = 1024
    """Environments side by side."""
    steps: int = 200
    """Steps of each."""
    rounds: int = 5
    """Rounds through all cases; the fastest counts."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Runs the benchmark; every ratio comes from this one run."""
        from ilbench import registry
        from ilbench.bench import speed
        from ilbench.parallel import setup

        every = [name for name, entry in registry.entries("tasks").items() if "brax" in entry.tags]
        robots = tuple(every if self.robots == "all" else (r.strip() for r in self.robots.split(",")))
        for name in robots:
            if name not in every:
                raise registry.unknown("tasks", name, every)
        setup()

        def say(line: str) -> None:
            print(f"ilbench: {line}", file=sys.stderr, flush=True)

        if self.what == "blocks":
            sizes = (32, 64, 128, 256)
            found = {
                n: speed.blocks(n, sizes, self.steps, self.rounds, lambda t, n=n: say(f"{n}: {t}")) for n in robots
            }
            found = {"devices": "", "rounds": self.rounds, **found}
        else:
            found = speed.everything(robots, self.envs, self.steps, self.rounds, say)
        _emit(self.json, found, lambda: print(speed.text(found)))
        return 0


@dataclass(frozen=True)
class Doctor:
    """Check the installation: versions, devices, compile cache, experts, records, a clean stdout."""

    results: str = "runs"
    """Folder of records to check."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Runs the checks; exit code 1 when one fails."""
        from ilbench import doctor

        rows = doctor.examine(self.results)
        _emit(self.json, rows, lambda: _table(rows, "doctor"))
        return 0 if all(r["ok"] for r in rows) else 1


Command = (
    Annotated[Run, subcommand("run")]
    | Annotated[List, subcommand("list")]
    | Annotated[Leaderboard, subcommand("leaderboard")]
    | Annotated[Theory, subcommand("theory")]
    | Annotated[Expert, subcommand("expert")]
    | Annotated[Render, subcommand("render")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Doctor, subcommand("doctor")]
)


# ------------------------------------------------------------------------------------------ output
def _emit(as_json: bool, value: Any, show: Callable[[], None]) -> None:
    if as_json:
        print(json.dumps(value, indent=2, allow_nan=False, default=str))
    else:
        show()


def _table(rows: list[dict[str, Any]], title: str) -> None:
    """Prints dicts as a table as wide as it needs to be when piped, and as the terminal otherwise."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else []:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def _print_summary(summary: Any) -> None:
    print(
        f"{summary.suite}: {summary.done} cells run, {summary.cached} already there, "
        f"{summary.cells - summary.done - summary.cached} failed, of {summary.cells}"
    )
    print(f"compiling {summary.compile_s:.1f} s, running {summary.run_s:.1f} s (wall clock, this machine, one run)")
    print(f"records: {summary.folder}")
    for label, reason in summary.failed:
        print(f"ilbench: failed: {label}: {reason}", file=sys.stderr)


def main() -> None:
    """Entry point of the `ilbench` command."""
    from ilbench.store import StoreError

    command: Any = tyro.cli(
        OmitArgPrefixes[Command],  # type: ignore[misc, valid-type]
        prog="ilbench",
        description="Imitation learning, measured: run suites, rank algorithms, hold them against the theory.",
    )
    try:
        code = command.execute()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("ilbench: interrupted; what is committed stays, repeat the command to go on", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (ValueError, FileNotFoundError) as error:
        print(f"ilbench: {error}", file=sys.stderr)
        code = 2
    except StoreError as error:
        print(f"ilbench: {error}", file=sys.stderr)
        code = 1
    raise SystemExit(code)
