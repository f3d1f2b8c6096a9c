"""gap <= B3 = sum_t (1 - E_{pi*} w_t) <= B2 = sum_t min(1, sum_{i<=t} eps_i) <= {B1 = eps_max H(H+1)/2, B0 = H^2 eps_bar}
for the 0-1 cost and, times the width of the reward range, for the return.

Source: B0 is Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html, B1 the lecture's form; B2, B3 and the
smoothed pair are derived here. Everything on the right is measured on expert rollouts alone.

Derivation. Couple learner and expert maximally: at equal states they take equal actions with probability
1 - TV(pihat, pi*). Up to the first mistake both see the same states, so P(no mistake up to t) = E_{pi*} w_t with
w_t = prod_{i<=t} min(1, pihat/pi*(a_i|s_i)); for a deterministic expert w_t = prod_{i<=t} pihat(pi*(s_i)|s_i).
A mistake of the learner's rollout at t needs a first one at some i <= t, hence E_{learner} l(s_t) <= 1 - E w_t, and so
does a difference in rewards. The first one at i has probability E w_{i-1} l(s_i) <= eps_i = E_{pi*} l(s_i): B3 <= B2.
min(1, .) dropped, eps_i <= eps_max: B2 <= B1; all steps instead of i <= t: B2 <= H sum_i eps_i = B0.
Equality gap = B3 where every first mistake is followed by mistakes only (cliff, always wrong off the path).

Continuous actions: exact agreement has probability 0, and a tolerance in its place makes the statement false (below:
eps_t = 0 at every t, cost 199 of 200). The statement is true of the smoothed pair, which executes N(., sigma^2 I) on
both sides, in the rollouts too: l(s) = TV = 2 Phi(|da| / (2 sigma)) - 1. Its gap is sum_t E_{learner's states} TV, the
0-1 cost under the maximal coupling; its return gap obeys the sharper sum_t TV(first t steps) too: ilbench/evaluation/coupling.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.exact import closed_forms
from ilbench.stats.claims import Claim, Result, at_most, at_most_estimated, equal, equivalent
from ilbench.theory.instances import ladder
from ilbench.theory.instances.ladder import Instance, Measured, Rungs

MODES = ("exact", "monte-carlo")
WORDS = ("ladder", "bound", "bounds", "vacuous")

EPS = 0.001  # of the erring learners on tabular tasks
SEEDS = tuple(range(10))
FIT: tuple[tuple[str, Any], ...] = (("fit.updates", 2000), ("fit.batch", 64), ("fit.learning_rate", 3e-3))
INSTANCES = (
    Instance("gridworld", 30, "table", 12),
    Instance("cartpole", 100, "mlp", 12, config=FIT),
    Instance("pendulum", 100, "mse", 32, sigma=2.0, config=FIT),
    Instance("inverted_pendulum", 100, "mse", 8, sigma=0.2, episodes=32, config=FIT),
)


def measure(mode: str, say: Callable[[str], None]) -> Result:
    """Exact: random MDPs, tabular tasks, the equality, the counterexample. Monte Carlo: trained learners, held out."""
    return exact(say) if mode == "exact" else monte_carlo(say)


# --------------------------------------------------------------------------------------------- exact
def exact(say: Callable[[str], None], count: int = 400) -> Result:
    """All claims in float64."""
    say(f"{count} random MDPs")
    drawn = ladder.random_instances(count)
    say("tabular tasks")
    tabular = ladder.tabular_instances(EPS)
    claims = [*_random_claims(drawn), *_tabular_claims(tabular), *_equality(), _counterexample()]
    chosen = {name: r for name, r in tabular.items() if name in ("cliff", "stable", "disjoint", "gridworld")}
    data = {f"{name} (exact)": [[v / r.horizon] for v in r[:6]] for name, r in chosen.items()}
    return Result(tuple(claims), {"exact": data})


def _worst(rows: list[Rungs], *pairs: tuple[str, str]) -> float:
    """The largest ratio of a smaller to a larger side where the larger is positive; inf for a positive over 0."""
    ratios = [0.0]
    for r in rows:
        for small, large in pairs:
            left, right = getattr(r, small), getattr(r, large)
            ratios.append(left / right if right > 0 else np.inf if left > 1e-12 else 0.0)
    return float(max(ratios))


def _random_claims(rows: list[Rungs]) -> list[Claim]:
    n = f"{len(rows)} random MDPs"
    kinds = "half of the experts and two of three learners stochastic"
    order = (("b3", "b2"), ("b2", "b1"), ("b2", "b0"))

    def claim(what: str, *pairs: tuple[str, str]) -> Claim:
        each = [getattr(r, a) / getattr(r, b) for r in rows for a, b in pairs if getattr(r, b) > 0]
        note = f"{kinds}; median ratio {np.median(each):.3f}"
        return at_most(f"max over {n} of {what} <= 1", _worst(rows, *pairs), 1.0, note=note)

    return [
        claim("0-1 cost / B3", ("cost", "b3")),
        claim("return gap / B3, rewards in [0, 1],", ("gap", "b3")),
        claim("B3/B2, B2/B1, B2/B0", *order),
    ]


def _tabular_claims(rows: dict[str, Rungs]) -> list[Claim]:
    out = []
    for name, r in rows.items():
        v = ", ".join(f"{name.upper()} {getattr(r, name) / r.horizon:.3g}" for name in ladder.NAMES)
        note = f"tau = cost/B3 = {r.cost / r.b3:.3f}; bound/H: {v}"
        out.append(at_most(f"{name}, H = {r.horizon}: 0-1 cost <= B3", r.cost, r.b3, trivial=r.horizon, note=note))
    note = "return gap over the range's width; gap/B3: " + ", ".join(
        f"{name} {r.gap / r.b3:.2g}" for name, r in sorted(rows.items(), key=lambda item: -item[1].gap / item[1].b3)
    )
    statement = f"max over {len(rows)} tabular tasks of return gap / range / B3 <= 1"
    return [*out, at_most(statement, _worst(list(rows.values()), ("gap", "b3")), 1.0, note=note)]


def _equality() -> list[Claim]:
    from ilbench import registry

    out = []
    for eps, H in ((0.01, 100), (1e-4, 512)):
        task = registry.task("cliff", H)
        r = ladder.rungs(task.mdp(), ladder.erring(task, eps), task.expert.params, H)
        form = float(closed_forms.cliff(eps, H))
        out += [
            equal(f"cliff, eps = {eps:g}, H = {H}: B3 = 0-1 cost", r.b3, r.cost, tolerance=1e-12 * r.b3),
            equal(f"cliff, eps = {eps:g}, H = {H}: B3 = closed form", form, r.b3, tolerance=1e-10 * form),
        ]
    return out


def _counterexample(H: int = 200) -> Claim:
    cost, bound = ladder.tolerance_counterexample(H)
    return at_most(
        "tolerance .01 for equality, x' = x + u, expert -x/2, learner .009: cost <= B1, B0",
        cost,
        bound,
        expected="fails",
        note=f"eps_t = 0 at every t, cost {cost:g} of {H}: within delta does not stay within delta",
    )


# --------------------------------------------------------------------------------------- Monte Carlo
def monte_carlo(say: Callable[[str], None], instances: tuple[Instance, ...] = INSTANCES) -> Result:
    """Learners trained by behaviour cloning; bounds on held-out expert rollouts, gaps on the learner's own."""
    claims, data = [_cliff_ratio()], {}
    for instance in instances:
        say(instance.label)
        stream = f"theory/T04/{instance.task}"
        task, policy = ladder.trained(instance, SEEDS, f"{stream}/demos")
        m = ladder.measured(task, policy, SEEDS, instance, stream)
        claims += _claims(instance, m)
        data[instance.label] = [
            [float(np.mean(x)) / m.trivial for x in values]
            for values in (m.cost, np.zeros(0) if m.gap is None else m.gap, m.b3, m.b2, m.b1, m.b0, m.path)
        ]
    return Result(tuple(claims), {"trained": data})


def _claims(instance: Instance, m: Measured) -> list[Claim]:
    n = f"{len(m.cost)} seeds x {instance.episodes} held-out"
    out = []
    for name in ladder.NAMES:
        bound = getattr(m, name)
        biased = "; a maximum of noisy steps, biased upward: earns no HOLDS" if name == "b1" else ""
        out.append(
            at_most_estimated(
                f"{instance.label}: {'sum_t TV' if instance.sigma else '0-1 cost'} <= {name.upper()}",
                m.cost if bound.ndim == 2 else m.cost.mean(1),
                bound,
                m.trivial,
                may_hold=name != "b1",
                note=n + biased,
            )
        )
    if m.gap is not None:
        which, bound = ("sum_t TV(first t steps)", m.path) if instance.sigma else ("B3", m.b3)
        statement = f"{instance.label}: return gap / range <= {which}"
        out.append(at_most_estimated(statement, m.gap, bound, m.trivial, note=n))
    return out


def _cliff_ratio(eps: float = 0.05, H: int = 50, episodes: int = 4000) -> Claim:
    """Both sides of the equality in rollouts: w_t on the expert's, the cost on the learner's."""
    from ilbench import registry
    from ilbench.theory.instances.tables import table_policy

    task, seeds = registry.task("cliff", H), tuple(range(10))
    policy = table_policy(ladder.erring(task, eps), H, 2, len(seeds))
    m = ladder.measured(
        task, policy, seeds, Instance("cliff", H, "table", 0, episodes=episodes), "theory/T04/equality"
    )
    ratio, _ = stats.ratio_equivalent(m.cost.mean(1), m.b3.mean(1))
    return equivalent(
        f"cliff, eps = {eps:g}, H = {H}, rollouts: 0-1 cost / B3 = 1",
        1.0,
        ratio.value,
        (ratio.lo, ratio.hi),
        0.02,
        len(seeds),
        kind="T",
        note=f"always wrong off the path: equality, judged by equivalence +-2 %; {len(seeds)} x {episodes} episodes",
    )


# ---------------------------------------------------------------------------------------------- plot
def plot(result: Result, figure: Any) -> None:
    """The ladder of each instance over H: gap, B3, B2, B0, B1 from the bottom up, and the line above which it says nothing."""
    from ilbench.display.style import COLOURS, GREY, MARKS

    rows = {**result.data.get("trained", {}), **result.data.get("exact", {})}
    figure.set_size_inches(7.6, 0.55 * len(rows) + 1.8)
    axis = figure.subplots()
    shown = ((0, "0-1 cost"), (6, "path TV (return)"), (2, "B3"), (3, "B2"), (5, "B0"), (4, "B1"))
    for row, values in enumerate(rows.values()):
        for place, (index, label) in enumerate(shown):
            if index >= len(values) or not values[index] or not np.mean(values[index]) > 0:
                continue
            x = np.asarray(values[index])
            half = 2.0 * float(x.std(ddof=1)) / np.sqrt(len(x)) if len(x) > 1 else 0.0
            axis.errorbar(
                x.mean(), row, xerr=[[min(half, 0.9 * x.mean())], [half]], fmt=MARKS[place], ms=5, lw=1,
                color=COLOURS[place], label=label if row == 0 else None,
            )  # fmt: skip
    axis.axvline(1.0, color=GREY, ls="--", lw=1)
    axis.text(1.05, len(rows) - 0.45, "vacuous", color=GREY, fontsize=8, va="center")
    axis.set(xscale="log", xlabel="gap and bounds over H (bars: 2 standard errors over training seeds)")
    axis.set_yticks(range(len(rows)), [name.replace(", H", ",\nH") for name in rows], fontsize=8)
    axis.set_ylim(-0.6, len(rows) - 0.2)
    axis.set_title("Every cost lies left of its B3 <= B2 <= B0, B1", fontsize=9)
    axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.4, -0.14), ncols=6, frameon=False)
