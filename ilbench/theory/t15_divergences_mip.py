"""Which divergence a learner minimises decides what it does with two modes; KL of trajectories is the sum of the KLs per
step, KL(P^p || P^q) = sum_t E_{d_t^p} KL(p || q); and training noise x supervised iterative compute, as a factorial.

Derivations. Chain rule: the dynamics and the start cancel in P^p / P^q, so log(P^p / P^q) = sum_t log p/q(a_t|s_t); take the
mean under P^p. Pinsker: |J(p) - J(q)| <= R TV(P^p, P^q) <= R sqrt(KL / 2), R the width of the return. Discounted, |r| <= 1,
with d the normalised state-action law: |gap| <= |d - d'|_1 / (1 - g). Occupancies: |d - d'|_1 = 2 TV and TV <= sqrt(2 JS), so
gap <= 2 sqrt(2 JS) / (1 - g). Behaviour cloning: |d - d'|_1 <= 2 E TV(pi, pi') / (1 - g) <= sqrt(2 eps_KL) / (1 - g), so
gap <= sqrt(2 eps_KL) / (1 - g)^2, one factor 1 / (1 - g) worse. Order of both: Xu, Li, Yu 2020; constants derived here.
Modes: expert 1/2 N(-1, .1^2) + 1/2 N(1, .1^2), success within .3 of a mode. With half-separation .15 <= tolerance .15 the
mean is best; drawing from the expert then succeeds with .933, or .866 if only the mode that was drawn counts.

Factorial (kind E): regression, straight flow (C2: noise in training), residual regression (C3: supervised second pass) and
MIP (both), by the paper's objective and by that of the released code (noise a + (1 - t*) z, a_0 not
scaled, weights 1/.81 and 1/.01), on a peg-in-slot task (ilbench/theory/instances/peg.py) with a two-sided and a one-sided expert;
settings were fixed before the first run. The paper reports effects on long-horizon robot tasks with nets of 20 M
parameters; a small one-shot task that does not show them says nothing against those.

Source: Xu, Li, Yu 2020, https://arxiv.org/abs/2010.11876; Pan et al. 2025, Much Ado About Noising,
https://arxiv.org/abs/2512.01809
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.style import COLOURS, GREY, MARKS
from ilbench.exact import divergences as div
from ilbench.exact import dp
from ilbench.exact.mdp import MDP
from ilbench.stats import claims
from ilbench.stats.claims import Claim, Mode, Result

MODES = ("exact", "monte-carlo")
WORDS = ("mode", "modes", "divergence", "divergences", "kl", "mip", "noising")
WIDE, CLOSE = div.TwoModes(1.0, 0.1, 0.3), div.TwoModes(0.15, 0.1, 0.15)
MDPS, STATES, ACTIONS, GAMMA = 300, 10, 4, 0.95
SEEDS, DRAWS = 10, 2000


def measure(mode: Mode, say: Callable[[str], None]) -> Result:
    """Exact: mode table, chain rule, bounds. Monte Carlo: the product's heads on two modes, and the factorial."""
    return _exact() if mode == "exact" else _monte_carlo(say)


# ----------------------------------------------------------------------------------------- exact
def table(expert: div.TwoModes) -> dict[str, float]:
    """Probability of success of each learner of a two-mode expert."""
    mean, sd, _ = div.gaussian_reverse(expert)
    return {
        "mean (MSE)": div.success(expert, 0.0, 0.0),
        "Gaussian, forward KL": div.success(expert, *div.gaussian_forward(expert)),
        "Gaussian, reverse KL": div.success(expert, mean, sd),
        "mixture": div.mixture_success(expert),
    }


def _mode_claims() -> list[Claim]:
    wide, close = table(WIDE), table(CLOSE)
    found = [
        claims.equal(f"modes at -1, 1 (sd .1, tolerance .3): success of {name}", value, wide[name], tolerance=5e-5 if value else 0.0)
        for name, value in (("mean (MSE)", 0.0), ("Gaussian, reverse KL", 0.9973), ("mixture", 0.9973))
    ]  # fmt: skip
    mean, sd, divergence = div.gaussian_reverse(WIDE)
    return [
        *found,
        claims.equal("modes at -1, 1 (sd .1, tolerance .3): success of Gaussian, forward KL", 0.290,
                     wide["Gaussian, forward KL"], tolerance=5e-4),
        claims.equal("modes at -1, 1: smallest KL(Gaussian || expert) = log 2", float(np.log(2)), divergence, tolerance=1e-9,
                     note=f"at mean {mean:.6f}, sd {sd:.6f}"),
        claims.equal("modes at -.15, .15 (sd .1, tolerance .15): success of the mean", 1.0, close["mean (MSE)"], tolerance=0.0),
        claims.at_most("modes at -.15, .15 (sd .1, tolerance .15): success of every other learner < 1 - .05",
                       max(v for k, v in close.items() if k != "mean (MSE)"), 0.95,
                       note=f"mixture {close['mixture']:.3f}; {div.mixture_success(CLOSE, own=True):.3f} if only its own mode counts"),
    ]  # fmt: skip


def _random_mdp(rng: np.random.Generator, S: int, A: int) -> tuple[MDP, np.ndarray, np.ndarray]:
    mdp = MDP(rng.dirichlet(np.ones(S), (S, A)), rng.uniform(-1, 1, (S, A)), rng.dirichlet(np.ones(S)))
    return mdp, rng.dirichlet(np.ones(A), S), rng.dirichlet(np.ones(A), S)


def trajectory_numbers(n: int, H: int = 4) -> np.ndarray:
    """`[n, 4]` on random MDPs of 3 states and 2 actions: KL enumerated, by the chain rule, of mean occupancies; gap / bound."""
    out, rng = np.empty((n, 4)), np.random.default_rng(0x7151)
    for row in out:
        mdp, p, q = _random_mdp(rng, 3, 2)
        row[0] = div.kl(div.trajectory_law(mdp, p, H), div.trajectory_law(mdp, q, H))
        row[1] = div.chain_rule(mdp, p, q, H)
        pairs = [(dp.occupancy(mdp, x, H).mean(0)[:, None] * x).ravel() for x in (p, q)]
        row[2] = div.kl(*pairs)
        row[3] = abs(dp.total_return(mdp, p, H) - dp.total_return(mdp, q, H)) / (2 * H * np.sqrt(row[1] / 2))
    return out


def discounted_ratios(n: int = MDPS) -> np.ndarray:
    """`[n, 2]` gap / bound of behaviour cloning and of occupancy matching on random MDPs."""
    out, rng = np.empty((n, 2)), np.random.default_rng(0x7152)
    for row in out:
        mdp, p, q = _random_mdp(rng, STATES, ACTIONS)
        a, b = div.discounted(mdp, p, GAMMA), div.discounted(mdp, q, GAMMA)
        gap = abs(float(((a - b) * mdp.R).sum())) / (1 - GAMMA)
        eps = float(a.sum(1) @ div.kl(p, q))
        row[0] = gap / (np.sqrt(2 * eps) / (1 - GAMMA) ** 2)
        row[1] = gap / (2 * np.sqrt(2 * float(div.js(a.ravel(), b.ravel()))) / (1 - GAMMA))
    return out


def _exact() -> Result:
    rows, ratios = trajectory_numbers(100), discounted_ratios()
    chain = float((np.abs(rows[:, 0] - rows[:, 1]) / np.maximum(1, rows[:, 0])).max())
    where = f"{MDPS} random MDPs, {STATES} states, {ACTIONS} actions, discount {GAMMA}"
    found = [
        claims.equal("KL(P^p || P^q) = sum_t E_{d^p} KL(p || q), all trajectories of 4 steps: largest relative error", 0.0,
                     chain, tolerance=1e-12, note="100 random MDPs, 3 states, 2 actions; scale max(1, KL)"),
        claims.at_most("KL of mean occupancies <= KL of trajectories: largest ratio on random MDPs",
                       float((rows[:, 2] / rows[:, 0]).max()), 1.0, note="100 random MDPs"),
        claims.at_most("|J(p) - J(q)| <= R sqrt(KL / 2): largest ratio on random MDPs", float(rows[:, 3].max()), 1.0,
                       note=f"median tightness {np.median(rows[:, 3]):.3f}; R = 2 H"),
    ]  # fmt: skip
    for k, name in enumerate(
        ("BC gap <= sqrt(2 eps_KL) / (1 - g)^2", "occupancy matching gap <= 2 sqrt(2 JS) / (1 - g)")
    ):
        found.append(claims.at_most(
            f"{name}: largest gap / bound", float(ratios[:, k].max()), 1.0,
            note=f"{int((ratios[:, k] > 1).sum())}/{where}; median tightness {np.median(ratios[:, k]):.4f}"))  # fmt: skip
    return Result((*_mode_claims(), *found), {"modes": table(WIDE), "close_modes": table(CLOSE)})


# ----------------------------------------------------------------------------- heads on two modes
def _sampled(shared: Any, item: Any, *, head: Any) -> Any:
    import jax
    import jax.numpy as jnp

    params, key = item
    draw = lambda k: head.sample(params, k, jnp.int32(0), jnp.zeros((1,), jnp.float32))[0]  # noqa: E731
    return jax.vmap(draw)(jax.random.split(key, DRAWS))


def _head_claims() -> tuple[list[Claim], dict[str, Any]]:
    from ilbench.compute.parallel import per_seed
    from ilbench.heads import gaussian
    from ilbench.rollouts.keys import seed_keys
    from ilbench.theory.instances.chunks import plant
    from ilbench.training import fit
    from ilbench.types import Data

    task = plant("bandit", 0.0, 0.0, 1)
    head = gaussian.make(task.spec, gaussian.Config(width=8, depth=1))
    rng = np.random.default_rng(0x7153)
    a = (rng.choice([-1.0, 1.0], (SEEDS, 4096, 1)) + 0.1 * rng.standard_normal((SEEDS, 4096, 1))).astype(np.float32)
    data = Data(np.zeros(a.shape[:2], np.int32), np.zeros_like(a), a, np.ones(a.shape[:2], np.float32))
    params = fit.init(head, seed_keys("t15/init", range(SEEDS)))
    settings = fit.FitConfig(updates=1000, batch=512, learning_rate=1e-2)
    params = fit.fit(head, seed_keys("t15/fit", range(SEEDS)), params, data, settings, 1000).params
    drawn = np.asarray(per_seed(_sampled, head=head)((), (params, seed_keys("t15/draw", range(SEEDS)))))
    hit = (np.abs(np.abs(drawn) - 1) <= WIDE.tol).mean(1)
    half = stats.t_quantile(0.95, SEEDS - 1) * hit.std(ddof=1) / np.sqrt(SEEDS)
    exact = table(WIDE)["Gaussian, forward KL"]
    claim = claims.equivalent(
        "modes at -1, 1: success of the product's Gaussian head, trained by likelihood and sampled", exact, float(hit.mean()),
        (float(hit.mean() - half), float(hit.mean() + half)), 0.02, SEEDS, kind="T",
        note=f"within .02; {SEEDS} seeds x {DRAWS} draws")  # fmt: skip
    return [claim], {"drawn": np.histogram(drawn, np.linspace(-3, 3, 61), density=True)[0].tolist()}


# ------------------------------------------------------------------------------------- Monte Carlo
def _monte_carlo(say: Callable[[str], None]) -> Result:
    from ilbench.theory.instances import factorial, mode_table, peg

    say("the Gaussian head on two modes")
    heads, data = _head_claims()
    for expert in (WIDE, CLOSE):
        say(f"heads x divergences on modes at {expert.half:g}")
        heads += mode_table.rows_of(expert, SEEDS)
    say(f"factorial: {len(peg.METHODS)} methods x 2 experts x {SEEDS} seeds")
    results = peg.factorial(SEEDS, 0x7154)
    kept = {str(k): {m: {n: x.tolist() for n, x in v.items()} for m, v in r.items()} for k, r in results.items()}
    return Result((*heads, *factorial.claims_of(results)), data | {"factorial": kept})


# ------------------------------------------------------------------------------------------ plot
def plot(result: Result, figure: Any) -> None:
    """Densities of the learners of two modes; success of the factorial; validation loss against success."""
    data = result.data
    full = "factorial" in data
    figure.set_size_inches(11.5 if full else 5.5, 4.2)
    axes = np.atleast_1d(figure.subplots(1, 3 if full else 1))
    _plot_modes(axes[0], data)
    if full:
        _plot_factorial(axes[1], axes[2], data["factorial"])


def _plot_modes(axis: Any, data: dict[str, Any]) -> None:
    x = np.linspace(-3, 3, 601)

    def normal(mean: float, sd: float) -> np.ndarray:
        return np.asarray(np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi)))

    modes = data["modes"]
    axis.fill_between(
        x, (normal(-1, 0.1) + normal(1, 0.1)) / 2, color=GREY, alpha=0.5, label=f"expert: {modes['mixture']:.3f}"
    )
    axis.plot(
        x, normal(0, np.hypot(1, 0.1)), color=COLOURS[0], label=f"forward KL: {modes['Gaussian, forward KL']:.3f}"
    )
    axis.plot(x, normal(1, 0.1), color=COLOURS[1], label=f"reverse KL: {modes['Gaussian, reverse KL']:.3f}")
    axis.axvline(0, color=COLOURS[2], ls="--", label=f"mean (MSE): {modes['mean (MSE)']:.3f}")
    if "drawn" in data:
        axis.stairs(data["drawn"], np.linspace(-3, 3, 61), color=COLOURS[3], label="Gaussian head, drawn")
    axis.set(title="Two modes: success within .3", xlabel="action", ylabel="density", ylim=(0, 4.3))
    axis.legend(fontsize=7, loc="upper left")


def _plot_factorial(bars: Any, scatter: Any, factorial: dict[str, Any]) -> None:
    for k, (sides, r) in enumerate(factorial.items()):
        name = "two-sided expert" if sides == "2" else "one-sided expert"
        for j, (method, v) in enumerate(r.items()):
            low, mid, high = _mean_interval(v["success"])
            error = [[max(0.0, mid - low)], [max(0.0, high - mid)]]
            bars.bar(j + 0.4 * k, mid, 0.38, color=COLOURS[k], label=name if j == 0 else None)
            bars.errorbar(j + 0.4 * k, mid, error, color="black", capsize=2, lw=1)
            label = method if k == 0 else None
            scatter.plot(
                v["validation"],
                v["success"],
                MARKS[j],
                color=COLOURS[j],
                mfc="none" if k else COLOURS[j],
                ms=4,
                label=label,
            )
    bars.set_xticks(np.arange(len(METHOD_NAMES)) + 0.2, METHOD_NAMES, fontsize=7)
    bars.set(title="Peg in slot: noise (C2) x second pass (C3)", ylabel="success (mean, 95 %)", ylim=(0, 1.05))
    bars.legend(fontsize=7, loc="upper center", ncols=2)
    scatter.set(
        title="Validation loss against success",
        xlabel="squared error on held-out actions",
        ylabel="success",
        xscale="log",
    )
    scatter.legend(fontsize=6, title="filled: two-sided, open: one-sided", title_fontsize=6)


METHOD_NAMES = ("reg.", "C2:\nstraight\nflow", "C3:\nresidual", "C2+C3:\nMIP\npaper", "C2+C3:\nMIP\nreleased")


def _mean_interval(values: list[float]) -> tuple[float, float, float]:
    interval = stats.mean_ci(np.asarray(values))
    return interval.lo, interval.value, interval.hi
