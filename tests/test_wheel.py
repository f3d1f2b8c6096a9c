"""The built wheel works away from the checkout, beside somebody's own envs/."""

import pathlib
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
CODE = """
import sys; sys.path.insert(0, sys.argv[1])
import envs
assert envs.MINE
import ilbench, ilbench.envs.cliff, ilbench.bench.smoke
assert ilbench.__file__.startswith(sys.argv[1]) and ilbench.envs.cliff.__file__.startswith(sys.argv[1])
assert "jax" in sys.modules
ilbench.setup(1, "off")
from ilbench.records import places
print(ilbench.run("smoke", tasks="cliff", out="here", quiet=True).done, *places.suites(places.shipped()))
"""


def _python(*words, cwd):
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_wheel_runs_elsewhere(tmp_path):
    _python("-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT), cwd=tmp_path)
    wheel = zipfile.ZipFile(next((tmp_path / "dist").glob("*.whl")))
    shipped = {name.removeprefix("ilbench/") for name in wheel.namelist() if name.startswith("ilbench/results/")}
    there = (file.relative_to(ROOT) for file in (ROOT / "results").rglob("*") if file.is_file())
    assert shipped == {file.as_posix() for file in there if not {"records", "attempts"} & set(file.parts)}
    assert "results/theory@1/CHECKS.md" in shipped
    wheel.extractall(tmp_path / "site")
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("MINE = True\n")
    packed = sorted(file.parent.name for file in (ROOT / "results").glob("*/*.jsonl.gz"))  # read away from here
    assert _python("-c", CODE, str(tmp_path / "site"), cwd=tmp_path).splitlines()[-1].split() == ["2", *packed]


def test_importing_ilbench_imports_no_jax(tmp_path):
    code = "import sys, ilbench, ilbench.cli, ilbench.registry as r; r.entries('tasks'); print('jax' in sys.modules)"
    assert _python("-c", code, cwd=tmp_path).strip() == "False"
