"""A per-step table needs S H^2 / N: on Reset Cliff gap N / (S H^2) -> m (S-2) / (2 e S), if rare states are as rare as N.

Every step draws a fresh good state from rho; S - 2 of them have mass 1/(N+1). N demonstrations give each step N
draws, so the step's table lacks state s with probability (1 - rho(s))^N, independently of the learner's own draws.
With m the chance that the rule for unseen states errs, a step falls with probability e = m sum_s rho(s)(1-rho(s))^N
and steps are independent: E gap = H - sum_t (1-e)^t. As N rho -> 1, e -> m (S-2) / (e N): the limit above for e H << 1.
The rate is minimax: rho moves with N. With rho fixed the gap falls like (1 - rho_min)^N, faster than any power.
And never more, whatever rho: x (1-x)^N is largest at x = 1/(N+1), where it is (N/(N+1))^(N+1) / N <= 1/(e N), and
H - sum_t (1-e)^t <= e H(H+1)/2. So E gap <= m (S-1) H(H+1) / (2 e N), of which the rare law attains (S-2)/(S-1).

One table for all steps sees N H draws. On the rho above that is exponentially good; on its own worst rho, mass
1/(N H + 1), it pays S H / N: sharing parameters over time removes one H. Its exact gap conditions on the number K of
unseen states, P(K=k) = C(R,k) sum_j (-1)^j C(R-k,j) (1-(k+j)p)^(NH) for R = S - 2 states of mass p.

Source: Rajaraman, Yang, Jiao, Ramchandran 2020, https://arxiv.org/abs/2009.05990 (rate and lower-bound instance;
the absorbing renewal instance here is after theirs, and its closed form is derived as above).
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.axes import log_ticks
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.stats import slope_claims
from ilbench.stats.claims import Result, at_most, at_most_estimated, equal
from ilbench.stats.curves import along

MODES = ("exact", "monte-carlo")
WORDS = ("rate", "rates", "sample_complexity")
S, UNIFORM = 12, 0.75  # states; the uniform rule with 4 actions errs with probability 3/4
GRID_N, GRID_H = (30, 100, 300, 1000, 3000, 10000), (4, 8, 16, 32, 64)
TRAINED_N, PREFIXES, H = (50, 100, 400), (5, 10, 20, 40), 40  # Monte Carlo
SEEDS, EPISODES = 64, 512
LIMIT = UNIFORM * (S - 2) / (2 * np.e * S)


def _slope(x: Any, y: Any) -> float:
    return float(cf.slope(x, y))


def gap(H: Any, n: Any, wrong: float, fixed: int | None = None) -> Any:
    """Closed form at H and n demonstrations; rho belongs to n unless `fixed` names the n it belongs to."""
    return cf.reset_cliff(H, cf.reset_cliff_rho(S, fixed or int(n)), n, wrong)


def shared_gap(H: int, mass: float, draws: int, wrong: float) -> float:
    """Exact expected gap of ONE table for all steps: S - 2 states of `mass`, the common one surely seen."""
    rare = S - 2
    law = [
        comb(rare, k) * sum((-1) ** j * comb(rare - k, j) * (1 - (k + j) * mass) ** draws for j in range(rare - k + 1))
        for k in range(1, rare + 1)
    ]
    return float(sum(p * cf.cliff(wrong * mass * k, H) for k, p in enumerate(law, 1)))


def _by_programme(H: int, n: int, wrong: float) -> float:
    """The same expectation by dynamic programming: a learner that errs in s with probability wrong (1 - rho(s))^n."""
    from ilbench.envs import reset_cliff

    task = reset_cliff.make("reset_cliff", H, n=n, states=S)
    rho = cf.reset_cliff_rho(S, n)
    learner = dp.erring_policy(np.asarray(task.expert.params), np.append(wrong * (1 - rho) ** n, 1.0), 3)
    return H - dp.total_return(task.mdp(), learner, H)  # type: ignore[misc]


def random_laws(count: int = 2000) -> np.ndarray:
    """E gap over (S-1) H(H+1)/(2 e N), m = 1, `[count]`: random S, N, H and Dirichlet rho from sparse to even."""
    rng, out = np.random.default_rng(9), []
    for _ in range(count):
        good, n, horizon = int(rng.integers(2, 30)), int(10 ** rng.uniform(0, 4)), int(10 ** rng.uniform(0, 2))
        rho = rng.dirichlet(np.full(good, 10 ** rng.uniform(-1, 1)))
        out.append(float(cf.reset_cliff(horizon, rho, n)) * 2 * np.e * n / (good * horizon * (horizon + 1)))
    return np.array(out)


def _exact() -> Result:
    table = np.array([[gap(h, n, UNIFORM) * n / (S * h**2) for h in GRID_H] for n in GRID_N])
    off = max(abs(_by_programme(h, 100, 1.0) / gap(h, 100, 1.0) - 1) for h in PREFIXES)
    many, double = 10**6, 512 * 2 ** np.arange(5)
    moving = _slope(double, [gap(64, n, UNIFORM) for n in double])
    fixed_n = 250 * 2 ** np.arange(6)
    local = np.diff(np.log([gap(40, n, UNIFORM, fixed=1000) for n in fixed_n])) / np.log(2)
    grid = np.array(GRID_H)
    shared = [shared_gap(h, 1 / (1000 * h + 1), 1000 * h, UNIFORM) for h in GRID_H]
    same = [shared_gap(h, 1 / 1001, 1000 * h, UNIFORM) for h in GRID_H]
    laws, rare = random_laws(), gap(10, 10**8, 1.0) * 2 * np.e * 10**8 / (S * 10 * 11)
    claims = (
        at_most("E gap <= m (S-1) H(H+1)/(2 e N) for every rho: largest ratio over 2,000 random laws", float(laws.max()), 1.0,
                slack=0, note=f"median tightness {np.median(laws):.3f}"),
        equal("E gap N/(S H (H+1)) on the rare law, over 1/(2 e): (S-2)/S", (S - 2) / S, rare, tolerance=1e-5,
              note=f"so the bound is tight up to {(S - 2) / (S - 1):.3f}; N = 1e8, H = 10"),
        equal("E gap of the per-step table = H - sum_t (1-e)^t, N = 100, H = 5..40: relative difference", 0.0, off,
              tolerance=1e-12),
        equal("gap N/(S H^2), N = 10^4, H = 64, S = 12, uniform rule, A = 4: .1161", 0.1161,
              gap(64, 10**4, UNIFORM) * 10**4 / (S * 64**2), tolerance=5e-5, kind="R", note=f"limit {LIMIT:.4f}"),
        equal("gap N/(S H (H+1)) -> m (S-2)/(2eS): relative difference at N = 10^6, H = 64", 0.0,
              gap(64, many, UNIFORM) * many / (S * 64 * 65) / LIMIT - 1, tolerance=1e-3, kind="R"),
        equal("slope in H at N = 10^6 = that of H (H+1), H = 4..64", _slope(grid, grid * (grid + 1)),
              _slope(grid, gap(grid, many, UNIFORM)), tolerance=1e-3, kind="R", note="2 for large H"),
        equal("slope in N = -.964: rho moves with N = 512..8192, H = 64", -0.964, moving, tolerance=5e-4, kind="R",
              note="-1 for e H -> 0"),
        equal("slope in N is -1 also for a fixed rho (that of N = 1000; N = 4000 to 8000, H = 40)", -1.0, local[-1],
              tolerance=0.1, kind="R", expected="fails",
              note="local slopes of doublings: " + ", ".join(f"{s:.2f}" for s in local)),
        equal("one table for all steps, its worst rho: slope in H = .93, N = 1000, H = 4..64", 0.93,
              _slope(grid, shared), tolerance=5e-3, kind="R"),
        equal("one table for all steps, its worst rho: gap N/(S H) = .117 at H = 64", 0.117,
              shared[-1] * 1000 / (S * 64), tolerance=5e-4, kind="R"),
    )  # fmt: skip
    return Result(
        claims,
        {"n": list(GRID_N), "h": list(GRID_H), "scaled": table.tolist(), "limit": LIMIT, "fixed_n": fixed_n.tolist(),
         "local": local.tolist(), "shared": shared, "shared_same_rho": same,
         "per_step": [float(gap(h, 1000, UNIFORM)) for h in GRID_H]},
    )  # fmt: skip


def _trained(n: int, first: int, rule: str = "wrong", fixed: int | None = None) -> Any:
    """Costs `[seeds, prefixes]` of tables that the product's behaviour cloning trained on n demonstrations; rho as in `gap`."""
    from ilbench.algorithms import bc
    from ilbench.envs import reset_cliff
    from ilbench.heads import table
    from ilbench.theory.instances.tables import rolled
    from ilbench.training.fit import FitConfig
    from ilbench.training.lab import Lab

    task = reset_cliff.make("reset_cliff", H, n=fixed or n, states=S)
    head = table.make(task.spec, table.Config(per_step=True, unseen=rule))
    lab = Lab(task, head, tuple(range(first, first + SEEDS)), n * H, FitConfig())
    policy = bc.train(lab, bc.Config()).policies["last"]
    reward = rolled(task, policy, SEEDS, EPISODES, f"t09/{n}/{rule}/{fixed}")["reward"]
    return np.cumsum(1 - reward, -1)[..., np.array(PREFIXES) - 1].mean(1)


def _monte_carlo(say: Any) -> Result:
    costs = []
    for i, n in enumerate(TRAINED_N):
        say(f"tables of {n} demonstrations")
        costs.append(_trained(n, i * SEEDS))
    say("the uniform rule; a fixed law")
    uniform, fixed = _trained(100, 3 * SEEDS, rule="uniform"), _trained(400, 4 * SEEDS, fixed=100)
    flat = np.concatenate(costs, axis=1)
    mean, sd = flat.mean(0), flat.std(0, ddof=1)
    expected = np.array([gap(h, n, 1.0) for n in TRAINED_N for h in PREFIXES])
    at100 = TRAINED_N.index(100)
    in_h = stats.slope_ci(costs[at100][:, None, :], PREFIXES)
    last = np.array([c[:, -2] for c in costs])  # H = 20: the gap at N = 50, H = 40 is close to saturation
    in_n = stats.slope_ci_independent(last.mean(1), last.std(1, ddof=1) / np.sqrt(SEEDS), TRAINED_N)
    slope_h = float(cf.reset_cliff_exponent(PREFIXES, S, 100))
    slope_n = _slope(TRAINED_N, [gap(PREFIXES[-2], n, 1.0) for n in TRAINED_N])
    n = SEEDS * len(TRAINED_N)
    even = np.array([gap(h, 100, 2 / 3) for h in PREFIXES])
    before, after = costs[at100][:, 1], fixed[:, 1]  # H = 10
    claims = (
        along("trained tables: E gap = closed form at N = 50, 100, 400 x H = 5, 10, 20, 40, at once", mean,
              lambda level: stats.simultaneous_band(mean, sd, SEEDS, level=level), expected, expected, 0.2 * expected,
              n, kind="R", note=f"margin 20 %; {SEEDS} training seeds per N, {EPISODES} episodes each"),
        slope_claims.equivalent("trained tables, N = 100: slope in H = the closed form's (1.74)", slope_h, in_h, SEEDS,
                           "within +-.1, H = 5..40; 2 for e H -> 0"),
        slope_claims.equivalent(
            f"trained tables, rho moves with N = 50..400, H = 20: slope in N = closed form's ({slope_n:.3f})", slope_n, in_n, n,
            "within +-.1; -1 for e H -> 0"),
        along("trained tables, uniform rule, A = 3: E gap = closed form with m = 2/3, N = 100, H = 5..40, at once",
              uniform.mean(0), lambda level: stats.simultaneous_band(
                  uniform.mean(0), uniform.std(0, ddof=1), SEEDS, level=level), even, even, 0.2 * even, SEEDS, kind="R",
              note="margin 20 %"),
        at_most_estimated("trained tables, rho fixed at that of N = 100, H = 10: gap(400) <= gap(100) / 8, slope < -1.5",
                          after, before / 8, PREFIXES[1], kind="R",
                          note=f"slope {np.log(after.mean() / before.mean()) / np.log(4):.2f}, closed form "
                          f"{np.log(gap(10, 400, 1.0, fixed=100) / gap(10, 100, 1.0)) / np.log(4):.2f}; -1 would be 1/4"),
    )  # fmt: skip
    lo, hi = stats.simultaneous_band(mean, sd, SEEDS)
    return Result(
        claims,
        {"trained_n": list(TRAINED_N), "prefixes": list(PREFIXES), "trained": mean.tolist(), "trained_lo": lo.tolist(),
         "trained_hi": hi.tolist(), "closed": expected.tolist()},
    )  # fmt: skip


def measure(mode: str, say: Any) -> Result:
    """exact: closed forms and the programme. monte-carlo: tables trained by behaviour cloning, rolled out."""
    return _exact() if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """Heat map of gap N/(S H^2), and the gap against H: with and without a table per step, trained tables beside it."""
    from ilbench.display.style import COLOURS, MARKS, legend_below

    d = result.data
    trained = "trained" in d
    figure.set_size_inches(9.6 if trained else 7.4, 4.2)
    axes = figure.subplots(1, 3 if trained else 2)
    axis, scaled = axes[0], np.array(d["scaled"])
    axis.imshow(scaled, cmap="Blues", vmin=0, vmax=0.18, aspect="auto", origin="lower")
    axis.grid(False)
    for i, j in np.ndindex(scaled.shape):
        axis.text(j, i, f"{scaled[i, j]:.3f}".lstrip("0"), ha="center", va="center", fontsize=7.5,
                  color="white" if scaled[i, j] > 0.11 else "black")  # fmt: skip
    axis.set_xticks(range(len(d["h"])), d["h"])
    axis.set_yticks(range(len(d["n"])), d["n"])
    axis.set_xlabel("horizon H (steps)")
    axis.set_ylabel("demonstrations N; rare mass 1/(N+1)")
    axis.set_title(f"gap N/(S H$^2$), limit {d['limit']:.3f}", fontsize=9)
    names = {
        "per_step": "a table per step",
        "shared": "one table, its worst rho",
        "shared_same_rho": "one table, same rho",
    }
    for i, (key, name) in enumerate(names.items()):
        axes[1].loglog(d["h"], d[key], color=COLOURS[i], marker=MARKS[i], ms=4, label=name)
    log_ticks(axes[1], d["h"])
    axes[1].set_ylim(1e-7, 50)
    axes[1].set_xlabel("horizon H (steps)")
    axes[1].set_ylabel("expected gap (steps), N = 1000")
    axes[1].set_title("sharing over time removes one H", fontsize=9)
    legend_below(axes[1], 1)
    if trained:
        _plot_trained(axes[2], d)
    figure.suptitle("Reset Cliff: a table per step pays S H$^2$/N when the rare states are as rare as N", fontsize=10)


def _plot_trained(axis: Any, d: dict[str, Any]) -> None:
    from ilbench.display.style import COLOURS, MARKS, legend_below

    shape = len(d["trained_n"]), len(d["prefixes"])
    mean, lo, hi, closed = (np.reshape(d[k], shape) for k in ("trained", "trained_lo", "trained_hi", "closed"))
    for i, n in enumerate(d["trained_n"]):
        axis.loglog(d["prefixes"], closed[i], color=COLOURS[i], lw=1)
        axis.errorbar(d["prefixes"], mean[i], [mean[i] - lo[i], hi[i] - mean[i]], color=COLOURS[i], marker=MARKS[i],
                      ms=4, ls="", capsize=2, label=f"trained, N = {n}; line: closed form")  # fmt: skip
    log_ticks(axis, d["prefixes"])
    axis.set_xlabel("horizon H (steps)")
    axis.set_ylabel("gap (steps), 95 % band at once")
    axis.set_title("trained tables on the closed form", fontsize=9)
    legend_below(axis, 1)
