"""Networks and the observation normaliser that travels with the policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Array, Discrete, Space

VARIES = 1e-3  # standard deviation below which a feature is taken for a constant of the data
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": jnp.tanh, "relu": jax.nn.relu, "silu": jax.nn.silu}


class MLP(nn.Module):
    """A multi-layer perceptron: `[in] -> [sizes[-1]]`, linear output."""

    sizes: Sequence[int]
    activation: str = "tanh"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Applies the layers to one example `[in]`."""
        for size in self.sizes[:-1]:
            x = ACTIVATIONS[self.activation](nn.Dense(size)(x))
        return nn.Dense(self.sizes[-1])(x)


@lru_cache
def mlp(inputs: int, sizes: tuple[int, ...], activation: str = "tanh") -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`(init(key) -> params, apply(params, x [in]) -> [sizes[-1]])`; the same arguments give the same functions.

    Raises ValueError for an activation that is not one of tanh, relu, silu or a width below 1.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; there are: {', '.join(ACTIVATIONS)}")
    if min((inputs, *sizes)) < 1:
        raise ValueError(f"layer widths must be at least 1, got {(inputs, *sizes)}")
    net = MLP(sizes, activation)

    def init(key: Array) -> Any:
        return net.init(key, jnp.zeros((inputs,), jnp.float32))["params"]

    def apply(params: Any, x: Array) -> Array:
        return net.apply({"params": params}, x)  # type: ignore[return-value]

    return init, apply


def width_of(obs: Space) -> int:
    """Number of features an observation has for a network: n for `Discrete(n)` (one-hot), all entries of a `Box`."""
    return obs.n if isinstance(obs, Discrete) else obs.dim


def identity_norm(obs: Space) -> dict[str, Array]:
    """Statistics that leave observations as they are, `[features]` each."""
    width = width_of(obs)
    return {"mean": jnp.zeros((width,), jnp.float32), "std": jnp.ones((width,), jnp.float32)}


def scale_of(std: Any) -> Any:
    """What a feature of standard deviation `std [...]` is divided by: `std`, and 1 where the data hardly vary.

    Dividing by next to nothing would blow such a feature up a thousandfold wherever it does vary: on the learner's own states,
    under noise. Takes NumPy and JAX arrays.
    """
    where = np.where if isinstance(std, np.ndarray) else jnp.where
    return where(std < VARIES, std.dtype.type(1), std)


def fit_norm(obs: Space, x: Array, weight: Array) -> dict[str, Array]:
    """Mean and scale `[features]` of rows `x [R, *obs]` with weights `[R]`; one-hots are left alone, see `scale_of`."""
    if isinstance(obs, Discrete):
        return identity_norm(obs)
    x = x.reshape(x.shape[0], -1).astype(jnp.float32)
    total = jnp.maximum(jnp.sum(weight), 1.0)
    mean = weight @ x / total
    var = weight @ jnp.square(x - mean[None, :]) / total
    return {"mean": mean, "std": scale_of(jnp.sqrt(var))}


def features(obs: Space, norm: dict[str, Array], x: Array) -> Array:
    """Network input `[features]` of one observation: one-hot or standardised."""
    if isinstance(obs, Discrete):
        return jax.nn.one_hot(x, obs.n, dtype=jnp.float32)
    return (x.reshape(-1).astype(jnp.float32) - norm["mean"]) / norm["std"]
