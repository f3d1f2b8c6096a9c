"""Corrective labels: miss <= eps_fit + (K_f + K_fhat) d on a pendulum with known constants; false across a wall.

f(x, a) = x' - x is the true residual, fhat a model of it, s* a demonstrated state. A label (s_G, a) is solved when
s_G + fhat(s_G, a) = s*; its true miss is |s_G + f(s_G, a) - s*| = |f - fhat|(s_G, a), d = |s_G - s*| and
eps_fit = |f - fhat|(s*, a). Through s* the triangle inequality gives
|f - fhat|(s_G) <= |f(s_G) - f(s*)| + |f - fhat|(s*) + |fhat(s*) - fhat(s_G)| <= eps_fit + (K_f + K_fhat) d.
BackTrack, s_G = s* - fhat(s*, a), needs no constant of the model: its miss is |f(s_G) - fhat(s*)| <= eps_fit + K_f d.
K_f: the pendulum's residual has the Jacobian [[dt^2 c, dt(1 - b dt)], [dt c, -b dt]] in x with c = g cos theta in
[-g, g]; its norm is convex in c, so the largest is at an end. A net's K is the product of its matrices' norms.
A wall makes f jump: no K_f exists, and labels whose step would cross it miss by far more.
Learned models are checked twice: fitted on (theta, omega), where the constants above are those of the statement, and
with the labels that the product itself makes from observations, under the bound of ilbench/theory/instances/corrective.py.

Source: Ke et al. 2024, CCIL, https://arxiv.org/abs/2310.12972 (that such a bound exists; this form, its
constants and its proof are derived here).
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from ilbench.envs import pendulum
from ilbench.exact.mdp import Floats
from ilbench.stats.claims import Claim, Result, at_most, equal
from ilbench.theory.instances import corrective
from ilbench.theory.instances.numpy_pendulum import Plant, before, lipschitz, plant, residual

MODES = ("exact", "monte-carlo")
WORDS = ("ccil", "corrective", "lipschitz")
N, SHOWN = 2000, 400
BOX = np.array([np.pi, 8.0])  # rad, rad/s
SEEDS, EPISODES, SIZES = 10, 4, (64, 64)


class Labels(NamedTuple):
    """`[n]` each, in the norm of (rad, rad/s)."""

    d: Floats
    miss: Floats
    fit: Floats  # eps_fit
    bound: Floats

    @property
    def over(self) -> int:
        """How many exceed the bound by more than rounding."""
        return int((self.miss > self.bound * (1 + 1e-12) + 1e-14).sum())

    @property
    def tightness(self) -> Floats:
        """miss / bound."""
        return self.miss / self.bound


def _norm(x: Floats) -> Floats:
    return np.linalg.norm(x, axis=-1)


def solved(true: Plant, model: Plant, k: float, target: Floats, u: Floats) -> Labels:
    """Labels with s_G + fhat(s_G, u) = target; `k` is K_f."""
    start = before(model, target, u)
    d, fit = _norm(start - target), _norm(residual(true, target, u) - residual(model, target, u))
    miss = _norm(start + residual(true, start, u) - target)
    return Labels(d, miss, fit, fit + (k + lipschitz(model)) * d)


def backtracked(true: Plant, k: float, predicted: Floats, target: Floats, u: Floats) -> Labels:
    """Labels with s_G = target - predicted, predicted = fhat(target, u) `[n, 2]`; `k` is K_f."""
    start, fit = target - predicted, _norm(residual(true, target, u) - predicted)
    d = _norm(predicted)
    return Labels(d, _norm(start + residual(true, start, u) - target), fit, fit + k * d)


def _true(task_id: str) -> tuple[Plant, float]:
    p = plant(pendulum.make(task_id).env.params)
    return p, float(lipschitz(p))


def sweep(task_id: str, centre: float = 0.0, width: float = 1.0) -> tuple[Labels, Labels]:
    """Both kinds of label from N random models (gravity +-50 %, damping 0 to .5, a bias) at N random states."""
    rng, (true, k) = np.random.default_rng(12), _true(task_id)
    target = rng.uniform(-1, 1, (N, 2)) * BOX * [width, 1.0] + [centre, 0.0]
    u = rng.uniform(-5, 5, N)
    model = Plant(
        true.gravity * rng.uniform(0.5, 1.5, N), rng.uniform(0, 0.5, N), true.dt, 0.02 * rng.standard_normal((N, 2))
    )
    return solved(true, model, k, target, u), backtracked(true, k, residual(model, target, u), target, u)


def adversarial(k: float, model: float, bias: float) -> float:
    """miss / bound on a line with f = k x, fhat = -model x + bias, s* = 0: slopes that oppose each other."""
    start = -bias / (1 - model)  # start + fhat(start) = 0
    return abs(start + k * start) / (abs(bias) + (k + model) * abs(start))


def _note(labels: Labels, more: str = "") -> str:
    tight = f"median tightness {np.median(labels.tightness):.2f}, largest {labels.tightness.max():.2f}"
    return f"{tight}; {more}".rstrip("; ")


def _shown(name: str, labels: Labels) -> dict[str, list[float]]:
    """Some labels that miss by more than eps_fit, and all that exceed the bound by a half."""
    excess = labels.miss - labels.fit
    worse = np.flatnonzero(excess > 0)
    keep = np.union1d(worse[:: max(1, len(worse) // SHOWN)], np.flatnonzero(labels.tightness > 1.5)[:SHOWN])
    return {f"{name}_d": labels.d[keep].tolist(), f"{name}_excess": excess[keep].tolist()}


def _exact() -> Result:
    (label, back), (wall, wall_back) = sweep("pendulum"), sweep("pendulum_wall", 0.6, 0.1)
    k = _true("pendulum")[1]
    none = "exceedances <= 0"
    claims = (
        at_most(f"solved labels, {N} random models: {none} of eps_fit + (K_f + K_fhat) d", label.over, 0, slack=0,
                note=_note(label, f"K_f = {k:.4f}")),
        at_most(f"BackTrack labels, {N} random models: {none} of eps_fit + K_f d", back.over, 0, slack=0,
                note=_note(back)),
        equal("opposing slopes on a line: miss = eps_fit + (K_f + K_fhat) d (ratio)", 1.0, adversarial(0.5, 0.4, 0.1),
              tolerance=1e-12, note="the bound cannot be improved without knowing more"),
        at_most(f"solved labels near a wall, K_f of the smooth map: {none} of {N}", wall.over, 0, slack=0,
                expected="fails", note=f"worst miss is {wall.tightness.max():.1f} times the bound"),
        at_most(f"BackTrack labels near a wall, K_f of the smooth map: {none} of {N}", wall_back.over, 0, slack=0,
                expected="fails", note=f"worst miss is {wall_back.tightness.max():.1f} times the bound"),
    )  # fmt: skip
    return Result(claims, {"k": k, **_shown("smooth", back), **_shown("wall", wall_back)})


class Learned(NamedTuple):
    """Labels of models that the product fitted on demonstrations."""

    labels: Labels  # BackTrack's miss and bound
    error: Floats  # |f - fhat| at the label
    error_bound: Floats  # eps_fit + (K_f + K_fhat) d
    model_k: Floats  # `[SEEDS]`


def _net_constants(model: Any) -> Floats:
    """Upper limit `[S]` of fhat's Lipschitz constant in the state: norms of the matrices, rescaled at both ends."""
    names = sorted(model["net"])
    kernels = [np.asarray(model["net"][n]["kernel"], np.float64) for n in names]
    kernels[0] = kernels[0][:, :2] / np.asarray(model["in"]["mad"], np.float64)[:, :2, None]
    kernels[-1] = kernels[-1] * np.asarray(model["out"]["mad"], np.float64)[:, None, :]
    return np.prod([np.linalg.norm(w, 2, axis=(-2, -1)) for w in kernels], axis=0)


def learned(task_id: str) -> Learned:
    """The product's model of the dynamics, spectral limit 2 a layer, on states instead of observations; BackTrack labels."""
    import jax
    import jax.numpy as jnp

    from ilbench.heads import mse
    from ilbench.training import dynamics
    from ilbench.training.fit import FitConfig
    from ilbench.training.lab import Lab

    task = pendulum.make(task_id)
    true, k = _true(task_id)
    lab = Lab(task, mse.make(task.spec, mse.Config()), tuple(range(SEEDS)), EPISODES * task.horizon, FitConfig())
    seen = dynamics.transitions(lab.demonstrate(EPISODES), None)

    def state(obs: Any) -> Any:
        return np.stack([np.arctan2(obs[..., 1], obs[..., 0]), obs[..., 2]], -1).astype(np.float32)

    x, following = state(np.asarray(seen.obs)), state(np.asarray(seen.next_obs))
    following[..., 0] = x[..., 0] + (following[..., 0] - x[..., 0] + np.pi) % (2 * np.pi) - np.pi
    pairs = dynamics.data(dynamics.Transitions(x, seen.action, following, seen.weight), 2.0)
    trained, _ = lab.train(
        dynamics.model(x.shape[-1], seen.action.shape[-1], SIZES), pairs, name="t12", updates=600, weight_decay=1e-5
    )
    model = dynamics.settled(trained)
    rows = jax.vmap(lambda m, o, a: dynamics.residual(m, o, a, SIZES), (None, 0, 0))
    predict = jax.jit(jax.vmap(rows))
    predicted = np.asarray(predict(model, x, seen.action), np.float64)
    start = x - predicted
    again = np.asarray(predict(model, jnp.asarray(start, jnp.float32), seen.action), np.float64)
    target, u = x.astype(np.float64), np.asarray(seen.action, np.float64)[..., 0]
    flat = [a.reshape(-1, *a.shape[2:]) for a in (predicted, target, u)]
    labels, constants = backtracked(true, k, *flat), _net_constants(model)
    error = _norm(residual(true, start, u) - again).reshape(-1)
    return Learned(labels, error, labels.fit + (k + np.repeat(constants, x.shape[1])) * labels.d, constants)


def _counted(statement: str, over: int, expected: Any, note: str) -> Claim:
    """Every label is a realised instance of the theorem: one exceedance is a violation."""
    return dataclasses.replace(
        at_most(statement, over, 0, slack=0, expected=expected, note=note), mode="monte-carlo", n=SEEDS
    )


def _monte_carlo(say: Any) -> Result:
    say("a model of the pendulum")
    smooth = learned("pendulum")
    say("a model of the pendulum beside a wall")
    wall = learned("pendulum_wall")
    say("labels of the product, in observations")
    seen, seen_wall = (corrective.observed(t) for t in ("pendulum", "pendulum_wall"))
    beyond = [int((x.miss > x.bound + 1e-5).sum()) for x in (seen, seen_wall)]  # float32
    share = seen.miss / seen.bound
    n = len(smooth.labels.d)
    over = int((smooth.error > smooth.error_bound + 1e-5).sum())  # float32 inside the net
    ratio = smooth.error / smooth.error_bound
    median, most, largest = np.quantile(smooth.labels.d, (0.5, 0.9, 1))
    far = f"d: median {median:.3f}, 90 % below {most:.2f}, largest {largest:.2f}"
    claims = (
        _counted(f"learned model, BackTrack: exceedances <= 0 of miss <= eps_fit + K_f d, {n} labels",
                 smooth.labels.over, "holds", _note(smooth.labels, far)),
        _counted(f"learned model: exceedances <= 0 of |f - fhat|(s_G) <= eps_fit + (K_f + K_fhat) d, {n} labels", over,
                 "holds", f"median tightness {np.median(ratio):.1e}, K_fhat <= {smooth.model_k.max():.2f}; "
                 "float32: 1e-5 allowed"),
        _counted(f"learned model beside a wall, smooth K_f: exceedances <= 0, BackTrack, {n} labels", wall.labels.over,
                 "fails", f"{wall.labels.over} exceed; worst {wall.labels.tightness.max():.1f} times the bound"),
        _counted(f"ccil's own labels, observations: exceedances <= 0 of eps_fit + d + K_x |x_G - x*|, {len(seen.d)} kept",
                 beyond[0], "holds", f"median tightness {np.median(share):.2f}, largest {share.max():.2f}; float32: 1e-5 "
                 "allowed"),
        _counted(f"ccil's own labels beside a wall, smooth K_x: exceedances <= 0, {len(seen_wall.d)} kept", beyond[1],
                 "fails", f"{beyond[1]} exceed; worst {(seen_wall.miss / seen_wall.bound).max():.1f} times the bound"),
    )  # fmt: skip
    return Result(claims, {**_shown("learned", smooth.labels), **_shown("learned_wall", wall.labels)})


def measure(mode: str, say: Any) -> Result:
    """exact: random models of a known plant. monte-carlo: models that the product fits on demonstrations."""
    return _exact() if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """miss - eps_fit against d of BackTrack labels, and the cone K_f d: random models, and learned ones."""
    from ilbench.display.style import COLOURS, GREY, legend_below

    d = result.data
    panels = [("random models of the plant", "smooth", "wall")]
    if "learned_d" in d:
        panels.append(("models learned from demonstrations", "learned", "learned_wall"))
    figure.set_size_inches(7.8 if len(panels) > 1 else 6.4, 4.4)
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for axis, (title, smooth, wall) in zip(axes, panels, strict=True):
        for i, (key, name) in enumerate(((wall, "beside a wall"), (smooth, "smooth pendulum"))):
            axis.plot(d[f"{key}_d"], d[f"{key}_excess"], ls="", marker="so"[i], ms=3, alpha=0.6, color=COLOURS[1 - i],
                      label=name)  # fmt: skip
        reach = np.array([0.7 * min(d[f"{smooth}_d"]), 1.4 * max(d[f"{smooth}_d"] + d[f"{wall}_d"])])
        axis.fill_between(reach, 1e-9, d["k"] * reach, color=GREY, alpha=0.3, lw=0, label="cone: at most K_f d")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(*reach)
        axis.set_ylim(bottom=1e-3 * d["k"] * reach[0] if "learned" in smooth else 1e-4)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("d, distance of label and data (rad, rad/s)")
        axis.set_ylabel("miss - eps_fit where positive (rad, rad/s)")
        legend_below(axis, 1)
    figure.suptitle("Corrective labels: under the cone on a smooth plant, above it at a wall", fontsize=10)
