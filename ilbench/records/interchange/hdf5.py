"""HDF5 that nobody vouches for: only plain datasets within the file are read.

A link, an external or virtual dataset, a filter that would load a library from the disk, and more bytes than are stored or than memory
should hold are refused by name.
Source: the HDF5 file format, https://support.hdfgroup.org/documentation/hdf5/latest/, and h5py, https://docs.h5py.org
"""

from __future__ import annotations

import importlib
import math
import pathlib
import re
from typing import Any

import numpy as np

from ilbench.records.interchange.episodes import BOMB, LARGEST, RATIO

# gzip, shuffle, checksum, lzf: h5py's own; any other is looked for in libraries on the disk.
FILTERS = {1, 2, 3, 32000}
EPISODES = 2**20  # of a file at most
WIDE = 300  # characters of a list of names in a message


def library() -> Any:
    """h5py; ValueError that says what to install where it is not there."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise ValueError(
            "HDF5 and Minari files take h5py, which is not installed: pip install 'ilbench[data]', or give --format safetensors or npz"
        ) from error


class Reader:
    """An HDF5 file that nobody vouches for: datasets and attributes by name, within what memory should hold."""

    def __init__(self, path: pathlib.Path, name: str | None = None) -> None:
        if not path.is_file():
            raise ValueError(f"no file {str(path)!r}")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path.name}: {path.stat().st_size} bytes; at most {LARGEST}")
        self.h5py, self.name, self.left = library(), name or path.name, LARGEST
        try:
            self.file = self.h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"{self.name} is no HDF5 file: {error}") from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def child(self, group: Any, name: str) -> Any:
        """A group or dataset by one name, None where it is not there; ValueError for a link to elsewhere."""
        try:
            link = group.get(name, getlink=True)
        except (KeyError, RuntimeError, ValueError):
            link = None
        if link is None:
            return None
        if not isinstance(link, self.h5py.HardLink):
            kind = type(link).__name__.removesuffix("Link").lower()
            raise ValueError(
                f"{self.name}: {group.name}/{name} is a link ({kind}) to elsewhere; only what lies in place is read"
            )
        try:
            return group[name]
        except (KeyError, OSError, RuntimeError) as error:
            raise ValueError(f"{self.name}: {group.name}/{name} is damaged: {error}") from error

    def group(self, group: Any, name: str) -> Any:
        """A group by name, None where there is none."""
        found = self.child(group, name)
        return found if isinstance(found, self.h5py.Group) else None

    def array(self, group: Any, name: str) -> np.ndarray | None:
        """A dataset of numbers, None where it is not there; what it announces is looked at before memory is taken."""
        found = self.child(group, name)
        if found is None:
            return None
        where = f"{self.name}: {group.name}/{name}".replace("//", "/")
        if not isinstance(found, self.h5py.Dataset):
            raise ValueError(f"{where} is no dataset")
        if found.is_virtual or found.external:
            raise ValueError(f"{where} keeps its numbers in another file, which is not read")
        plist = found.id.get_create_plist()
        if foreign := {plist.get_filter(i)[0] for i in range(plist.get_nfilters())} - FILTERS:
            raise ValueError(
                f"{where} is packed by filter {min(foreign)}; read are gzip, lzf, shuffle and checksums: repack it"
            )
        if found.shape is None or found.dtype.kind not in "biuf":
            raise ValueError(f"{where} is of type {found.dtype}; it must be numbers")
        need, stored = math.prod(found.shape) * found.dtype.itemsize, found.id.get_storage_size()
        if need > self.left or (need > BOMB and need > RATIO * stored):
            raise ValueError(
                f"{where} announces {need} bytes, of which {stored} are stored; at most {LARGEST} in all, and above {BOMB} "
                f"{RATIO} times as many as are stored"
            )
        self.left -= need
        try:
            return np.asarray(found[()])
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{where} is damaged: {error}") from error

    def text(self, group: Any, name: str) -> str:
        """An attribute as text; empty where it is not there."""
        try:
            value = group.attrs.get(name, "")
        except (OSError, RuntimeError, TypeError, ValueError, KeyError):
            return ""
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""

    def number(self, group: Any, name: str) -> int | None:
        """An attribute as an integer; None where it is none."""
        try:
            value = np.asarray(group.attrs.get(name))
        except (OSError, RuntimeError, TypeError, ValueError, KeyError):
            return None
        return int(value) if value.shape == () and value.dtype.kind in "biu" else None

    def numbered(self, group: Any, stem: str) -> list[str]:
        """Names `STEM0, STEM1, ...` of a group's children, by number."""
        names = [name for name in group if re.fullmatch(rf"{stem}[0-9]{{1,9}}", name, re.ASCII)]
        if len(names) > EPISODES:
            raise ValueError(f"{self.name} holds {len(names)} episodes; at most {EPISODES}")
        return sorted(names, key=lambda name: int(name.removeprefix(stem)))

    def seen(self, group: Any, name: str, keys: tuple[str, ...]) -> np.ndarray | None:
        """Observations `[T, ...]`: a dataset, a group's only one, or those of `keys` `[T, *]` side by side."""
        found = self.group(group, name)
        if found is None:
            return self.array(group, name)
        there = sorted(found)
        chosen = list(keys) or (there if len(there) == 1 else [])
        if not chosen or (lost := [key for key in chosen if key not in there]):
            which = f"no {lost[0]!r}" if chosen else f"{len(there)} observations"
            raise ValueError(
                f"{self.name}: {found.name} holds {which}; choose with --keys, in the order of the task's: {', '.join(there)[:WIDE]}"
            )
        parts = [np.asarray(self.array(found, key)) for key in chosen]
        if len(parts) == 1:
            return parts[0]
        if any(part.ndim < 1 or len(part) != len(parts[0]) for part in parts):
            raise ValueError(f"{self.name}: {found.name}: {', '.join(chosen)} have other numbers of rows")
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def stacked(name: str, parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of episodes one below the other; ValueError where one has what another has not, or other shapes."""
    for i, part in enumerate(parts):
        if set(part) != set(parts[0]):
            other = sorted(set(part) ^ set(parts[0]))[0]
            raise ValueError(f"{name}: episode {i} and the first are not alike: one of them has {other}")
        for key, array in part.items():
            rows, first = list(array.shape[1:]), list(parts[0][key].shape[1:])
            if rows != first:
                raise ValueError(f"{name}: {key} of episode {i} has rows of shape {rows}, of the first {first}")
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
