"""Cliff: cost = H - (1-eps)(1 - (1-eps)^H)/eps. Copy chain: cost = H/2 - (1 - (1-2 eps)^(H+1))/(4 eps) + 1/2. Both are
eps H(H+1)/2 at eps H << 1, and H (half of H) when saturated.

Source: the tightrope of the lecture; Kaariainen's copy example as cited by Ross & Bagnell 2010,
https://proceedings.mlr.press/v9/ross10a.html. The closed forms are derived here.

Derivation. Cliff: the learner is still on the path after t steps with probability (1-eps)^t, and step t costs 1 unless
it is, so the cost is sum_{t<=H} (1 - (1-eps)^t), a geometric sum. Copy chain: the prediction at t is wrong if an odd
number of t flips came up, q_t = (1 - (1-2 eps)^t)/2, so the cost is half that of a cliff with error rate 2 eps.
With x = eps H both are H times a function of x alone up to O(1/H), cliff: 1 - (1 - e^-x)/x; so cost / (eps H(H+1)/2)
against x is one curve for every eps and H. Its expansion is 1 - eps (H-1)/3 + ..., and d log cost / d log H falls from
2 to 1 around x = 1: an exponent of 2 is seen only for eps H << 1.

A mean over episodes whose failures are rare has relative variance 4/(3 eps H) per episode, 4/(3 eps M) for M steps in
all: every horizon gets the same number of steps, not of episodes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ilbench import registry, stats
from ilbench.display.style import COLOURS, GREY, MARKS, legend_below
from ilbench.envs import copy_chain
from ilbench.exact import bounds, dp
from ilbench.exact import closed_forms as cf
from ilbench.stats import slope_claims
from ilbench.stats.claims import Claim, Kind, Result, equal
from ilbench.stats.curves import along

MODES = ("exact", "monte-carlo")
WORDS = ("tightrope", "closed_form", "cliff")
FORMS = {"cliff": cf.cliff, "copy_chain": cf.copy_chain}
EPS = {"cliff": (1e-12, 1e-6, 1e-4, 0.01, 0.3, 1.0), "copy_chain": (1e-12, 1e-6, 1e-4, 0.01, 0.3, 0.5)}
HORIZONS = (1, 2, 10, 20, 50, 100, 200, 500, 1000)
RATIO_H = (10, 20, 50, 100, 200, 500, 1000)
RATIO = (0.970592, 0.939422, 0.854557, 0.737370, 0.568478, 0.320679, 0.180021)  # cliff, eps = .01
CLIPPED = (0.970592, 0.939422, 0.854557, 0.737370, 0.759229, 0.891566, 0.947927)
LOCAL_X = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
LOCAL = (1.997, 1.990, 1.967, 1.905, 1.718, 1.391, 1.111)
# Monte Carlo: steps per (eps, H), all seeds; the band's margin
MC_EPS, MC_H, SEEDS, STEPS, MARGIN = (1e-3, 1e-2, 1e-1), (8, 64, 512), 10, 2_000_000, 0.18
# of 400 repetitions from the cliff's exact law; a false form is off at the rarest point, eps = .001 and H = 8, alone
POWER = "a true form HOLDS with probability .96, one that is 15 % off at one point is VIOLATED with .98"


def bound(eps: Any, H: Any) -> Any:
    """eps H(H+1)/2."""
    return np.asarray(eps) * np.asarray(H) * (np.asarray(H) + 1) / 2


def by_dp(name: str, eps: float, horizons: Any) -> np.ndarray:
    """Cost `[K]` by dynamic programming on the task's own tables; one pass of the longest serves all."""
    task = registry.task(name, int(max(horizons)))
    table = copy_chain.learner(eps) if name == "copy_chain" else dp.erring_policy(np.zeros(2, int), [eps, 1.0], 2)
    return -np.cumsum(dp.rewards(task.mdp(), table, task.horizon))[np.asarray(horizons) - 1]


def _formulas() -> list[Claim]:
    out = []
    for name, form in FORMS.items():
        worst = max(
            float(np.max(np.abs(by_dp(name, eps, HORIZONS) / form(eps, np.array(HORIZONS)) - 1))) for eps in EPS[name]
        )
        grid = f"eps = {EPS[name][0]:g} ... {EPS[name][-1]:g}, H = 1 ... 1000"
        text = f"{name}, {grid}: max |cost by dynamic programming / closed form - 1| = 0"
        out.append(equal(text, 0.0, worst, tolerance=1e-10, note=f"{len(EPS[name])} eps x {len(HORIZONS)} H"))
    return out


def printed() -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Numbers that are known for the cliff, what dynamic programming gives, and half a unit of their last digit."""
    H, eps = np.array(RATIO_H), 0.01
    cost = by_dp("cliff", eps, H)
    clipped = [bounds.b1_clipped(np.full(h, eps)) for h in RATIO_H]
    small = np.array([1e-3, 1e-4, 1e-5, 1e-6])
    few = np.array([by_dp("cliff", e, [100])[0] / bound(e, 100) for e in small])
    local = cf.local_exponent("cliff", np.array(LOCAL_X) / 1e-7, 1e-7)
    copied = by_dp("copy_chain", 1e-6, [100]) / bound(1e-6, 100)
    return {
        "cost / (eps H(H+1)/2), cliff, eps = .01, H = 10 ... 1000": (np.array(RATIO), cost / bound(eps, H), 5e-7),
        "cost / sum_t min(1, t eps), cliff, eps = .01, H = 10 ... 1000": (np.array(CLIPPED), cost / clipped, 5e-7),
        "cost / (eps H(H+1)/2), cliff, H = 100, eps = 1e-3 ... 1e-6": (
            np.array([0.967793, 0.996708, 0.999670, 0.999967]), few, 5e-7,
        ),
        "cost / (eps H(H+1)/2), copy chain, H = 100, eps = 1e-6": (np.array([0.999934]), copied, 5e-7),
        "d log cost / d log H, cliff, eps H = .01 ... 10": (np.array(LOCAL), local, 5e-4),
    }  # fmt: skip


def _limits() -> list[Claim]:
    H, eps = 100, 1e-6
    first = (1 - by_dp("cliff", eps, [H])[0] / bound(eps, H)) / (eps * (H - 1) / 3)
    out = [
        equal(
            "cliff, H = 100, eps = 1e-6: (1 - cost / (eps H(H+1)/2)) / (eps (H-1)/3) = 1", 1.0, float(first),
            tolerance=1e-4, note="how the bound is approached as eps H -> 0; next term is O(eps H)",
        )
    ]  # fmt: skip
    for name, share in (("cliff", 1.0), ("copy_chain", 0.5)):
        full = float(by_dp(name, 0.3, [1000])[0] / (share * 1000))
        text = f"{name}, eps = .3, H = 1000: cost / {'H' if share == 1 else '(H/2)'} = 1"
        out.append(equal(text, 1.0, full, tolerance=0.005, note="saturated: the slope in H is 1, not 2"))
    x10 = float(cf.local_exponent("cliff", 10 / 1e-7, 1e-7))
    out.append(
        equal(
            "cliff: d log cost / d log H = 2 at eps H = 10 as well", 2.0, x10, tolerance=0.1, kind="R",
            expected="fails", note="quadratic growth needs eps H << 1; 1.718 at eps H = 1, 1.111 at 10",
        )
    )  # fmt: skip
    return out


def _exact(say: Callable[[str], None]) -> Result:
    out = _formulas()
    for text, (known, found, digit) in printed().items():
        worst = int(np.argmax(np.abs(found - known)))
        note = f"shown: the worst of {len(known)} to their printed digits"
        kind: Kind = "R" if "d log" in text else "T"
        out.append(equal(text, float(known[worst]), float(found[worst]), tolerance=digit, kind=kind, note=note))
    say("limits")
    out += _limits()
    x = np.geomspace(0.003, 60, 120)
    H = np.array([1e4])
    lines = {name: (form(np.minimum(x / H, 0.5), H) / bound(x / H, H)).tolist() for name, form in FORMS.items()}
    return Result(tuple(out), {"x": x.tolist(), "lines": lines})


# --------------------------------------------------------------------------------------- Monte Carlo
def costs(name: str, eps: float, H: int) -> np.ndarray:
    """Total cost of each episode `[N]` of the dialled learner; N = STEPS / H, a stream of its own."""
    from ilbench.algorithms import dialled
    from ilbench.theory.instances.tables import rolled
    from ilbench.training.fit import FitConfig
    from ilbench.training.lab import Lab

    task = registry.task(name, H)
    config = dialled.Config(eps, "own", "copy") if name == "copy_chain" else dialled.Config(eps)
    nothing: Any = None  # no head, no keys: nothing is fitted
    lab = Lab(task, nothing, tuple(range(SEEDS)), 0, FitConfig())
    policy = dialled.train(lab, config).policies["last"]
    return -rolled(task, policy, SEEDS, STEPS // (SEEDS * H), f"t02/{name}/{eps}/{H}")["reward"].sum(-1).ravel()


def band(samples: list[np.ndarray], tops: list[int], level: float) -> tuple[np.ndarray, np.ndarray]:
    """Simultaneous limits of the mean costs of K samples."""
    m, sd, n = np.array([(x.mean(), x.std(ddof=1), len(x)) for x in samples]).T
    failing = np.array([(x > 0).sum() for x in samples])
    return stats.simultaneous_band(m, sd, n, level=level, failing=failing, upper=np.array(tops))


def _monte_carlo(say: Callable[[str], None]) -> Result:
    out, points = [], {}
    cells = [(eps, H) for H in MC_H for eps in MC_EPS]
    for name, form in FORMS.items():
        samples = []
        for eps, H in cells:
            say(f"{name}, eps = {eps:g}, H = {H}")
            samples.append(costs(name, eps, H))
        tops = [H for _, H in cells]
        mean, predicted = np.array([x.mean() for x in samples]), np.array([float(form(e, H)) for e, H in cells])
        lo, hi = band(samples, tops, 0.95)
        text = f"{name}, rollouts: closed form inside the simultaneous 95 % band, {len(MC_EPS)} eps x {len(MC_H)} H"
        note = f"{STEPS:g} steps a point, streams of their own; HOLDS: the whole band is within {MARGIN:.0%} of it"
        note += f"; {POWER}" if name == "cliff" else ""
        n = sum(len(x) for x in samples)
        out.append(
            along(text, mean, partial(band, samples, tops), predicted, predicted, MARGIN * predicted, n, note=note)
        )
        out.append(_slope(name, [s for s, (e, _) in zip(samples, cells, strict=True) if e == MC_EPS[0]]))
        scale = [float(bound(*cell)) for cell in cells]
        points[name] = {
            "x": [e * H for e, H in cells], "eps": [e for e, _ in cells],
            "ratio": (mean / scale).tolist(), "lo": (lo / scale).tolist(), "hi": (hi / scale).tolist(),
        }  # fmt: skip
    return Result(tuple(out), {"points": points})


def _slope(name: str, samples: list[np.ndarray]) -> Claim:
    """The exponent over MC_H at the smallest eps, against the closed form's on the same grid."""
    eps, ses = MC_EPS[0], [x.std(ddof=1) / np.sqrt(len(x)) for x in samples]
    s = stats.slope_ci_independent([x.mean() for x in samples], ses, MC_H)
    text = f"{name}, rollouts: slope of log cost on log H, eps = {eps:g}, H = {MC_H[0]} ... {MC_H[-1]}"
    predicted = float(cf.exponent(name, MC_H, eps))
    half = (s.hi90 - s.lo90) / 2 if s.lo90 is not None and s.hi90 is not None else np.inf
    note = f"within +-.1 of the form's slope on this grid; half width {half:.3f}; 2 is its limit"
    return slope_claims.equivalent(text, predicted, s, sum(map(len, samples)), note)


def measure(mode: str, say: Callable[[str], None]) -> Result:
    """Exact: formulas, printed numbers, limits. Monte Carlo: the dialled learner's rollouts."""
    return _exact(say) if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """Cost over eps H(H+1)/2 against eps H: one curve per chain, whatever eps and H."""
    axis = figure.subplots()
    titles = {"cliff": "cliff", "copy_chain": "copy chain"}
    for i, name in enumerate(FORMS):
        if "lines" in result.data:
            y = result.data["lines"][name]
            axis.plot(result.data["x"], y, color=COLOURS[i], lw=1.2, label=f"{titles[name]}, closed form (H = 10,000)")
        points = result.data.get("points", {}).get(name)
        for j, eps in enumerate(sorted(set(points["eps"])) if points else []):
            at = np.array([k for k, e in enumerate(points["eps"]) if e == eps])
            px, r, lo, hi = (np.array(points[key])[at] for key in ("x", "ratio", "lo", "hi"))
            axis.errorbar(
                px * (1 + 0.03 * (i - 0.5)), r, yerr=[r - lo, hi - r], fmt=MARKS[j], color=COLOURS[i], ms=3.5, lw=1,
                capsize=2, mfc="white", label=f"{titles[name]}, eps = {eps:g}",
            )  # fmt: skip
    axis.axhline(1, color=GREY, ls="--", lw=1)
    axis.set(xscale="log", yscale="log", xlabel="eps H (expected mistakes on the path)", ylabel="cost / (eps H(H+1)/2)")
    axis.set_title("All eps and H fall on one curve: the bound is met at eps H << 1, then saturates", fontsize=9)
    legend_below(axis, 3)
