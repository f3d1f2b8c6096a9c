"""Whether what a head calls a density is one: it sums or integrates to one, and its samples are drawn from it.

A density of continuous actions is integrated by importance sampling from a mixture of Gaussians around samples of its own,
as narrow and as wide as they are spread and wider, which needs no grid and holds in a few dimensions.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Box, Head

DRAWS = 2**14  # of an action, where a density is held against what it samples
CENTRES = 32  # of the mixture that a density is integrated by


def check_probabilities(head: Head, n: int, params: Any, t: Any, obs: Any, keys: Any) -> None:
    """Probabilities of n actions sum to one, and samples come as often as they say (five standard errors)."""
    assert head.log_prob is not None
    log_prob, sample = head.log_prob, head.sample
    p = np.exp(
        np.asarray(jax.jit(jax.vmap(lambda a: log_prob(params, t, obs, a)))(jnp.arange(n, dtype=jnp.int32)), np.float64)
    )
    assert abs(p.sum() - 1) < 1e-5, f"the probabilities of the actions sum to {p.sum()}"
    if sample is None:
        return
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: sample(params, key, t, obs)))(keys))
    often = np.bincount(drawn, minlength=n)[:n] / len(drawn)
    off = np.abs(often - p) - 5 * np.sqrt(p * (1 - p) / len(drawn))
    assert (off < 1e-3).all(), f"sample draws the actions with frequencies {often}, log_prob says {p}"


def _proposal(centres: np.ndarray, widths: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws `[N, A]` of the equal mixture of Gaussians around `centres [K, A]` with each of `widths [J]`, and their log-density."""
    (count, dim), each = centres.shape, DRAWS // (len(centres) * len(widths))
    at = np.repeat(np.repeat(centres, len(widths), axis=0), each, axis=0)
    wide = np.repeat(np.tile(widths, count), each)
    x = at + wide[:, None] * rng.standard_normal(at.shape)
    far = ((x[:, None] - centres[None]) ** 2).sum(-1)[..., None] / (2 * widths**2)
    parts = -far - dim * np.log(widths) - dim / 2 * np.log(2 * np.pi)
    most = parts.max((1, 2))
    return x, most + np.log(np.exp(parts - most[:, None, None]).mean((1, 2)))


def check_density(head: Head, space: Box, params: Any, t: Any, obs: Any, keys: Any) -> None:
    """exp(log_prob) integrates to one (importance sampling), and has the moments and quartiles of what `sample` draws.

    Raises AssertionError also where the integral cannot be had: too many dimensions, or a density that nothing locates.
    """
    assert head.log_prob is not None
    log_prob, sample = head.log_prob, head.sample
    deployed = np.asarray(head.act(params, keys[0], t, head.memory(params, keys[0]), obs)[1], np.float64)[None]
    drawn = None
    if sample is not None:
        drawn = np.asarray(jax.jit(jax.vmap(lambda key: sample(params, key, t, obs)))(keys), np.float64)
        assert np.isfinite(drawn).all(), "sample draws actions that are not finite"
    centres = deployed if drawn is None else np.concatenate([deployed, drawn[: CENTRES - 1]])
    span = space.high - space.low if np.isfinite(space.high - space.low) else 1.0
    widest = span if drawn is None else 2 * max(drawn.std(0).max(), 1e-6)
    widths = np.geomspace(1e-4 * span, widest, 9)
    if drawn is not None:  # as wide as the samples say, and wider, should the density have another opinion
        widths = np.append(np.geomspace(widest / 16, widest, 5), np.geomspace(2 * widest, max(2 * widest, span), 3))
    x, log_r = _proposal(centres, widths, np.random.default_rng(0))
    log_q = np.asarray(
        jax.jit(jax.vmap(lambda a: log_prob(params, t, obs, a)))(jnp.asarray(x, jnp.float32)), np.float64
    )
    inside = ((x >= space.low) & (x <= space.high)).all(-1)
    assert not np.isnan(log_q[inside]).any(), "log_prob is NaN at an action inside the bounds"
    weight = np.exp(
        np.where(np.isnan(log_q), -np.inf, log_q) - log_r
    )  # outside of the bounds a density may be undefined
    total, error = weight.mean(), weight.std() / np.sqrt(len(weight))
    assert error < 0.02 * max(total, 1.0), (
        f"the density of {space.dim}-dimensional actions cannot be integrated (to {total:.3g} +- {error:.2g}); "
        "try a task with one or two, and give the head a `sample`"
    )
    assert abs(total - 1) < 0.05 + 5 * error, f"the density of the actions integrates to {total:.4g}, not to 1"
    if drawn is None:
        return
    mean, sd = drawn.mean(0), np.maximum(drawn.std(0), 1e-12)
    z, weight = (x - mean) / sd, weight[:, None] / weight.sum()
    moments = (weight * z).sum(0), (weight * z**2).sum(0)
    off = max(np.abs(moments[0]).max() / 0.1, np.abs(moments[1] - 1).max() / 0.15)
    assert off < 1, (
        f"sample and log_prob disagree: in units of the samples' sd log_prob has the mean {moments[0]} and the mean square "
        f"{moments[1]}"
    )
    for share in (0.25, 0.5, 0.75):
        below = (weight * (x <= np.quantile(drawn, share, axis=0))).sum(0)
        assert np.abs(below - share).max() < 0.05, (
            f"sample and log_prob disagree: {below} of log_prob lies below its {share} quantile"
        )
