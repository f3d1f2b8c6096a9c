"""Formats: which layout a path has or is to have, and whether what it takes is installed."""

from __future__ import annotations

import pathlib

from ilbench.names import hint
from ilbench.records import files
from ilbench.records.interchange import flat, hdf5, minari, robomimic
from ilbench.records.interchange.episodes import Episodes, What

HDF5 = (".hdf5", ".h5")
ENDINGS = {"safetensors": (".safetensors",), "npz": (".npz",), "hdf5": HDF5}


def ready(kind: str, path: pathlib.Path, about: dict[str, str]) -> None:
    """ValueError, before anything is computed, for what could not be written: no library, no folder, another format's ending."""
    if kind in ("hdf5", "minari"):
        hdf5.library()
    if kind == "minari":
        if path.exists() and not path.is_dir():
            raise ValueError(
                f"{str(path)!r} is a file; --format minari takes a folder of datasets, as MINARI_DATASETS_PATH names one"
            )
        minari.place(path, about)
        return
    if path.suffix not in ENDINGS[kind]:
        raise ValueError(
            f"{str(path)!r} does not end in {' or '.join(ENDINGS[kind])}, by which --format {kind} is known again"
        )
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; give a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")


def write(kind: str, path: pathlib.Path, episodes: Episodes, obs: What, action: What) -> pathlib.Path:
    """Writes what is `ready`, whole or not at all; returns what was written."""
    if kind == "minari":
        return minari.write(path, episodes, obs, action)
    files.write_atomic(path, robomimic.content(episodes) if kind == "hdf5" else flat.content(kind, episodes))
    return path


def read(path: pathlib.Path, keys: tuple[str, ...] = ()) -> Episodes:
    """The episodes of a file or a Minari folder, as they are stored; `keys` choose among several observations.

    Raises ValueError that names what is wrong: no such file, another kind of file, and what each layout's reader refuses.
    """
    if path.is_dir():
        return minari.read(path, keys)
    if path.suffix in HDF5:
        return robomimic.read(path, keys)
    if not path.exists():
        raise ValueError(f"no file or folder {str(path)!r}")
    if path.suffix not in (".npz", ".safetensors"):
        endings = [ending for known in ENDINGS.values() for ending in known]
        raise ValueError(
            f"{path.name}: read are {', '.join(endings)} and folders of Minari. {hint(path.suffix, endings)}"
        )
    if keys:
        raise ValueError(
            f"{path.name} holds one array of observations; --keys choose among those of HDF5 files and of Minari"
        )
    return flat.read(path)
