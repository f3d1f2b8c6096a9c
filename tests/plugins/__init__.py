"""Plug-ins as third parties would write them, most of them faulty, and how a test registers them."""

import contextlib
import importlib
import pathlib
from importlib import metadata
from unittest import mock

from ilbench import registry


def forget():
    """What the registry has remembered: plug-ins, tasks, and what was left out."""
    registry.entries.cache_clear()
    registry._make_task.cache_clear()
    registry._LEFT_OUT.clear()


@contextlib.contextmanager
def registered(kind, **modules):
    """`registered("tasks", nan_reward="plugins.broken_tasks")`: entry points of that name beside those installed."""
    real = metadata.entry_points

    def entry_points(**params):
        more = [metadata.EntryPoint(name, value, f"ilbench.{kind}") for name, value in modules.items()]
        return [*real(**params), *(point for point in more if params.get("group") == point.group)]

    forget()
    with mock.patch.object(metadata, "entry_points", entry_points):
        yield
    forget()


@contextlib.contextmanager
def installed(folder: pathlib.Path, files, points, monkeypatch, name="somebody", version="1.2"):
    """A distribution on disk and on the path: `files` by name, `points` by `(kind, entry point's name)`."""
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = [f"[ilbench.{kind}]\n{point} = {module}\n" for (kind, point), module in points.items()]
    (about / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    forget()
    yield
    monkeypatch.undo()
    forget()
