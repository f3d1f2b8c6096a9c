"""The mode table by trained heads: every head and divergence on two modes, held against minima that Nelder and Mead find.

Those that seek a mode begin beside one, since between the modes they have a second minimum, which covers both and is worse; those that
cover begin as a fresh head does, wide, since where a Gaussian is narrow chi-squared and its slope are next to infinite. Gaussian and
mixture are trained on draws from either law (training/f_divergences.py), the mean by squared error.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import registry, stats
from ilbench.compute.parallel import per_seed
from ilbench.exact import divergences as div
from ilbench.rollouts.keys import seed_keys
from ilbench.stats import claims
from ilbench.stats.claims import Claim
from ilbench.training import f_divergences, fit
from ilbench.types import Data, Head

UPDATES, ROWS, DRAWS = 800, 32, 2000
FIT = fit.FitConfig(updates=UPDATES, batch=ROWS, learning_rate=1e-2)
WITHIN = 0.02  # of a success rate
CLONED = "squared error"
SEEKING = ("reverse_kl", "jensen_shannon", "total_variation", "alpha")


def _task(expert: div.TwoModes) -> Any:
    return registry.task("two_modes", half=expert.half, sd=expert.sd, tol=expert.tol)


@lru_cache
def _head(name: str) -> Head:
    module = registry.load("heads", name)
    more = {"components": 2} if name == "mixture" else {}
    head: Head = module.make(registry.task("two_modes").spec, module.Config(width=8, depth=1, **more))
    return head


def _rows(expert: div.TwoModes, seeds: int) -> Data:
    """Rows `[S, 2048]` of the expert's draws with its own law beside each."""
    task, n = _task(expert), 2048
    rng = np.random.default_rng(0x7155)
    a = rng.choice([-expert.half, expert.half], (seeds, n, 1)) + expert.sd * rng.standard_normal((seeds, n, 1))
    law = task.expert.mixture(task.expert.params, 0, np.zeros(1, np.float32))
    beside = jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (seeds, n, *x.shape)), law)
    zero = np.zeros((seeds, n), np.int32)
    return Data(
        zero, np.zeros((seeds, n, 1), np.float32), a.astype(np.float32), np.ones((seeds, n), np.float32), extra=beside
    )


def _beside_a_mode(params: Any, expert: div.TwoModes) -> Any:
    """A fresh Gaussian head's parameters, mean half way to a mode and of .4 of its distance as width (a unit is 2)."""
    last = max(params["net"])
    bias = np.asarray(params["net"][last]["bias"]).copy()
    bias[:, 0], bias[:, 1] = expert.half / 4, np.log(np.expm1(expert.half / 5))
    return {**params, "net": {**params["net"], last: {**params["net"][last], "bias": bias}}}


def _act(shared: Any, item: Any, *, head: Head) -> Any:
    params, key = item
    zero = jnp.zeros((1,), jnp.float32)

    def draw(k: Any) -> Any:
        if head.sample is None:
            return head.act(params, k, jnp.int32(0), head.memory(params, k), zero)[1][0]
        return head.sample(params, k, jnp.int32(0), zero)[0]

    return jax.vmap(draw)(jax.random.split(key, DRAWS))


def trained(expert: div.TwoModes, name: str, divergence: str, seeds: int) -> tuple[np.ndarray, Any]:
    """Success `[S]` of a trained head's draws (of the mean, for squared error), and its parameters."""
    head, data = _head(name), _rows(expert, seeds)
    params = fit.init(head, seed_keys("mode_table/init", range(seeds)))
    if name == "gaussian" and divergence in SEEKING:
        params = _beside_a_mode(params, expert)
    objective = None if divergence == CLONED else f_divergences.objective(divergence, 4)
    given = np.full(seeds, 0.5, np.float32)
    keys = seed_keys(f"mode_table/{divergence}", range(seeds))
    params = fit.fit(head, keys, params, data, FIT, UPDATES, objective, given).params
    drawn = np.asarray(per_seed(_act, head=head)((), (params, seed_keys("mode_table/draw", range(seeds)))))
    return (np.abs(np.abs(drawn) - expert.half) <= expert.tol).mean(1), params


def predicted(expert: div.TwoModes, divergence: str) -> tuple[float, float, float]:
    """`(mean, sd, D)` of the smallest value of a divergence from the two modes: of minima from beside a mode and from between them."""
    wide = float(np.hypot(expert.half, expert.sd))
    found = [
        div.gaussian_minimum(expert, divergence, at) for at in ((expert.half, expert.sd), (0.05 * expert.half, wide))
    ]
    return min(found, key=lambda one: one[2])


def _claim(statement: str, value: float, measured: np.ndarray, margin: float, note: str = "") -> Claim:
    half = stats.t_quantile(0.95, len(measured) - 1) * measured.std(ddof=1) / np.sqrt(len(measured))
    mean = float(measured.mean())
    said = f"within {margin:g}; {len(measured)} seeds{'; ' * bool(note)}{note}"
    return claims.equivalent(
        statement, value, mean, (mean - half, mean + half), margin, len(measured), kind="T", note=said
    )


def rows_of(expert: div.TwoModes, seeds: int) -> list[Claim]:
    """One claim for each head and divergence: success, and for the total variation, whose best Gaussians are many, its value."""
    where = f"modes at -{expert.half:g}, {expert.half:g} (tolerance {expert.tol:g}), trained"
    found = []
    for divergence in f_divergences.DIVERGENCES:
        success, params = trained(expert, "gaussian", divergence, seeds)
        mean, sd, least = predicted(expert, divergence)
        if divergence == "total_variation":
            law = per_seed(_moments, head=_head("gaussian"))((), params)
            values = [
                div.from_two_modes(expert, divergence, float(m), float(s))
                for m, s in zip(*map(np.ravel, law), strict=True)
            ]
            found.append(_claim(f"{where}: Gaussian, {divergence}: its value", least, np.array(values), WITHIN))
        else:
            note = f"minimum at mean {mean:.3f}, sd {sd:.3f}"
            found.append(
                _claim(
                    f"{where}: Gaussian, {divergence}: success", div.success(expert, mean, sd), success, WITHIN, note
                )
            )
    for divergence in ("forward_kl", "reverse_kl", "jensen_shannon"):
        success, _ = trained(expert, "mixture", divergence, seeds)
        found.append(
            _claim(f"{where}: mixture of two, {divergence}: success", div.mixture_success(expert), success, WITHIN)
        )
    success, _ = trained(expert, "mse", CLONED, seeds)
    found.append(_claim(f"{where}: mean, {CLONED}: success", div.success(expert, 0.0, 0.0), success, WITHIN))
    return found


def _moments(shared: Any, params: Any, *, head: Head) -> Any:
    assert head.dist is not None
    law = head.dist(params, jnp.int32(0), jnp.zeros((1,), jnp.float32))
    return law.mean, law.std
