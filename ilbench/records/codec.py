"""The bytes of a record: its JSON, its arrays as safetensors, and how both are read back when the file may be anything.

Whatever is strange in a file is a ValueError that says what: one bad record is set aside, and the rest is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
from pydantic import ValidationError
from safetensors import numpy as safetensors

from ilbench.records.consistency import LARGEST
from ilbench.records.schema import MAX_BYTES, PATH, SCHEMA, Record, canonical, content_hash

MAX_SIDECAR = 64 << 20  # bytes of one record's arrays, with a saved policy of many iterates
MAX_HEADER = 1 << 20  # bytes that say what is in them
MAX_DIMENSIONS = 8
POLICY = "policy/"  # arrays of a saved policy: may hold anything, and are checked where they are used
# What `encode_arrays` takes; bfloat16 and the 8-bit floats are no types of NumPy.
DTYPES = {
    "BOOL": "?", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


# -------------------------------------------------------------------------------------------------- JSON
def encode(record: Record) -> bytes:
    """The JSON file, one line per field; raises ValueError above 8 kB (naming the largest field) and for paths."""
    lines = {key: f"{json.dumps(key)}: {canonical(value)}" for key, value in record.model_dump().items()}
    for key, line in lines.items():
        found = PATH.search(line)
        if found:
            raise ValueError(f"{key} holds the path {found[0]!r}; records name no machine: use schema.scrub")
    data = ("{\n" + ",\n".join(lines.values()) + "\n}\n").encode()
    if len(data) > MAX_BYTES:
        largest = max(lines, key=lambda key: len(lines[key]))
        raise ValueError(
            f"record {record.id} has {len(data)} bytes, allowed are {MAX_BYTES}; the largest field is {largest!r} with "
            f"{len(lines[largest])}: move arrays to the sidecar and summarise what is left"
        )
    return data


def decode(data: bytes) -> Record:
    """The record in a JSON file or in a line of a pack; raises ValueError with the reason why it is none.

    Its id is that of its cell and its seal that of its content.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes: not a record")
    try:
        record = Record.model_validate_json(data)
    except ValidationError as error:
        raise ValueError(_why_not(data, error)) from None
    if record.self_hash != content_hash(record):
        raise ValueError("its content does not match its own hash: edited or damaged")
    return record


def _why_not(data: bytes, error: ValidationError) -> str:
    """Why `data` is no record, in the order in which a person would ask."""
    try:
        loose = json.loads(data)
    except (ValueError, RecursionError) as broken:
        return f"truncated or not JSON ({broken})"
    name = loose.get("schema") if isinstance(loose, dict) else None
    if not isinstance(name, str) or not name.startswith("ilbench.record/"):
        return f"not an ilbench record: its schema is {name!r:.60}, not {SCHEMA!r}"
    if name != SCHEMA:
        return f"its schema is {name!r:.60}, this ilbench reads {SCHEMA!r}: upgrade ilbench"
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "record"
    return f"does not fit the schema: {place}: {first['msg']} ({error.error_count()} errors)"


# ------------------------------------------------------------------------------------------------ arrays
def encode_arrays(arrays: Mapping[str, np.ndarray] | None) -> bytes | None:
    """Arrays as safetensors, None for none; raises ValueError for what `decode_arrays` would refuse."""
    if not arrays:
        return None
    plain = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    for name, value in plain.items():
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise ValueError(
                f"array {name!r} has dtype {value.dtype}; allowed are bool, integers and floats up to 64 bits"
            )
        _sane(name, value)
    data: bytes = safetensors.save(plain)
    if len(data) > MAX_SIDECAR:
        largest = max(plain, key=lambda name: plain[name].nbytes)
        raise ValueError(f"arrays of {len(data)} bytes, allowed are {MAX_SIDECAR}; the largest is {largest!r}")
    return data


def decode_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Arrays of a safetensors file; raises ValueError that names the first thing that is not as it should be."""
    if len(data) > MAX_SIDECAR:
        raise ValueError(f"more than {MAX_SIDECAR} bytes: not arrays of a record")
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, MAX_HEADER):
        raise ValueError("no safetensors header, or one cut short")
    try:
        header = json.loads(data[8 : 8 + size].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a header that is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise ValueError("a header that is no table of arrays")
    body, out = memoryview(data)[8 + size :], {}
    for name, entry in header.items():
        if name != "__metadata__":
            out[name] = _array(name, entry, body)
            _sane(name, out[name])
    return out


def _array(name: str, entry: Any, body: memoryview) -> np.ndarray:
    """One array of the header; its bytes must be there, and be as many as its shape says."""
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"array {name!r} has dtype {dtype!r:.40}; allowed are {', '.join(DTYPES)}")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2 or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"array {name!r} has the shape {shape!r:.60} at {offsets!r:.60}, which is no shape and place")
    first, last = offsets
    kind = np.dtype(DTYPES[dtype])
    if last > len(body) or last - first != math.prod(shape) * kind.itemsize:
        raise ValueError(f"array {name!r} of shape {shape} and dtype {dtype} lies at {offsets} of {len(body)} bytes")
    return np.frombuffer(body[first:last], kind).reshape(shape).copy()


def _counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and 0 <= n <= MAX_SIDECAR for n in value)


def _sane(name: str, value: np.ndarray) -> None:
    """Raises ValueError for numbers that no curve has; what a saved policy holds is checked where it is built."""
    if value.ndim > MAX_DIMENSIONS:
        raise ValueError(f"array {name!r} has {value.ndim} dimensions, allowed are {MAX_DIMENSIONS}")
    if value.dtype.kind == "f" and not name.startswith(POLICY):
        usual = np.isfinite(value) if value.dtype.itemsize < 8 else np.abs(value) <= LARGEST  # not true of NaN either
        if wrong := value.size - int(np.count_nonzero(usual)):
            raise ValueError(f"array {name!r} holds {wrong} numbers that are not finite or beyond float32")
