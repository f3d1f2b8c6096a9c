"""What is kept between processes: where, for whom, and that a damaged program is compiled again rather than loaded."""

import os
import pathlib
import stat
import subprocess
import sys
import tempfile

import jax
import platformdirs
import pytest

from ilbench.compute import caches

SCRIPT = """
import jax, numpy as np, ilbench
ilbench.setup(1)
x = np.arange(6, dtype=np.float32)
for k, f in enumerate((lambda x: x * 2, lambda x: x[::-1], lambda x: x.sum(), lambda x: x - 1, lambda x: x**3, lambda x: -x)):
    np.testing.assert_array_equal(jax.jit(f)(x), f(x))
"""


def _run(folder, **env):
    env = (
        {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
        | {"ILBENCH_CACHE": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
        | env
    )
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return sorted(folder.glob("xla/*/*-cache"))


def _sound(entry):
    sum = entry.with_name(entry.name.removesuffix("-cache") + "-sha256")
    return sum.read_text() == caches.Sound._sum(entry.name.removesuffix("-cache"), entry.read_bytes())


def test_damaged_and_exchanged_programs_are_compiled_again(tmp_path):
    entries = _run(tmp_path)
    assert len(entries) >= 6
    assert all(map(_sound, entries))
    before = {entry: (entry.read_bytes(), entry.stat().st_mtime_ns) for entry in entries}
    half, flipped, one, two = entries[:4]
    half.write_bytes(before[half][0][:100])  # a run killed while it wrote has no sum either
    half.with_name(half.name.removesuffix("-cache") + "-sha256").unlink()
    flipped.write_bytes(bytes([*before[flipped][0][:-9], before[flipped][0][-9] ^ 1, *before[flipped][0][-8:]]))
    one.write_bytes(before[two][0])  # whole programs under each other's names, which JAX loads and dies of
    two.write_bytes(before[one][0])
    assert not any(map(_sound, entries[1:4]))
    assert _run(tmp_path) == entries
    assert all(map(_sound, entries))
    for entry in entries[4:]:  # what was sound was loaded
        assert entry.stat().st_mtime_ns == before[entry][1]


def test_a_folder_that_the_user_gave_jax_is_used(tmp_path):
    (tmp_path / "theirs").mkdir()
    assert _run(tmp_path / "ours", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "theirs")) == []
    kept = list((tmp_path / "theirs").glob("*-cache"))
    assert len(kept) >= 4
    for entry in kept:  # another program's entries have no sums, and stay
        entry.with_name(entry.name.removesuffix("-cache") + "-sha256").unlink()
    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[: len(whole) // 2])  # another program's run was killed
    _run(tmp_path / "ours", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "theirs"))
    mended = kept[0].with_name(kept[0].name.removesuffix("-cache") + "-sha256")
    assert sorted((tmp_path / "theirs").iterdir()) == sorted([*kept, mended])
    assert _sound(kept[0])


@pytest.fixture
def kept(monkeypatch):
    """Puts JAX's folder back; this process has opened it already, so that what is set here moves nothing."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    monkeypatch.setattr(caches, "_OURS", set(caches._OURS))
    yield lambda: jax.config.values["jax_compilation_cache_dir"]
    for name, value in before.items():
        jax.config.update(name, value)


def test_choices(kept, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ILBENCH_CACHE", str(tmp_path / "root"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    ours = str(caches.programs())
    assert ours.startswith(str(tmp_path / "root"))
    for choice, folder in (
        ("auto", ours),
        ("off", None),
        ("auto", ours),
        (str(tmp_path / "x"), str(tmp_path / "x")),
        ("~/y", str(tmp_path / "y")),
        ("auto", str(tmp_path / "y")),  # what was given stays
    ):
        caches.use(choice)
        assert kept() == folder
    assert not capsys.readouterr().err
    caches.use("/dev/null/x")
    assert kept() is None
    assert capsys.readouterr().err.count("every process compiles anew") == 1


def _homeless(*args, **kwargs):
    raise RuntimeError("could not determine the home directory")


def test_without_a_home_a_temporary_folder_of_our_own_serves(kept, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("ILBENCH_CACHE", raising=False)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", _homeless)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    caches.use("auto")
    folder = caches.root()
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert pathlib.Path(kept()).is_relative_to(folder)
    assert "set ILBENCH_CACHE" in capsys.readouterr().err
    folder.chmod(0o777)  # whoever can write there can have programs run
    assert caches.root() is None
    caches.use("auto")
    assert kept() is None
    assert "every process compiles anew" in capsys.readouterr().err
