"""A small convolutional network: continuous actions from images of bytes.

Paper: LeCun et al. 1998, convolutional networks; from pixels to steering: Pomerleau 1989 (ALVINN)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import flax.linen as nn
import jax
import jax.numpy as jnp

from ilbench.types import Head

NEEDS = ("continuous observations", "continuous actions")
TRY = ("dot",)


@dataclass(frozen=True)
class Config:
    """The network."""

    channels: int = 4  # of each of two layers, 3 x 3 and every other pixel


def skip(spec):
    """Needs images."""
    images = len(spec.obs.shape) == 3 and spec.obs.dtype == "uint8"
    return None if images else f"cnn looks at images [height, width, channels] of bytes, not at {list(spec.obs.shape)} {spec.obs.dtype}"


class Net(nn.Module):
    channels: int
    out: int

    @nn.compact
    def __call__(self, image):
        x = image.astype(jnp.float32)[None] / 255
        for _ in range(2):
            x = jax.nn.relu(nn.Conv(self.channels, (3, 3), strides=(2, 2))(x))
        return nn.Dense(self.out)(x.reshape(-1))


@lru_cache
def _head(obs, action, config):
    net = Net(config.channels, action.dim)

    def init(key):
        return {"net": net.init(key, jnp.zeros(obs.shape, obs.dtype))["params"]}

    def out(params, image):
        return net.apply({"params": params["net"]}, image).reshape(action.shape)

    def loss(params, key, row):
        return jnp.mean(jnp.square(out(params, row.obs) - row.action))

    return Head(init, loss, lambda params, key, t, memory, image: (memory, out(params, image)))


def make(spec, config):
    """Actions `[*action]` from images `[height, width, channels]`."""
    return _head(spec.obs, spec.action, config)
