"""What of a process moves bits: JAX's configuration, XLA_FLAGS, the environment; refused, or recorded where it is not as pinned.

Importing this file imports no JAX.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

REFUSED = {"jax_enable_x64": False, "jax_disable_jit": False, "jax_random_seed_offset": 0}
# Recorded where they differ from these. Others only make errors of what is then not computed (promotion rules), choose
# devices, which a record states, or are about caches, logs and dumps.
PINNED = {
    "jax_default_matmul_precision": None,
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_threefry_gpu_kernel_lowering": False,
    "jax_enable_custom_prng": False,
    "jax_high_dynamic_range_gumbel": False,
    "jax_accurate_erf_inv": False,
    "jax_use_hlo_logistic_lowering": None,
    "jax_softmax_custom_jvp": False,
    "jax_use_direct_linearize": True,
    "jax_custom_jvp3": False,
    "jax_custom_vjp3": False,
    "jax_scan3": False,
    "jax_allow_f16_reductions": True,
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_effort": 0.0,
    "jax_memory_fitting_level": "O2",
    "jax_use_shardy_partitioner": True,
    "jax_compiler_enable_remat_pass": True,
    "jax_use_simplified_jaxpr_constants": False,
    "eager_constant_folding": False,
}
# Environment variables of JAX (`JAX_...`) that start so move nothing, or what they move is in a record already.
NEUTRAL = (
    "JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "JAX_ENABLE_COMPILATION_CACHE", "JAX_RAISE_PERSISTENT_CACHE",
    "JAX_EXPLAIN_CACHE", "JAX_LOG", "JAX_DEBUG_LOG", "JAX_DUMP", "JAX_INCLUDE", "JAX_TRACE", "JAX_PPRINT", "JAX_PLATFORM",
    "JAX_NUM_CPU_DEVICES", "JAX_CUDA_VISIBLE", "JAX_ROCM_VISIBLE", "JAX_NUMPY_DTYPE_PROMOTION", "JAX_NUMPY_RANK_PROMOTION",
    "JAX_CHECK_TRACER_LEAKS", "JAX_TRANSFER_GUARD", "JAX_HLO_SOURCE", "JAX_CAPTURED_CONSTANTS", "JAX_ENABLE_CHECKS",
)  # fmt: skip
NEUTRAL_FLAGS = ("--xla_force_host_platform_device_count", "--xla_dump", "--xla_hlo_profile", "--xla_log")
OTHERS = ("NVIDIA_TF32_OVERRIDE", "LIBTPU_INIT_ARGS", "XLA_GPU_FLAGS")


def _value(value: Any) -> Any:
    """As JSON has it: an enum by its name."""
    value = getattr(value, "value", value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def flags() -> str:
    """What of XLA_FLAGS may move bits, in order; empty where nothing does."""
    words = os.environ.get("XLA_FLAGS", "").split()
    return " ".join(sorted(word for word in words if not word.startswith(NEUTRAL_FLAGS)))


def settings() -> dict[str, Any]:
    """What in this process may move bits and is not as pinned: JAX's configuration, XLA_FLAGS, the environment; {} by default."""
    import jax

    now = jax.config.values
    pinned = REFUSED | PINNED
    found = {k: _value(now[k]) for k, default in pinned.items() if k in now and _value(now[k]) != default}
    found |= {"XLA_FLAGS": flags()} if flags() else {}
    for name, value in os.environ.items():
        unknown = name.startswith("JAX_") and not name.startswith(NEUTRAL) and name.lower() not in pinned
        if value and (unknown or name in OTHERS):
            found[name] = value
    return dict(sorted(found.items()))


def pinned() -> dict[str, Any]:
    """JAX's settings that move bits, as they are in this process, for `pin` in another one."""
    import jax

    now = jax.config.values
    return {name: _value(now[name]) for name in PINNED if name in now}


def pin(wanted: Mapping[str, Any]) -> None:
    """Gives JAX the settings that `pinned` found in another process."""
    import jax

    for name, value in wanted.items():
        if _value(jax.config.values[name]) != value:
            jax.config.update(name, value)


def refuse_settings() -> None:
    """ValueError for a configuration under which the same cell has other results: it says what to unset."""
    import jax

    for name, default in REFUSED.items():
        value = _value(jax.config.values.get(name, default))
        if value == default:
            continue
        by_name = f"unset the environment variable {name.upper()}"
        way = by_name if name.upper() in os.environ else f"call jax.config.update({name!r}, {default}) before"
        raise ValueError(
            f"{name} is {value}: under it the same cell has other results, so ilbench does not run with it; {way}"
        )
