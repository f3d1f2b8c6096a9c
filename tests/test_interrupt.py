"""Ctrl-C and kill lose at most the blocks in flight: what was committed is sound, and the same command goes on."""

import contextlib
import json
import signal
import subprocess
import sys
import time

import pytest

from ilbench.records import store
from ilbench.running import interrupt
from ilbench.running.progress import reporter

# Blocks of about a second, so that the signal lands in the middle of one.
RUN = ["run", "quick", "--tasks", "pendulum", "--seeds", "0-2", "--set", "fit.updates=5000", "--json", "--out"]
COMMAND = [sys.executable, "-m", "ilbench", *RUN]


def _records(folder):
    return list(folder.rglob("*.json"))


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_an_interrupted_run_goes_on(how, workers, tmp_path):
    running = subprocess.Popen(
        [*COMMAND, str(tmp_path), "--workers", workers],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a background job of a shell
    )
    try:
        deadline = time.monotonic() + 300
        while running.poll() is None and not _records(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        running.send_signal(how)
        _, err = running.communicate(timeout=60)  # workers have the same stderr: it ends when the last of them is gone
    finally:
        running.kill()
    assert running.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), err
    assert "Traceback" not in err
    (suite,) = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    records, problems = store.read_all(tmp_path, suite)
    assert records
    assert not problems
    again = subprocess.run([*COMMAND, str(tmp_path)], capture_output=True, text=True, check=True)
    told = json.loads(again.stdout)
    assert told["cached"] >= len(records)
    assert told["done"] + told["cached"] == told["cells"] == len(store.read_all(tmp_path, suite)[0])
    assert not told["failed"]


# Where the signal lands in a command's process, and what else goes wrong there: exit 130 and one line, once.
MOMENTS = {
    "while modules load": "import ilbench.running.interrupt as i; i.early(); press(); press()",
    "in a command": "during(press)",
    "twice": "def f():\n try: press()\n finally: press()\nduring(f)",
    "where it becomes another error": "def f():\n try: press()\n except BaseException: raise ValueError('odd')\nduring(f)",
    "while source is executed": "during(lambda: exec('press()', globals()))",
    "where nothing can be raised": "class D:\n def __del__(self): press()\ndef f(): D(); raise KeyError\nduring(f)",
    "at the end": "import atexit; atexit.register(press); during(press)",
}
COMMAND_LINE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
def press(): signal.raise_signal(signal.SIGINT)
def during(f):
    sys.argv = ["ilbench", "list", "tasks"]
    from ilbench.commands.list import List
    from ilbench.__main__ import main
    List.execute = lambda self: f()
    main()
"""


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_is_one_line(moment):
    done = subprocess.run([sys.executable, "-c", COMMAND_LINE + MOMENTS[moment]], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert done.stderr in (f"{interrupt.LINE}\n", "") if moment == "twice" else done.stderr == f"{interrupt.LINE}\n"


def test_ctrl_c_after_the_last_output_changes_nothing():
    code = "import atexit; atexit.register(press); during(lambda: print('done') or 0)"
    done = subprocess.run([sys.executable, "-c", COMMAND_LINE + code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.fixture
def python_listens():
    """Ctrl-C as Python has it: a shell starts what runs in its background with the signal ignored, and the reporter leaves that alone."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_listens")
@pytest.mark.parametrize("quiet", [False, True])
def test_an_interrupt_that_was_swallowed_is_raised_between_units(quiet):
    with reporter(2, quiet) as (_, show):
        show("the first unit")
        with contextlib.suppress(KeyboardInterrupt):  # as pydantic's serializer does with an error of a callback
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            show("the second unit")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_caller_is_left_alone():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with reporter(1, quiet=True) as (_, show):
            signal.raise_signal(signal.SIGINT)
            show("the unit")
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
