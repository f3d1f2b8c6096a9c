"""The one place for parallelism: devices, blocks, and the compile cache.

`per_seed(f)` turns a pure function of one item into a compiled one over a leading axis of items, sharded over
`jax.devices()` and, inside a device, mapped in blocks that fit the cache. The same code serves one CPU (with one
virtual device per core), and several GPUs, where a device takes all its items in one block.
"""

from __future__ import annotations

import functools
import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ilbench.compute import caches, process

MAPPINGS = 30_000  # memory mappings before programs are dropped; Linux allows 65,530, which ten robots' programs fill
COMPILE_SECONDS = [0.0]  # wall seconds spent tracing, lowering and compiling in this process; running/execute.py reads it


def setup(devices: int | None = None, compile_cache: str = "auto") -> None:
    """Prepares this process as the command line does: one virtual CPU device per core and a persistent compile cache.

    `devices` overrides the number of CPU devices. `compile_cache` is `auto` (the folder that JAX was given, else our own),
    `off` or a folder. Call it before the first JAX operation; it raises RuntimeError when JAX has already started with
    another device count, and ValueError for fewer than one device, a platform that is not there, and settings under
    which results are others.
    """
    process.refuse_settings()
    if devices is not None and devices < 1:
        raise ValueError(f"--devices must be at least 1, got {devices}; leave it out for one per core")
    count = (
        devices or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else devices or os.cpu_count() or 1
    )
    if getattr(jax.config, "jax_num_cpu_devices", -1) != count:
        jax.config.update("jax_num_cpu_devices", count)
    caches.use(compile_cache)
    if asked := jax.config.values.get("jax_platforms"):  # not asked for, JAX takes what there is
        try:
            jax.devices()
        except (RuntimeError, AssertionError):
            raise ValueError(
                f"JAX_PLATFORMS={asked}: JAX finds no such device here; unset JAX_PLATFORMS for what there is, set it to cpu, or "
                "for NVIDIA install ilbench[cuda] and a driver"
            ) from None


@functools.cache
def mesh() -> Mesh:
    """All devices on one axis, `item`."""
    return Mesh(np.asarray(jax.devices()), ("item",))


def device_count() -> int:
    """Number of devices that items are spread over."""
    return mesh().size


def _place(tree: Any, spec: PartitionSpec) -> Any:
    # Pinning the layout is what keeps programs from being compiled anew: what comes out of one program lies otherwise
    # than what was made by hand.
    return jax.device_put(tree, NamedSharding(mesh(), spec))


def _signature(tree: Any) -> Any:
    leaves, treedef = jax.tree.flatten(tree)
    return treedef, tuple(
        (np.shape(leaf), str(leaf.dtype if hasattr(leaf, "dtype") else np.result_type(leaf))) for leaf in leaves
    )


_PROGRAMS: dict[Any, Any] = {}
_KNOWN: set[int] = set()  # hashes of what was ever compiled: a program that was dropped and comes back is no retrace


def compiled_programs() -> int:
    """How many different programs this process has compiled through per_seed: tests count it to find retraces."""
    return len(_KNOWN)


def spare_mappings(limit: int = MAPPINGS) -> bool:
    """Drops all compiled programs of this process if it holds more than `limit` memory mappings; whether it did.

    Every program holds some, and where the system gives no more LLVM ends the process. They are loaded again from the
    persistent cache.
    """
    try:
        with open("/proc/self/maps", "rb") as maps:
            held = sum(1 for _ in maps)
    except OSError:
        return False
    if held <= limit:
        return False
    _PROGRAMS.clear()
    jax.clear_caches()
    gc.collect()
    return True


def _program(f: Callable[..., Any], size: int, loops: int, static: dict[str, Any], shared: Any, items: Any) -> Any:
    """The compiled program of `loops` times `size` items on every device."""
    key = (f, size, loops, tuple(sorted(static.items())), _signature(shared), _signature(items))
    if key in _PROGRAMS:
        return _PROGRAMS[key]
    started = time.perf_counter()
    call = functools.partial(f, **static)

    def on_device(shared: Any, items: Any) -> Any:
        one = functools.partial(call, shared)
        items = jax.tree.map(_typed, items, is_leaf=_are_keys)
        if loops > 1:
            return jax.lax.map(one, items, batch_size=size if size > 1 else None)
        if size > 1:
            return jax.vmap(one)(items)
        return jax.tree.map(lambda leaf: leaf[None], one(jax.tree.map(lambda leaf: leaf[0], items)))

    spread, everywhere = PartitionSpec("item"), PartitionSpec()
    sharded = jax.shard_map(on_device, mesh=mesh(), in_specs=(everywhere, spread), out_specs=spread, check_vma=False)
    _PROGRAMS[key] = jax.jit(sharded).lower(shared, _place(items, spread)).compile()
    _KNOWN.add(hash(key))
    COMPILE_SECONDS[0] += time.perf_counter() - started
    return _PROGRAMS[key]


def to_host(tree: Any) -> Any:
    """A pytree of device arrays as NumPy arrays; it consumes them: each device's part is deleted once it has been copied.

    A sharded array on the host is a copy, so that converting a whole record at once would hold it twice. Raises RuntimeError
    for arrays of which other hosts hold a part.
    """
    leaves, treedef = jax.tree.flatten(tree)
    del tree
    for i, leaf in enumerate(leaves):
        leaves[i] = None
        whole = not isinstance(leaf, jax.Array) or leaf.is_fully_replicated or not leaf.is_fully_addressable
        if whole or len(leaf.sharding.device_set) == 1:
            leaves[i] = np.asarray(leaf)
            continue
        shards = [(shard.index, shard.data) for shard in leaf.addressable_shards if shard.replica_id == 0]
        leaves[i] = np.empty(leaf.shape, leaf.dtype)
        del leaf
        while shards:
            index, part = shards.pop()
            leaves[i][index] = np.asarray(part)
            part.delete()
    return jax.tree.unflatten(treedef, leaves)


def per_seed(f: Callable[..., Any], *, block: int = 1, loops: int = 1, **static: Any) -> Callable[[Any, Any], Any]:
    """`f(shared, item, **static) -> out` for one item becomes `(shared, items [I, ...]) -> out [I, ...]`, on the host.

    `shared` is the same for all items and is traced (closing over it would compile anew for every object). On CPU a program
    holds exactly `loops` times `block` items a device, whatever I is: more items are more calls of it, and the last call is
    filled up by repetition. So an item's result depends on nothing but the item, not on which others it was handed in with, and neither
    does what is compiled. Other devices take everything at once. `static` values must be hashable.
    """

    def call(shared: Any, items: Any) -> Any:
        items = jax.tree.map(_host, items)
        count = len(jax.tree.leaves(items)[0])
        if count == 0:
            raise ValueError("per_seed needs at least one item, got 0")
        size = block if jax.default_backend() == "cpu" else -(-count // device_count())
        each = loops if jax.default_backend() == "cpu" else 1
        width = size * each * device_count()
        shared = _place(shared, PartitionSpec())
        parts = []
        for first in range(0, count, width):
            index = np.minimum(np.arange(first, first + width), count - 1)
            whole = first + width <= count
            taken = jax.tree.map(lambda leaf: leaf[first : first + width] if whole else leaf[index], items)  # noqa: B023
            # Items go in as they lie on the host: the program spreads them, in half the time that placing them first takes.
            parts.append(_program(f, size, each, static, shared, taken)(shared, taken))
        return _joined(parts, count)

    return call


@functools.partial(jax.tree_util.register_dataclass, data_fields=["words"], meta_fields=["impl"])
@dataclass(frozen=True)
class _Keys:
    """Typed keys `[I]` as words: they are cut like any other array, and are keys again inside of the program."""

    words: Any
    impl: Any


def _are_keys(node: Any) -> bool:
    return isinstance(node, _Keys)


def _host(leaf: Any) -> Any:
    """A leaf where cutting it compiles nothing."""
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return _Keys(np.asarray(jax.random.key_data(leaf)), jax.random.key_impl(leaf))
    return np.asarray(leaf)


def _typed(node: Any) -> Any:
    return jax.random.wrap_key_data(node.words, impl=node.impl) if _are_keys(node) else node


def _joined(parts: list[Any], count: int) -> Any:
    """The first `count` items of several calls' results, `[count, ...]` NumPy; each call's is freed once it has been copied."""
    if len(parts) == 1:
        return jax.tree.map(lambda leaf: leaf[:count], to_host(parts[0]))
    leaves, structure = jax.tree.flatten(parts[0])
    out = [np.empty((count, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
    del leaves
    first = 0
    for i in range(len(parts)):
        copied = jax.tree.leaves(to_host(parts[i]))
        parts[i] = None
        last = min(count, first + len(copied[0]))
        for into, leaf in zip(out, copied, strict=True):
            into[first:last] = leaf[: last - first]
        first = last
    return jax.tree.unflatten(structure, out)
