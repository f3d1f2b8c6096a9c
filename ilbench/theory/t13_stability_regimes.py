"""A constant action error eps on x' = lam x + u gives e' = lam e + eps, hence three regimes of sum_{t<=H} |e_t|:
lam < 1: eps H / (1 - lam) up to a constant; lam = 1: eps H (H + 1) / 2 exactly; lam > 1: exponential at rate log lam.

Derivation: e_t = eps (1 - lam^t) / (1 - lam) = eps t at lam = 1; summing the geometric series gives
    sum_t e_t = eps / (1 - lam) (H - lam (1 - lam^H) / (1 - lam)).
With an expert that feeds back u = -k x and a learner u = -k x + eps the factor is lam - k, so a good expert turns every
plant into the first regime. lam < 1 looks super-linear on short grids: the slope on H = 16 ... 512 is 1.16 at lam = .9.

Monte Carlo: the tasks scalar_stable, _marginal, _unstable with process noise; expert and learner are rolled out on the
same keys, so that the noise cancels and |e_t| is their distance (float32: tolerance 1e-5 relative).
On Brax inverted_pendulum the factor is estimated by finite differences: one kick of .01 in the action, then either the
expert feeds back (closed loop) or its recorded actions are replayed (open loop); the rate is the slope of the log
distance of the observations over lags 20 ... 64. That is a measurement of one robot and one expert (kind E): a local
exponent over a window, not a bound on lam. The window 44 ... 64 is judged apart, because the observation has a slow
direction (the cart's position) that the expert hardly controls: a decay may level off there.

Source: textbook linear systems; the regimes are those of Pfrommer, Zhang, Tu, Matni 2022 (TaSIL),
https://arxiv.org/abs/2205.14812
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench.display.style import COLOURS, GREY, MARKS
from ilbench.exact import closed_forms, linear_errors
from ilbench.stats import claims
from ilbench.stats.claims import Claim, Mode, Result

MODES = ("exact", "monte-carlo")
WORDS = ("stability", "regimes", "unstable")
LAMS = (0.9, 1.0, 1.1)
TASKS = ("scalar_stable", "scalar_marginal", "scalar_unstable")
GRID = (16, 32, 64, 128, 256, 512)
EPS, SEEDS, EPISODES, HORIZON = 0.01, 10, 4, 512
KICK, KICK_AT, ROBOT_HORIZON, LAGS = 0.01, 10, 80, range(20, 65, 4)
LATE = range(44, 65, 4)


def measure(mode: Mode, say: Callable[[str], None]) -> Result:
    """Exact: recursion against closed forms and limits. Monte Carlo: rollouts of the scalar tasks, and a robot's rates."""
    return _exact() if mode == "exact" else _monte_carlo(say)


def _rate(sums: Any) -> Any:
    """d log / dH `[...]` of sums `[..., H]` over the last half of the horizon."""
    H = np.shape(sums)[-1]
    return np.log(sums[..., -1] / sums[..., H // 2 - 1]) / (H - H // 2)


def _exact() -> Result:
    H = np.arange(1, HORIZON + 1)
    sums = {lam: np.cumsum(linear_errors.errors(lam, EPS, HORIZON)) for lam in LAMS}
    off = max(float(np.abs(sums[lam] / linear_errors.error_sum(lam, EPS, H) - 1).max()) for lam in LAMS)
    long = 20_000_000
    marginal = np.cumsum(linear_errors.errors(1.0, EPS, 100_000))[-1] / (EPS * 100_000 * 100_001 / 2)
    slope = float(closed_forms.slope(GRID, linear_errors.error_sum(0.9, EPS, GRID)))
    bound = EPS * HORIZON * (HORIZON + 1) / 2
    found = (
        claims.equal("sum|e| of e' = lam e + eps equals its closed form, lam = .9, 1, 1.1, H = 1 ... 512: largest relative error",
                     0.0, off, tolerance=1e-6, note="1,536 values"),
        claims.equal("lam = .9: sum|e| / (eps H / (1 - lam)) -> 1, at H = 2e7", 1.0,
                     float(linear_errors.error_sum(0.9, EPS, long) / (EPS * long / 0.1)), tolerance=1e-6,
                     note=f"{linear_errors.error_sum(0.9, EPS, 16) / (EPS * 160):.3f} at H = 16: the limit is slow"),
        claims.equal("lam = .9: exponent of sum|e| on H = 16 ... 512 is 1.16, not yet 1", 1.16, slope, tolerance=0.005),
        claims.equal("lam = 1: sum|e| / (eps H (H + 1) / 2) = 1, at H = 1e5", 1.0, float(marginal), tolerance=1e-11),
        claims.equal("lam = 1.1: d log sum|e| / dH = log lam, over H = 256 ... 512", float(np.log(1.1)),
                     float(_rate(sums[1.1])), tolerance=0.01),
        claims.at_most("lam = 1.1: sum|e| <= eps H (H + 1) / 2 at H = 512 (no polynomial bound in H holds)",
                       float(sums[1.1][-1]), bound, expected="fails", note=f"exceeded {sums[1.1][-1] / bound:.2g} times"),
    )  # fmt: skip
    keep = np.unique(np.geomspace(1, HORIZON, 60).astype(int))
    curves = {str(lam): (sums[lam][keep - 1] / EPS).tolist() for lam in LAMS}
    return Result(found, {"exact_H": keep.tolist(), "exact_sums": curves})


# ------------------------------------------------------------------------------------ rollouts
def _interval(values: np.ndarray) -> tuple[float, float]:
    from ilbench import stats

    half = stats.t_quantile(0.95, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _error_sums(task_id: str, **options: Any) -> np.ndarray:
    """Prefix sums `[S, H]` of |e_t|, t = 1 ... H, of expert + EPS against the expert on the same noise."""
    from ilbench.envs import integrator
    from ilbench.theory.instances.nudge import nudged, observations, repeated

    task = integrator.make(task_id, HORIZON + 1, bound=1e30, **options)
    expert = repeated(task.expert, SEEDS)
    shape = (task.horizon, 1)
    x = [
        observations(task, nudged(expert, SEEDS, np.full(shape, size)), SEEDS, EPISODES, f"t13/{task_id}")
        for size in (EPS, 0.0)
    ]
    return np.cumsum(np.abs(x[0] - x[1])[:, :, 1:, 0].mean(1), axis=-1)


def _single(value: float) -> float:
    """The number as the env holds it: float32(1.1) is 2e-8 too large, which 512 steps raise to 1.1e-5."""
    return float(np.float32(value))


def _scalar_claims(say: Callable[[str], None]) -> tuple[list[Claim], dict[str, Any]]:
    found, curves = [], {}
    n = SEEDS * EPISODES
    for task_id, lam in zip(TASKS, LAMS, strict=True):
        say(f"{task_id}: expert and expert + {EPS} on the same noise")
        sums = _error_sums(task_id, gain=0.0)
        ratio = sums[:, -1] / linear_errors.error_sum(_single(lam), EPS, HORIZON)
        curves[str(lam)] = (sums.mean(0)[np.array(GRID) - 1] / EPS).tolist()
        found.append(claims.equivalent(
            f"{task_id}, expert without feedback: sum|e| / closed form of lam = {lam:g} at H = 512", 1.0, float(ratio.mean()),
            _interval(ratio), 1e-5, n, kind="T", note=f"{n} pairs on shared noise; within 1e-5 (float32)"))  # fmt: skip
        if lam == 1.1:
            value, target, what = _rate(sums), float(np.log(lam)), "d log sum|e| / dH over H = 256 ... 512"
        else:
            value = closed_forms.slope(GRID, sums[:, np.array(GRID) - 1])
            target = float(closed_forms.slope(GRID, linear_errors.error_sum(lam, EPS, GRID)))
            what = "exponent of sum|e| on H = 16 ... 512"
        found.append(claims.equivalent(f"{task_id}, expert without feedback: {what}", target, float(value.mean()),
                                       _interval(value), 0.01, n, kind="R"))  # fmt: skip
    return found, {"mc_sums": curves}


def _feedback_claims() -> list[Claim]:
    from ilbench.envs._control import lqr

    found, n = [], SEEDS * EPISODES
    for task_id, lam in zip(TASKS, LAMS, strict=True):
        factor = _single(lam) - _single(lqr(lam, 1.0, 1.0, 0.1)[0][0, 0])
        sums = _error_sums(task_id, start=0.5)
        ratio = sums[:, -1] / linear_errors.error_sum(factor, EPS, HORIZON)
        found.append(claims.equivalent(
            f"{task_id}, expert = regulator: sum|e| / (closed form of lam - k = {factor:.4f}) at H = 512", 1.0,
            float(ratio.mean()), _interval(ratio), 1e-5, n, kind="T",
            note=f"linear in H whatever lam: {sums[:, -1].mean() / (EPS * HORIZON):.4f} eps H; float32"))  # fmt: skip
    return found


def _robot_claims(say: Callable[[str], None]) -> tuple[list[Claim], dict[str, Any]]:
    from ilbench.envs import brax
    from ilbench.theory.instances.nudge import kick, log_rate, nudged, observations, repeated
    from ilbench.theory.instances.tables import rolled

    say("inverted_pendulum: one kick, with and without the expert's feedback")
    H = ROBOT_HORIZON
    task = brax.make("inverted_pendulum", H)
    expert, push = repeated(task.expert, SEEDS), kick(H, 1, KICK_AT, KICK)
    base = rolled(task, nudged(expert, SEEDS, np.zeros((H, 1))), SEEDS, 1, "t13/robot")
    actions, where = np.asarray(base["label"])[:, 0], base["obs"].astype(np.float64)
    learners = {"closed": nudged(expert, SEEDS, push), "open": nudged(expert, SEEDS, actions + push, share=0.0)}
    distance = {
        name: np.linalg.norm(observations(task, learner, SEEDS, 1, "t13/robot") - where, axis=-1)
        for name, learner in learners.items()
    }
    lags = KICK_AT + 1 + np.array(LAGS)
    rates = {name: log_rate(d, lags) for name, d in distance.items()}
    factor = {name: float(np.exp(rate.mean())) for name, rate in rates.items()}
    found = [
        claims.above("Brax inverted_pendulum, expert's actions replayed: log growth per step of a kick > 0 (lam > 1)",
                     rates["open"], 0.0, kind="E",
                     note=f"finite-difference lam = {factor['open']:.3f}, lags 20 ... 64, {SEEDS} starts"),
        claims.above("Brax inverted_pendulum, expert feeds back: log decay per step of a kick > 0 (lam < 1)",
                     -rates["closed"], 0.0, kind="E",
                     note=f"finite-difference lam = {factor['closed']:.3f}, lags 20 ... 64, {SEEDS} starts"),
    ]  # fmt: skip
    late = log_rate(distance["closed"], KICK_AT + 1 + np.array(LATE))
    left = float(np.median(distance["closed"][:, 0, KICK_AT + 65] / distance["closed"][:, 0, KICK_AT + 1]))
    found.append(claims.above(
        "Brax inverted_pendulum, expert feeds back: the decay goes on over lags 44 ... 64", -late, 0.0, kind="E",
        note=f"lam = {np.exp(late.mean()):.4f} there; {100 * left:.2g} % of the kick is left at lag 64 (median)"))  # fmt: skip
    after = {name: np.exp(np.log(d[:, 0, KICK_AT + 1 :]).mean(0)).tolist() for name, d in distance.items()}
    return found, {"robot": after, "robot_lam": factor}


def _monte_carlo(say: Callable[[str], None]) -> Result:
    scalar, data = _scalar_claims(say)
    feedback = _feedback_claims()
    robot, more = _robot_claims(say)
    return Result((*scalar, *feedback, *robot), data | more)


# ----------------------------------------------------------------------------------------- plot
def plot(result: Result, figure: Any) -> None:
    """sum|e| / eps against H: two log-log panels and one with a linear H axis; below, the robot's kick where measured."""
    data = result.data
    H = np.array(data["exact_H"])
    robot = "robot" in data
    figure.set_size_inches(9.6, 6.2 if robot else 3.4)
    grid = figure.add_gridspec(2 if robot else 1, 3)
    titles = ("lam = .9: linear in the end", "lam = 1: H (H + 1) / 2", "lam = 1.1: exponential")
    limits = (H / 0.1, H * (H + 1) / 2, 1.1 ** (H + 1.0) / 0.01)
    names = ("H / (1 - lam)", "H (H + 1) / 2", "lam^(H+1) / (1 - lam)^2")
    for k, lam in enumerate(LAMS):
        axis = figure.add_subplot(grid[0, k])
        axis.plot(H, limits[k], color=GREY, ls="--", label=names[k])
        axis.plot(H, data["exact_sums"][str(lam)], color=COLOURS[k], label="closed form")
        if "mc_sums" in data:
            axis.plot(GRID, data["mc_sums"][str(lam)], MARKS[0], color=COLOURS[k], label="rollouts", ms=5)
        axis.set(title=titles[k], xlabel="horizon H (steps)", yscale="log", xscale="linear" if lam > 1 else "log")
        axis.legend(fontsize=7)
        if k == 0:
            axis.set_ylabel("sum |e| / eps")
    if robot:
        axis = figure.add_subplot(grid[1, :])
        for k, name in enumerate(("open", "closed")):
            label = {"open": "actions replayed", "closed": "expert feeds back"}[name]
            lam = data["robot_lam"][name]
            axis.plot(data["robot"][name], color=COLOURS[k], label=f"{label}: lam = {lam:.3f} over lags 20 ... 64")
        axis.set(title="inverted_pendulum (Brax) after one kick of .01: geometric mean over 10 starts", yscale="log",
                 xlabel="steps after the kick", ylabel="distance of observations")  # fmt: skip
        axis.legend(fontsize=7)
