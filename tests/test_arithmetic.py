"""The known-answer test finds wrong arithmetic piece by piece, and what moves bits in a process is refused or recorded."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench.compute import arithmetic, caches, parallel, prng, process

ROOT = pathlib.Path(__file__).parent.parent


def test_this_jax_is_right():
    assert arithmetic.faults() == []


def _rounded(a, b):
    return (a.astype(jnp.bfloat16) @ b.astype(jnp.bfloat16)).astype(jnp.float32)


# a wrong operation, and the pieces that must find it
WRONG = [
    (jnp, "sum", lambda x, axis=None: x.mean(axis) * (x.size + 1), ["sums of squares of 3 x 3 matrix times vector"]),
    (jnp, "sum", lambda x, axis=None: x[:2].prod(axis), ["sums of squares of 2 x 3 matrix times vector", "reductions"]),
    (jnp, "tanh", lambda x: x / (1 + abs(x)), ["matrices times vectors", "elementary functions"]),
    (jnp, "min", lambda x, axis: x[:32768].min(axis) - 1e-3, ["reductions"]),
    (jax.nn, "softmax", lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True), ["softmax"]),
    (jnp, "zeros_like", jnp.ones_like, ["gather and scatter"]),
    (jax.lax, "scan", lambda f, init, xs: (None, jax.vmap(lambda x: f(init, x)[1])(xs)), ["scan"]),
    (prng, "_hash", lambda key, high, low: (high + key[0], low + key[1]), ["threefry words", "random streams"]),
    (jnp, "argsort", lambda x, stable: jnp.flip(jnp.argmax(x) + 0 * x.astype(jnp.int32)), ["stable sort"]),
    (jnp.linalg, "solve", lambda a, b: b / 6, ["linear solve"]),
    (jax.lax, "erf_inv", lambda x: x * 0.886, ["erf_inv"]),
    (jnp, "matmul", _rounded, ["matrix product"]),
    (jnp, "isfinite", lambda x: x == x, ["not finite"]),
    (jax, "grad", lambda f: lambda w: jax.value_and_grad(f)(w)[1] * 1.01, ["gradient"]),
]


@pytest.mark.parametrize(("module", "name", "wrong", "pieces"), WRONG, ids=[f"{n}-{p[0]}" for _, n, _, p in WRONG])
def test_a_wrong_operation_is_found(module, name, wrong, pieces, monkeypatch):
    monkeypatch.setattr(module, name, wrong)
    for piece in pieces:
        fault = arithmetic._fault(piece, arithmetic.PIECES[piece]())
        assert fault is not None, piece
        assert fault.piece == piece
        assert "wrong" in fault.what


def test_every_piece_has_a_wrong_operation_that_it_finds():
    assert {piece for *_, pieces in WRONG for piece in pieces} == set(arithmetic.PIECES)


def test_nothing_that_is_not_a_number_passes():
    for found in (np.full(3, np.nan), np.zeros(2), np.array([0.0, 0.0, np.inf])):
        assert arithmetic._fault("x", arithmetic.Answer(found, np.zeros(3), 1e-3)) is not None
    assert arithmetic._fault("x", arithmetic.Answer(np.full(3, 1e-4), np.zeros(3), 1e-3)) is None


def _broken():
    raise NotImplementedError("no such kernel")


def test_a_failing_jax_is_refused_and_a_pass_is_remembered(monkeypatch, tmp_path):
    monkeypatch.setattr(caches, "passes", lambda: tmp_path / "passes")
    monkeypatch.setattr(arithmetic, "_PASSED", set())
    whole = dict(arithmetic.PIECES)
    monkeypatch.setattr(arithmetic, "PIECES", {"scan": whole["scan"], "softmax": _broken})
    for flags, way in (("", "make quick|pip install 'jax=="), ("--xla_cpu_enable_fast_math=true", "unset XLA_FLAGS")):
        monkeypatch.setenv("XLA_FLAGS", flags)
        with pytest.raises(arithmetic.WrongArithmetic, match=f"softmax: NotImplementedError.*nothing was run.*({way})"):
            arithmetic.require()
    assert not (tmp_path / "passes").exists()
    monkeypatch.setattr(arithmetic, "PIECES", {"scan": whole["scan"]})
    arithmetic.require()
    assert len(list((tmp_path / "passes").iterdir())) == 1
    monkeypatch.setattr(arithmetic, "PIECES", {"softmax": _broken})  # whoever computes again finds it
    arithmetic.require()
    monkeypatch.setattr(arithmetic, "_PASSED", set())  # as another process
    arithmetic.require()
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_use_thunk_runtime=true")  # other flags are another test
    with pytest.raises(arithmetic.WrongArithmetic):
        arithmetic.require()


def test_a_pass_that_cannot_be_written_is_remembered_for_the_process(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file" / "passes"):
        monkeypatch.setattr(caches, "passes", lambda folder=folder: folder)
        monkeypatch.setattr(arithmetic, "_PASSED", set())
        monkeypatch.setattr(arithmetic, "PIECES", {"scan": arithmetic.PIECES["scan"]})
        arithmetic.require()
        assert len(arithmetic._PASSED) == 1


def test_versions_are_those_of_the_package_and_the_lock():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {f"{name}{arithmetic.RANGE}" for name in ("jax", "jaxlib")} <= set(declared)
    for name in ("requirements.txt", "requirements-dev.txt"):
        lock = (ROOT / name).read_text()
        assert set(re.findall(r"^jax(?:lib)?==(\S+)", lock, re.M)) == set(arithmetic.TESTED.values())
        assert "://" not in lock


# ------------------------------------------------------------------------------------------------ settings
@pytest.fixture
def config():
    """Sets JAX's configuration and puts it back."""
    before = {}

    def update(name, value):
        before.setdefault(name, jax.config.values[name])
        jax.config.update(name, value)

    yield update
    for name, value in before.items():
        jax.config.update(name, value)


OTHER = {  # every pinned setting that both ends of the range have, at another value
    "jax_enable_x64": True,
    "jax_disable_jit": True,
    "jax_random_seed_offset": 7,
    "jax_default_matmul_precision": "bfloat16",
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_enable_custom_prng": True,
    "jax_high_dynamic_range_gumbel": True,
    "jax_softmax_custom_jvp": True,
    "jax_use_direct_linearize": False,
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_disable_most_optimizations": True,
    "jax_optimization_level": "O0",
}


@pytest.mark.parametrize("name", OTHER)
def test_what_moves_bits_is_refused_or_recorded(name, config):
    assert name not in process.settings()
    config(name, OTHER[name])
    assert process.settings()[name] == OTHER[name]
    json.dumps(process.settings(), allow_nan=False)
    if name in process.REFUSED:
        for refuse in (arithmetic.require, parallel.setup):
            with pytest.raises(ValueError, match=rf"{name} is {OTHER[name]}.*jax.config.update\('{name}', "):
                refuse()


@pytest.mark.parametrize("name", ["jax_numpy_dtype_promotion", "jax_numpy_rank_promotion"])
def test_promotion_rules_refuse_but_do_not_move_bits(name, config):
    x = np.linspace(-1, 1, 7).astype(np.float32)
    bits = []
    for value in {"jax_numpy_dtype_promotion": ("standard", "strict"), "jax_numpy_rank_promotion": ("allow", "raise")}[
        name
    ]:
        config(name, value)
        bits.append(np.asarray(jax.jit(lambda x: jnp.tanh(x) @ x)(x)).tobytes())
        assert name not in process.settings()
    assert len(set(bits)) == 1


ENVIRONMENT = {  # a variable, and what is recorded of it
    ("XLA_FLAGS", "--b=2 --xla_force_host_platform_device_count=2 --a=1 --xla_dump_to=/tmp/x"): "--a=1 --b=2",
    ("XLA_FLAGS", "--xla_force_host_platform_device_count=2"): None,
    ("XLA_FLAGS", "--xla_gpu_cuda_data_dir=/usr/lib/cuda-13"): "--xla_gpu_cuda_data_dir=/usr/lib/cuda-13",
    ("JAX_SOME_NEW_FLAG", "1"): "1",
    ("JAX_LOG_COMPILES", "1"): None,
    ("JAX_COMPILATION_CACHE_DIR", "/tmp/x"): None,
    ("NVIDIA_TF32_OVERRIDE", "0"): "0",
    ("HOME", "/root"): None,
}


@pytest.mark.parametrize(("name", "value"), ENVIRONMENT)
def test_the_environment_is_recorded_where_it_may_move_bits(name, value, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setenv(name, value)
    assert process.settings().get(name) == ENVIRONMENT[name, value]


def test_a_setting_from_the_environment_is_refused_by_its_name(tmp_path):
    code = "import sys; sys.argv = ['ilbench', 'run', 'smoke', '--out', 'r']; from ilbench.cli import main; main()"
    for name, value in (("JAX_ENABLE_X64", "1"), ("JAX_DISABLE_JIT", "1"), ("JAX_PLATFORMS", "cuda")):
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {name: value}, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert f"unset the environment variable {name}" in done.stderr or f"unset {name}" in done.stderr
        assert not list(tmp_path.iterdir())
