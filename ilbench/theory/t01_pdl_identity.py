"""J(pi) - J(pi') = sum_t E_{d_t^pi}[Q_t^{pi'}(s, pi) - V_t^{pi'}(s)], in every MDP; and the reversed form, with the
states of pi' and the values of pi.

Source: Kakade & Langford 2002, Approximately optimal approximate reinforcement learning (discounted form); step 1 of
the lecture's analysis of DAgger. The finite-horizon form is derived here.

Derivation. Let pi^(t) act as pi before step t and as pi' from t on. pi^(t+1) and pi^(t) share the law d_t^pi of the
state at t, differ there in one action and follow pi' afterwards, so J(pi^(t+1)) - J(pi^(t)) = E_{d_t^pi}[Q_t^{pi'}(s, pi)
- V_t^{pi'}(s)]. Sum over t: the left side telescopes to J(pi) - J(pi'). Swapping the names and the sign gives the
reversed form. V_t depends on t even for stationary policies, because H - t rewards are left: with Q_0 at every step the
identity is false (the counterexample below).

Branch rollouts measure the terms one by one. Both policies of a pair run on the same episode keys, so they meet the same
states up to t and one of them takes the other's action there. Different t have different keys: with shared keys the sum
would telescope episode by episode and could not fail.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from ilbench import registry
from ilbench.display.style import COLOURS, GREY, MARKS, legend_below
from ilbench.exact import dp
from ilbench.exact.mdp import MDP
from ilbench.stats.claims import Claim, Result, equal, equivalent
from ilbench.types import Policy, Task

MODES = ("exact", "monte-carlo")
WORDS = ("pdl", "performance_difference", "telescope")
TOLERANCE = 1e-12  # of H max|R|, the largest return there is
TASKS, H, EPISODES, ERROR = (
    ("random_mdp", "reset_cliff_recoverable"),
    20,
    3000,
    0.3,
)  # Monte Carlo: H pairs of EPISODES branches
MARGIN = 0.05  # of the exact gap
DIRECTIONS = ("forward", "reversed")


def residuals(mdp: MDP, pi: Any, base: Any, horizon: int) -> np.ndarray:
    """`[2]`: gap minus the sum of the terms, forward and reversed, over the largest return possible."""
    gap = dp.total_return(mdp, pi, horizon) - dp.total_return(mdp, base, horizon)
    forward = dp.performance_difference(mdp, pi, base, horizon).sum()
    reverse = -dp.performance_difference(mdp, base, pi, horizon).sum()
    return np.array([gap - forward, gap - reverse]) / (horizon * max(1e-300, np.abs(mdp.R).max()))


def random_mdps(
    count: int = 50, S: int = 20, A: int = 5, horizon: int = 50
) -> Iterator[tuple[MDP, np.ndarray, np.ndarray]]:
    """Yields `(mdp, pi, base)`, stochastic time-dependent policies; a fixed stream."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        mdp = MDP(rng.dirichlet(np.ones(S), (S, A)), rng.uniform(size=(S, A)), rng.dirichlet(np.ones(S)))
        yield mdp, rng.dirichlet(np.ones(A), (horizon, S)), rng.dirichlet(np.ones(A), (horizon, S))


def tabular() -> dict[str, np.ndarray]:
    """Residuals `[2]` by tabular task at its own horizon: its expert, and a learner with random probabilities."""
    out = {}
    for name, entry in registry.entries("tasks").items():
        if "tabular" in entry.tags:
            task = registry.task(name)
            mdp, rng = task.mdp(), np.random.default_rng([2, zlib.crc32(name.encode())])  # whatever other tasks there are
            learner = rng.dirichlet(np.ones(mdp.R.shape[1]), (task.horizon, len(mdp.rho)))
            out[name] = residuals(mdp, learner, np.asarray(task.ask().params), task.horizon)
    return out


def stationary_residual(mdp: MDP, pi: Any, base: Any, horizon: int) -> float:
    """|gap - sum of terms| over the largest return when Q_0 and V_0 stand in at every step: not an identity."""
    *_, (_, Q, V) = dp.backward(mdp, base, horizon)
    terms = [d @ ((p * Q).sum(-1) - V) for d, p in zip(dp.occupancy(mdp, pi, horizon), pi, strict=True)]
    gap = dp.total_return(mdp, pi, horizon) - dp.total_return(mdp, base, horizon)
    return float(abs(gap - sum(terms)) / (horizon * np.abs(mdp.R).max()))


def _exact(say: Callable[[str], None]) -> Result:
    random = np.array([residuals(*instance, 50) for instance in random_mdps()])
    say("tabular tasks")
    tasks = tabular()
    out = []
    for i, direction in enumerate(DIRECTIONS):
        for what, values, note in (
            ("50 random MDPs (S = 20, A = 5, H = 50)", random[:, i], "stochastic, time-dependent policies"),
            (f"{len(tasks)} tabular tasks", np.array([r[i] for r in tasks.values()]), ", ".join(tasks)),
        ):
            worst = float(np.abs(values).max())
            text = f"{what}: max |J(pi) - J(pi') - sum of terms| / (H max|R|) = 0, {direction}"
            out.append(equal(text, 0.0, worst, tolerance=TOLERANCE, note=f"scale: largest return possible; {note}"))
    (instance,) = random_mdps(1)
    out.append(
        equal(
            "random MDP (S = 20, A = 5, H = 50): the same with Q_0, V_0 at every step", 0.0,
            stationary_residual(*instance, 50), tolerance=TOLERANCE, expected="fails",
            note="values depend on t: H - t rewards are left",
        )
    )  # fmt: skip
    rows = {"random MDPs": np.abs(random).ravel(), "tabular tasks": np.abs(np.array(list(tasks.values()))).ravel()}
    return Result(tuple(out), {"residuals": {k: v.tolist() for k, v in rows.items()}})


# --------------------------------------------------------------------------------------- Monte Carlo
class Sides(NamedTuple):
    """A mean and its standard error."""

    value: float
    se: float


def probabilities(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Learner and expert `[H, S, A]`: the learner takes the next action index with probability ERROR."""
    mdp = task.mdp()  # type: ignore[misc]
    actions = mdp.R.shape[1]
    expert = np.broadcast_to(np.asarray(task.ask().params), (task.horizon, len(mdp.rho)))
    return dp.erring_policy(expert, ERROR, actions), np.eye(actions)[expert]


def branches(first: np.ndarray, then: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tables `[H, H, S, A]`: row t acts as `first` before t, then as `then`; in the first one also at t."""
    t = np.arange(len(first))
    both = ((t <= at, t < at) for at in t)
    through, upto = zip(*both, strict=True)
    pick = lambda rows: np.where(np.array(rows)[..., None, None], first, then)  # noqa: E731
    return pick(through), pick(upto)


def _returns(task: Task, tables: np.ndarray, stream: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns `[H, N]` and observations `[H, N, H]` of one table `[H, S, A]` per row of the seed axis."""
    from ilbench.theory.instances.tables import rolled, table_policy

    rows, actions = len(tables), tables.shape[-1]
    policies = [table_policy(table, task.horizon, actions) for table in tables]
    params = {"cumulative": np.concatenate([p.params["cumulative"] for p in policies])}
    runs = rolled(task, Policy(params, policies[0].init, policies[0].act), rows, EPISODES, stream)
    return runs["reward"].sum(-1), runs["obs"]


def _side(values: np.ndarray) -> Sides:
    """Sum over rows of the means of independent units `[rows, N]`."""
    return Sides(float(values.mean(1).sum()), float(np.sqrt((values.var(1, ddof=1) / values.shape[1]).sum())))


def sampled(name: str, direction: str) -> tuple[Sides, Sides, Sides, float, np.ndarray]:
    """Gap; sum of branch terms; gap minus exact terms at visited states; exact gap; branch terms `[H]`."""
    task = registry.task(name, H)
    learner, expert = probabilities(task)
    mdp, sign = task.mdp(), 1 if direction == "forward" else -1  # type: ignore[misc]
    first, then = (learner, expert) if sign > 0 else (expert, learner)
    stream = f"t01/{name}/{direction}"
    whole, obs = _returns(task, np.broadcast_to(first, (H, *first.shape)), f"{stream}/first")
    other, _ = _returns(task, np.broadcast_to(then, (H, *then.shape)), f"{stream}/then")
    through, upto = branches(first, then)
    pairs = sign * (_returns(task, through, f"{stream}/branch")[0] - _returns(task, upto, f"{stream}/branch")[0])
    a, b = (_side(x.reshape(1, -1)) for x in (whole, other))
    gap = Sides(sign * (a.value - b.value), float(np.hypot(a.se, b.se)))
    terms = np.stack([(p * Q).sum(-1) - V for p, (_, Q, V) in zip(first[::-1], dp.backward(mdp, then, H), strict=True)])
    left = _side((whole - terms[::-1][np.arange(H), obs].sum(-1)).reshape(1, -1))
    exact = dp.total_return(mdp, learner, H) - dp.total_return(mdp, expert, H)
    return gap, _side(pairs), Sides(sign * (left.value - b.value), float(np.hypot(left.se, b.se))), exact, pairs.mean(1)


def _claim(text: str, difference: Sides, exact: float, n: int, unit: str) -> Claim:
    margin = MARGIN * abs(exact)
    wide, narrow = 1.959964 * difference.se, 1.644854 * difference.se
    power = max(0.0, 2 * float(special.ndtr(margin / difference.se - 1.644854)) - 1)
    inside = "contains" if abs(difference.value) <= wide else "misses"
    return equivalent(
        text, 0.0, difference.value, (difference.value - narrow, difference.value + narrow), margin, n, kind="T",
        note=f"margin {MARGIN:.0%} of the exact gap {exact:.3g}; 95 % interval +-{wide:.2g} {inside} 0; "
        f"{unit}; a true identity comes out HOLDS with probability {power:.3f}",
    )  # fmt: skip


def _monte_carlo(say: Callable[[str], None]) -> Result:
    out, data = [], {}
    for name in TASKS:
        for direction in DIRECTIONS:
            say(f"{name}, {direction}")
            gap, terms, visited, exact, curve = sampled(name, direction)
            text = f"{name}, H = {H}, {direction}: J(pi) - J(pi') - sum_t E[Q_t - V_t]"
            difference = Sides(gap.value - terms.value, float(np.hypot(gap.se, terms.se)))
            n = H * EPISODES
            out.append(
                _claim(f"{text} = 0, branch rollouts", difference, exact, n, f"{n} pairs of branches, one unit each")
            )
            out.append(_claim(f"{text} = 0, exact Q", visited, exact, n, f"{n} trajectories, one unit each"))
            data[f"{name}, {direction}"] = {
                "exact": exact, "gap": list(gap), "terms": list(terms), "curve": curve.tolist(),
            }  # fmt: skip
    return Result(tuple(out), {"branches": data})


def measure(mode: str, say: Callable[[str], None]) -> Result:
    """Exact: random MDPs and every tabular task. Monte Carlo: branch rollouts, and exact terms at visited states."""
    return _exact(say) if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """Histogram of the residuals, and both sides of the identity from rollouts."""
    shown = [
        (f, result.data[key]) for key, f in (("residuals", _histogram), ("branches", _sides)) if key in result.data
    ]
    figure.set_size_inches(8.6 if len(shown) > 1 else 6.4, 4.0)
    for axis, (draw, data) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        draw(axis, data)


def _histogram(axis: Any, residuals_: dict[str, list[float]]) -> None:
    bins = np.linspace(-18.5, -11.5, 29)
    for (name, values), colour in zip(residuals_.items(), COLOURS, strict=False):
        shown = np.log10(np.maximum(values, 10**-18.25))
        axis.hist(shown, bins, color=colour, alpha=0.7, label=f"{name} ({len(values)})")
    axis.axvline(np.log10(TOLERANCE), color=GREY, ls="--", label="tolerance")
    axis.set(xlabel="log10 |residual| / (H max|R|); left-most bin: 0", ylabel="instances x directions")
    axis.set_title("An identity to rounding, both directions", fontsize=9)
    legend_below(axis, 3)


def _sides(axis: Any, rows: dict[str, Any]) -> None:
    for y, (_, row) in enumerate(rows.items()):
        for shift, key, label in ((-0.12, "gap", "J(pi) - J(pi')"), (0.12, "terms", "sum of branch terms")):
            value, se = (x / abs(row["exact"]) for x in row[key])
            i = 0 if key == "gap" else 1
            axis.errorbar(
                value, y + shift, xerr=1.96 * se, fmt=MARKS[i], color=COLOURS[i], ms=4, capsize=2,
                label=label if y == 0 else None,
            )  # fmt: skip
        axis.plot([row["exact"] / abs(row["exact"])] * 2, [y - 0.3, y + 0.3], color=GREY, label=None if y else "exact")
    axis.set_yticks(range(len(rows)), [k.replace(", ", "\n").replace("cliff_", "cliff_\n") for k in rows], fontsize=8)
    axis.set(ylim=(len(rows) - 0.5, -0.9), xlabel="in units of the exact gap (bars: 95 %)")
    axis.set_title("Rollouts: one action changed at each t", fontsize=9)
    axis.legend(fontsize=7, loc="upper center", ncols=3, frameon=False)
