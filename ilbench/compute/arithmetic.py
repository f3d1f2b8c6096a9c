"""Is this JAX's arithmetic the one that results rely on? A known-answer test, once per jaxlib and CPU.

    what we rely on, on small inputs --> this JAX, this device --> against NumPy float64 and published words --> Fault | none

jax 0.10.2 made this file necessary: a jitted `vmap(lambda x: sum((W @ x) ** 2))` is wrong in every row beyond 32,768
(jax-ml/jax#39103, #39257), and nothing says so. Importing this file imports no JAX.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import statistics
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ilbench.compute import caches
from ilbench.compute.process import flags, refuse_settings, settings

RANGE = ">=0.10.1,!=0.10.2,<0.13"  # of jax and jaxlib, as pyproject.toml has it
TESTED = {(3, 11): "0.10.1", (3, 12): "0.12.0.1", (3, 13): "0.12.0.1"}  # by Python, as the lock has them
ROWS = 40_000  # more than 2^15, where 0.10.2 goes wrong
_PASSED: set[str] = set()  # keys that passed in this process


class WrongArithmetic(RuntimeError):
    """This JAX computes wrong values; the message says which, and what to install."""


class Fault(NamedTuple):
    """A piece whose values are wrong."""

    piece: str
    what: str  # how many values, the worst of them


class Answer(NamedTuple):
    """What a piece gave, what it must give, and how far apart they may be, in units of `scale`."""

    found: Any
    expected: np.ndarray
    tolerance: float = 0.0
    scale: Any = 1.0


# ---------------------------------------------------------------------------------------------- the known answers
def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _sums_of_squares(width: int) -> Answer:
    """The program of jax-ml/jax#39103: W 3 x 3 or 2 x 3 times 40,000 vectors, squared and summed."""
    import jax
    import jax.numpy as jnp

    w, x = _normal(1, width, 3), _normal(2, ROWS, 3)
    found = jax.jit(jax.vmap(lambda row: jnp.sum((w @ row) ** 2)))(x)
    expected = (np.einsum("ij,nj->ni", w.astype(float), x.astype(float)) ** 2).sum(1)
    return Answer(found, expected, 1e-5, 1 + expected)


def _matrices_times_vectors() -> Answer:
    import jax
    import jax.numpy as jnp

    w, x, b = _normal(3, ROWS, 3, 3), _normal(4, ROWS, 3), _normal(5, 3)
    found = jax.jit(jax.vmap(lambda w, x: jnp.tanh(w @ x + b)))(w, x)
    return Answer(found, np.tanh(np.einsum("nij,nj->ni", w.astype(float), x.astype(float)) + b), 1e-5)


def _reductions() -> Answer:
    import jax
    import jax.numpy as jnp

    x = _normal(6, ROWS, 3)
    reduce = (jnp.sum, jnp.mean, jnp.var, jnp.max, jnp.min)
    found = jax.jit(lambda x: jnp.stack([f(x, axis=0) for f in reduce]))(x)
    whole = x.astype(float)
    expected = np.stack([whole.sum(0), whole.mean(0), whole.var(0), whole.max(0), whole.min(0)])
    return Answer(found, expected, 1e-5, 1 + np.abs(whole).sum(0) * np.array([1, 0, 0, 0, 0])[:, None])


def _softmax() -> Answer:
    import jax
    import jax.numpy as jnp

    x = 30 * _normal(7, ROWS, 5)
    found = jax.jit(lambda x: jnp.concatenate([jax.nn.softmax(x), jax.nn.logsumexp(x, -1, keepdims=True)], -1))(x)
    top = x.max(-1, keepdims=True).astype(float)
    e = np.exp(x - top)
    expected = np.concatenate([e / e.sum(-1, keepdims=True), top + np.log(e.sum(-1, keepdims=True))], -1)
    return Answer(found, expected, 1e-5, 1 + np.abs(expected))


def _gather_and_scatter() -> Answer:
    import jax
    import jax.numpy as jnp

    x, index = np.arange(ROWS * 2, dtype=np.int32).reshape(ROWS, 2), np.random.default_rng(8).integers(0, ROWS, ROWS)
    found = jax.jit(lambda x, i: jnp.concatenate([x[i], jnp.zeros_like(x).at[i].add(x)]))(x, index.astype(np.int32))
    added = np.zeros_like(x)
    np.add.at(added, index, x)
    return Answer(found, np.concatenate([x[index], added]))


def _scan() -> Answer:
    import jax
    import jax.numpy as jnp

    u = np.random.default_rng(9).integers(0, 2**32, 300, dtype=np.uint32)

    def step(carry: Any, word: Any) -> Any:
        carry = carry * jnp.uint32(1664525) + word
        return carry, carry >> jnp.uint32(7)

    found = jax.jit(lambda u: jax.lax.scan(step, jnp.uint32(1), u)[1])(u)
    state, expected = 1, []
    for word in u.tolist():
        state = (state * 1664525 + word) % 2**32
        expected.append(state >> 7)
    return Answer(found, np.array(expected))


# Threefry-2x32 with 20 rounds (Random123, kat_vectors), and the first words of key 0 in jax.random's counting
_WORDS = {
    ((0, 0), (0, 0)): (0x6B200159, 0x99BA4EFE),
    ((2**32 - 1,) * 2, (2**32 - 1,) * 2): (0x1CB996FC, 0xBB002BE7),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3)): (0xC4923A9C, 0x483DF7A0),
}


def _words() -> Answer:
    import jax
    import jax.numpy as jnp

    from ilbench.compute import prng

    keys, counters = (np.array([pair[i] for pair in _WORDS], np.uint32) for i in (0, 1))
    hashed = jnp.stack(jax.vmap(prng._hash)(keys, counters[:, 0], counters[:, 1]), -1)
    first = [0x6B200159 ^ 0x99BA4EFE]
    draws = [jax.random.bits(key, (1,)) for key in (prng.key(0), jax.random.key(0, impl="threefry2x32"))]
    found = np.concatenate([np.asarray(hashed).ravel(), *(np.asarray(draw) for draw in draws)])
    return Answer(found, np.array([*np.array(list(_WORDS.values())).ravel(), *first, *first]))


def _streams() -> Answer:
    """Our keys and JAX's own draw the same, through split and fold_in."""
    import jax
    import jax.numpy as jnp

    from ilbench.compute import prng

    def draw(key: Any) -> Any:
        one, two = jax.random.split(jax.random.fold_in(key, 7))
        return jnp.concatenate([jax.random.uniform(one, (9,)), jax.random.normal(two, (9,))])

    run = jax.jit(draw)
    return Answer(run(prng.key(5)), np.asarray(run(jax.random.key(5, impl="threefry2x32"))))


def _sorting() -> Answer:
    import jax
    import jax.numpy as jnp

    x = np.random.default_rng(10).integers(0, 50, ROWS).astype(np.float32)
    return Answer(jax.jit(lambda x: jnp.argsort(x, stable=True))(x), np.argsort(x, kind="stable"))


def _solve() -> Answer:
    import jax
    import jax.numpy as jnp

    a, b = _normal(11, 16, 4, 4) + 6 * np.eye(4, dtype=np.float32), _normal(12, 16, 4, 1)
    return Answer(jax.jit(jnp.linalg.solve)(a, b), np.linalg.solve(a.astype(float), b.astype(float)), 1e-5)


def _erf_inv() -> Answer:
    import jax

    p = np.linspace(0.001, 0.999, 999).astype(np.float32)
    x = 2 * p - np.float32(1)
    inverse = statistics.NormalDist().inv_cdf
    expected = np.array([inverse((v + 1) / 2) for v in x.astype(float)]) / 2**0.5
    return Answer(jax.jit(jax.lax.erf_inv)(x), expected, 3e-6, 1 + np.abs(expected) * 10)


def _products() -> Answer:
    """Full float32: with bfloat16 or TF32 operands the error is a hundred times what is allowed."""
    import jax
    import jax.numpy as jnp

    a, b = _normal(13, 64, 64), _normal(14, 64, 64)
    bound = np.abs(a.astype(float)) @ np.abs(b.astype(float))
    return Answer(jax.jit(lambda a, b: jnp.matmul(a, b))(a, b), a.astype(float) @ b.astype(float), 1e-6, bound)


def _elementary() -> Answer:
    import jax
    import jax.numpy as jnp

    x = np.linspace(-8, 8, 4001).astype(np.float32)
    run = jax.jit(lambda x: jnp.stack([jnp.exp(x), jnp.tanh(x), jnp.sin(x), jnp.cos(x), jnp.log1p(jnp.abs(x))]))
    z = x.astype(float)
    expected = np.stack([np.exp(z), np.tanh(z), np.sin(z), np.cos(z), np.log1p(np.abs(z))])
    return Answer(run(x), expected, 1e-6, 1 + np.abs(expected))


def _nan() -> Answer:
    """What is not finite is seen to be so: exploded physics is a fall. Fast maths breaks this."""
    import jax
    import jax.numpy as jnp

    x = np.array([0.0, 1.0, np.inf, np.nan, -np.inf], np.float32)
    found = jax.jit(lambda x: jnp.stack([jnp.isfinite(x), jnp.isnan(x - x), x / x != x / x]))(x)
    expected = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 1, 1]])
    return Answer(jnp.asarray(found, jnp.int32), expected)


def _gradient() -> Answer:
    """One hidden layer, squared error, by hand."""
    import jax
    import jax.numpy as jnp

    w, v, x, y = _normal(15, 3, 8), _normal(16, 8), _normal(17, 64, 3), _normal(18, 64)
    found = jax.jit(jax.grad(lambda w: jnp.mean((jnp.tanh(x @ w) @ v - y) ** 2)))(w)
    h = np.tanh(x.astype(float) @ w)
    return Answer(found, x.T.astype(float) @ ((2 * (h @ v - y) / 64)[:, None] * v * (1 - h**2)), 1e-5, 10.0)


PIECES: dict[str, Callable[[], Answer]] = {
    "sums of squares of 3 x 3 matrix times vector": lambda: _sums_of_squares(3),
    "sums of squares of 2 x 3 matrix times vector": lambda: _sums_of_squares(2),
    "matrices times vectors": _matrices_times_vectors,
    "reductions": _reductions,
    "softmax": _softmax,
    "gather and scatter": _gather_and_scatter,
    "scan": _scan,
    "threefry words": _words,
    "random streams": _streams,
    "stable sort": _sorting,
    "linear solve": _solve,
    "erf_inv": _erf_inv,
    "matrix product": _products,
    "elementary functions": _elementary,
    "not finite": _nan,
    "gradient": _gradient,
}


def _fault(name: str, answer: Answer) -> Fault | None:
    found, expected = np.asarray(answer.found).astype(float), answer.expected.astype(float)
    if found.shape != expected.shape:
        return Fault(name, f"shape {found.shape}, not {expected.shape}")
    error = np.abs(found - expected) / answer.scale
    wrong = ~(error <= answer.tolerance)  # so that NaN is wrong
    if not wrong.any():
        return None
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    return Fault(
        name,
        f"{wrong.sum():,} of {wrong.size:,} values wrong, the first at {first}: {found[first]:.9g}, not {expected[first]:.9g}",
    )


def faults() -> list[Fault]:
    """Computes every piece on JAX's default device; [] where all is right. Under a second once its programs are cached."""
    import jax

    # On CPU as everything runs. Accelerators take shorter operands by default, which is their users' choice and is recorded.
    exact = contextlib.nullcontext() if jax.default_backend() == "cpu" else jax.default_matmul_precision("highest")
    found = []
    with exact:
        for name, piece in PIECES.items():
            try:
                fault = _fault(name, piece())
            except Exception as error:  # a piece that does not even run is as wrong
                fault = Fault(name, f"{type(error).__name__}: {error}")
            if fault is not None:
                found.append(fault)
    return found


# ------------------------------------------------------------------------------------------ once per jaxlib and CPU
def _key() -> str:
    """What a pass is remembered under: versions, device, flags and this very test."""
    import jax
    import jaxlib

    parts = (
        jax.__version__, jaxlib.__version__, caches.processor(), jax.devices()[0].device_kind, os.environ.get("XLA_FLAGS", ""),
        settings(), np.__version__, hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest(),
    )  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def message(wrong: list[Fault]) -> str:
    """What is wrong, and what to install or unset."""
    import jax
    import jaxlib

    version = TESTED.get(sys.version_info[:2], max(TESTED.values()))
    ways = [f"unset XLA_FLAGS ({flags()})"] if flags() else []
    if (jax.__version__, jaxlib.__version__) != (version, version):
        ways.append(f"pip install 'jax=={version}' 'jaxlib=={version}' (allowed: {RANGE})")
    what = "; ".join(f"{fault.piece}: {fault.what}" for fault in wrong[:3])
    return (
        f"jax {jax.__version__} with jaxlib {jaxlib.__version__} computes wrong values on this "
        f"{jax.devices()[0].device_kind} ({len(wrong)} of {len(PIECES)} known answers; {what}): nothing was run. To mend it, "
        f"{', or '.join(ways) or 'install the locked packages anew (make quick), and tell us if that does not help'}"
    )


def require() -> None:
    """Raises ValueError for a refused setting and WrongArithmetic where an answer is wrong; a pass is remembered.

    It is remembered beside the compile cache, for this JAX, processor and flags; where that cannot be written, for this process.
    """
    refuse_settings()
    key, folder = _key(), caches.passes()
    if key in _PASSED or (folder is not None and (folder / key).is_file()):
        return
    if wrong := faults():
        raise WrongArithmetic(message(wrong))
    _PASSED.add(key)
    if folder is not None:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / key).touch()
