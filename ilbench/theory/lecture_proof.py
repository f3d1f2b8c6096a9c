"""The lecture's proof of cost <= eps H(H+1)/2, step by step: P(E_t^c) <= sum_{i<t} eps_i <= (t-1) eps;
E[l(s_t) 1{E_t}] <= eps_t; E_{d_t^pihat} l <= sum_{i<=t} eps_i <= t eps; the sum. E_t: no mistake in the first t-1 steps.

Source: the lecture. Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html, prove the bound without the slip
below: their step is p_{t-1} E_{d_t} l + (1 - p_{t-1}) with d_t the states given no mistake, and they split the expert's
law accordingly.

Derivation. As long as the learner agrees it sees the expert's states, so its agreeing mass m_t(s) = P(s_t = s, E_t) is
E_{pi*}[1{s_t = s} prod_{i<t} pihat(pi*(s_i)|s_i)] <= d_t^{pi*}(s), state by state. Hence
(2) E[l(s_t) 1{E_t}] = sum_s m_t(s) l(s) <= sum_s d_t^{pi*}(s) l(s) = eps_t;
(1) P(E_t^c) = sum_{i<t} P(first mistake at i) = sum_{i<t} E[l(s_i) 1{E_i}] <= sum_{i<t} eps_i, by (2);
(3) E_{d_t^pihat} l = E[l 1{E_t}] + E[l 1{E_t^c}] <= eps_t + P(E_t^c), as l <= 1; (4) sum over t, eps_t <= eps.

The slip. The slide has E[l(s_t) | E_t] = E_{d_t^{pi*}} l. That would need the expert's state at t to be independent of
whether the learner would have erred before, and fails: two start states of mass 1/2 where the learner errs in the first
at t = 1 and in the second at t = 2. Given no mistake one sits in the second, E[l(s_2) | E_2] = 1, but eps_2 = 1/2. As an
inequality it fails too. What is needed is the product, P(E_2) E[l(s_2) | E_2] = 1/2 <= eps_2, so the theorem stands; the
same instance attains it: cost 3/2 = eps H(H+1)/2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import special

from ilbench import registry
from ilbench.display.style import COLOURS, GREY, legend_below
from ilbench.envs import disjoint
from ilbench.exact import dp
from ilbench.stats.claims import Claim, Result, at_most, equal
from ilbench.stats.curves import along
from ilbench.theory.instances.proof import HORIZON, Steps, random_instances, steps, timed

MODES = ("exact", "monte-carlo")
WORDS = ("proof", "slide", "lecture")
COUNT, EPS = 400, 0.001  # random MDPs; error rate of the learners on tabular tasks
TASK, H, DEMOS, SEEDS, EPISODES, MARGIN = "gridworld", 20, 8, 10, 3000, 0.02  # Monte Carlo
PAIRS = (  # left side, right side, what it says
    ("broken", "before", "P(E_t^c) / sum_{i<t} eps_i"),
    ("joint", "eps", "E[l(s_t) 1{E_t}] / eps_t"),
    ("own", "upto", "E_{d_t^pihat} l / sum_{i<=t} eps_i"),
)


def tabular() -> dict[str, Steps]:
    """By tabular task at its own horizon: errs with probability EPS on the expert's states, always elsewhere."""
    out = {}
    for name, entry in registry.entries("tasks").items():
        if "tabular" in entry.tags:
            task = registry.task(name)
            mdp, expert = task.mdp(), timed(task.expert.params, task.horizon)
            covered = dp.occupancy(mdp, expert, task.horizon).max(0) > 0
            learner = dp.erring_policy(expert, np.where(covered, EPS, 1.0), mdp.R.shape[1])
            out[name] = steps(mdp, learner, expert, task.horizon)
    return out


def _ratio(left: Any, right: Any) -> np.ndarray:
    """left / right where right > 0; inf for a positive over 0, nothing for 0 over 0."""
    left, right = np.ravel(left), np.ravel(right)
    some = (right > 1e-300) | (left > 1e-12)
    with np.errstate(divide="ignore"):
        return left[some] / right[some]


def _inequalities(what: str, rows: list[Steps], note: str) -> list[Claim]:
    out = []
    for left, right, text in PAIRS:
        ratios = np.concatenate([_ratio(getattr(r, left), getattr(r, right)) for r in rows])
        said = (
            f"{note}; {len(ratios)} steps, {int((ratios > 1 + 1e-12).sum())} violations, median {np.median(ratios):.3f}"
        )
        out.append(at_most(f"{what}: max over t of {text} <= 1", float(ratios.max()), 1.0, note=said))
    totals = [_ratio(r.own.sum(), r.eps.max() * len(r.eps) * (len(r.eps) + 1) / 2) for r in rows]
    ratios = np.concatenate(totals)
    said = f"{note}; tightness: median {np.median(ratios):.3f}"
    return [*out, at_most(f"{what}: max of cost / (eps H(H+1)/2) <= 1", float(ratios.max()), 1.0, note=said)]


def domination(count: int = COUNT) -> float:
    """max over random MDPs, t and s of P(s_t = s, E_t) - d_t^{pi*}(s)."""
    worst = -np.inf
    for mdp, learner, expert in random_instances(count):
        agreeing, _ = dp.split_by_mistakes(mdp, learner, expert, HORIZON)
        worst = max(worst, float((agreeing - dp.occupancy(mdp, expert, HORIZON)).max()))
    return worst


def slip() -> Steps:
    """The instance that breaks the slide's equality: `disjoint` with eps = 1/2 and H = 2."""
    task = registry.task("disjoint", 2, eps=0.5)
    return steps(task.mdp(), disjoint.learner(2, 2), np.asarray(task.expert.params, np.int64), 2)


def _slip(rows: list[Steps]) -> list[Claim]:
    two = slip()
    given = two.joint[1] / (1 - two.broken[1])
    where = "disjoint, eps = 1/2, H = 2"
    alive = [(r.joint / (1 - r.broken), r.eps) for r in rows if (r.broken < 0.999).all()]
    conditional, eps = (np.concatenate(x) for x in zip(*alive, strict=True))
    above = f"above eps_t in {np.mean(conditional > eps + 1e-9):.0%} of {len(eps)} steps"
    off = f"random MDPs: {above}, by up to {np.max(conditional - eps):.2f}"
    return [
        equal(
            f"{where}: E[l(s_2) | E_2] = E_{{d_2^pi*}} l, the slide's equality", float(two.eps[1]), float(given),
            tolerance=1e-12, expected="fails", note=f"a slip of the slide only; Ross & Bagnell condition correctly; {off}",
        ),
        equal(
            f"{where}: cost = eps H(H+1)/2 = 3/2, on the same instance", 1.5, float(two.own.sum()), tolerance=1e-12,
            note="the theorem stands, and is tight, where the slide's step is false",
        ),
    ]  # fmt: skip


def _exact(say: Callable[[str], None]) -> Result:
    say(f"{COUNT} random MDPs")
    rows = [steps(*instance, HORIZON) for instance in random_instances(COUNT)]
    say("tabular tasks")
    tasks = tabular()
    drawn = f"{COUNT} random MDPs (S = 5, A = 3, H = {HORIZON})"
    out = _inequalities(drawn, rows, "half of the learners deterministic")
    out += _inequalities(f"{len(tasks)} tabular tasks", list(tasks.values()), f"eps {EPS:g} on the path, wrong off it")
    text = f"{COUNT} random MDPs: max over t, s of P(s_t = s, E_t) - d_t^pi*(s) <= 0"
    out.append(at_most(text, domination(), 0.0, slack=1e-14, note="why the steps hold: agreeing mass is expert's mass"))
    out += _slip(rows)
    shown = [r for r in rows if (r.broken < 0.999).all()][:40]
    points = {
        "eps": np.concatenate([r.eps for r in shown]).tolist(),
        "joint": np.concatenate([r.joint for r in shown]).tolist(),
        "given": np.concatenate([r.joint / (1 - r.broken) for r in shown]).tolist(),
    }
    return Result(tuple(out), {"steps": points})


# --------------------------------------------------------------------------------------- Monte Carlo
def sampled() -> Steps:
    """Per episode `[S, N, H]`: behaviour cloning from DEMOS demonstrations, its own rollouts and held-out expert ones."""
    from ilbench.algorithms import bc
    from ilbench.heads import table
    from ilbench.rollouts.keys import episode_keys
    from ilbench.rollouts.replay import replay
    from ilbench.theory.instances.tables import rolled
    from ilbench.training.fit import FitConfig
    from ilbench.training.lab import Lab

    task = registry.task(TASK, H)
    head = table.make(task.spec, table.Config(unseen="wrong"))
    lab = Lab(task, head, tuple(range(SEEDS)), DEMOS * H, FitConfig())
    trained = bc.train(lab, bc.Config())
    policy = trained.policies[trained.selected]
    own = rolled(task, policy, SEEDS, EPISODES, "lecture_proof/own")["mistakes"]
    expert = rolled(task, policy, SEEDS, EPISODES, "lecture_proof/expert", beta=1.0)
    would = replay(
        policy, expert["obs"], episode_keys("theory/lecture_proof/replay", range(SEEDS), EPISODES), range(SEEDS)
    )
    eps = (would != expert["label"]).astype(np.float64)
    count = np.cumsum(own, axis=-1)
    broken = (count - own) > 0
    return Steps(broken.astype(np.float64), (own & ~broken).astype(np.float64), own.astype(np.float64), eps)


def error(*samples: np.ndarray) -> np.ndarray:
    """Standard error `[H]` of a sum of means of independent samples `[S, N, H]` over the same S policies, kept as they are."""
    return np.sqrt(sum((x.var(1, ddof=1) / x.shape[1]).sum(0) for x in samples)) / len(samples[0])


def normal_band(mean: np.ndarray, se: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits `[H]` that hold at all steps at once (Bonferroni)."""
    half = float(special.ndtri(1 - (1 - level) / (2 * len(mean)))) * se
    return mean - half, mean + half


def _curves(m: Steps) -> list[Claim]:
    n, where = SEEDS * EPISODES, f"{TASK}, BC from {DEMOS} demonstrations, H = {H}"
    note = (
        f"{SEEDS} tables x {EPISODES} episodes a side, one number per episode and t; simultaneous over t; "
        f"HOLDS: to within {MARGIN:g}, as t = 1 is an equality"
    )
    out = []
    for left, right, text in PAIRS:
        x, y = getattr(m, left), getattr(m, right)
        d, se = x.mean((0, 1)) - y.mean((0, 1)), error(x, y)
        text = f"{where}: {text.replace(' / ', ' - ')} <= 0, every t"
        out.append(along(text, d, partial(normal_band, d, se), -np.inf, 0.0, MARGIN, n, note=note))
    cost, total = m.own.sum(-1, keepdims=True), m.upto.sum(-1, keepdims=True)
    d, se = cost.mean((0, 1)) - total.mean((0, 1)), error(cost, total)
    said = f"{n} episodes a side; tightness {cost.mean() / total.mean():.3f}, bound / H = {total.mean() / H:.3f}"
    whole = f"{where}: cost - sum_t sum_{{i<=t}} eps_i <= 0"
    out.append(along(whole, d, partial(normal_band, d, se), -np.inf, 0.0, MARGIN * H, n, note=said))
    given, wide = conditional(m)
    off = given - m.eps.mean((0, 1))
    out.append(
        along(
            f"{where}: E[l(s_t) | E_t] - eps_t = 0, every t", off, partial(normal_band, off, wide), 0.0, 0.0, MARGIN, n, expected="fails",
            note="the slide's equality; delta method, simultaneous over t",
        )
    )  # fmt: skip
    return out


def conditional(m: Steps) -> tuple[np.ndarray, np.ndarray]:
    """E[l(s_t) | E_t] `[H]` and the standard error of its difference to eps_t."""
    agreed = 1 - m.broken
    share = agreed.mean((0, 1))
    given = m.joint.mean((0, 1)) / share
    return given, error((m.joint - given * agreed) / share, m.eps)


def _monte_carlo(say: Callable[[str], None]) -> Result:
    say(f"{SEEDS} tables on {TASK}")
    m = sampled()
    out = _curves(m)
    curves = {}
    for name in ("broken", "before", "joint", "eps", "own", "upto"):
        x = getattr(m, name)
        lo, hi = normal_band(x.mean((0, 1)), error(x), 0.95)
        curves[name] = [x.mean((0, 1)).tolist(), lo.tolist(), hi.tolist()]
    return Result(tuple(out), {"trained": curves})


def measure(mode: str, say: Callable[[str], None]) -> Result:
    """Exact: random MDPs, tabular tasks, the slip. Monte Carlo: tables trained on few demonstrations."""
    return _exact(say) if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """Each side of the steps against t for trained tables; what is conditioned against what is multiplied."""
    panels = [(f, result.data[key]) for key, f in (("trained", _by_step), ("steps", _scatter)) if key in result.data]
    figure.set_size_inches(9.2 if len(panels) > 1 else 5.4, 4.4)
    for axis, (draw, data) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axis, data)


def _scatter(axis: Any, p: dict[str, Any]) -> None:
    axis.plot(p["eps"], p["given"], ".", ms=4, color=COLOURS[1], label="E[l | E_t] (the slide: equal to eps_t)")
    axis.plot(p["eps"], p["joint"], ".", ms=4, color=COLOURS[0], label="E[l 1{E_t}] (at most eps_t)")
    axis.plot([0.5], [1.0], "*", ms=11, color=COLOURS[1], label="the two-state example: 1 against 1/2")
    top = max(1.02, *p["given"])
    axis.plot([0, top], [0, top], color=GREY, lw=1, ls="--")
    axis.set(xlabel="eps_t, the error on the expert's states", ylabel="the learner's error at t")
    axis.set_title("Random MDPs: the product stays below the line,\nthe conditional does not", fontsize=9)
    legend_below(axis, 1)


def _by_step(axis: Any, trained: dict[str, Any]) -> None:
    t = np.arange(1, len(trained["eps"][0]) + 1)
    for i, (left, right, text) in enumerate(PAIRS):
        name, bound = text.split(" / ")
        mean, lo, hi = (np.array(x) for x in trained[left])
        axis.plot(t, mean, color=COLOURS[i], lw=1.5, label=name)
        axis.fill_between(t, lo, hi, color=COLOURS[i], alpha=0.25, lw=0)
        axis.plot(t, trained[right][0], color=COLOURS[i], lw=1.5, ls="--", label=f"<= {bound}")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="step t", ylabel="probability, or sum of error rates", ylim=(0, None))
    axis.set_title(f"{TASK}, BC from {DEMOS} demonstrations:\nevery step of the proof holds at every t", fontsize=9)
    legend_below(axis, 3)
