"""Ctrl-C and kill lose at most the block in flight: what was committed is sound, and the same command goes on."""

import json
import signal
import subprocess
import sys
import time

import pytest

from ilbench import store

# Blocks of a second or more, so that the signal lands in the middle of one.
COMMAND = [sys.executable, "-m", "ilbench", "run", "quick", "--tasks", "pendulum", "--seeds", "0-2", "--json", "--out"]


def _records(folder):
    return list(folder.rglob("*.json"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_an_interrupted_run_goes_on(how, tmp_path):
    running = subprocess.Popen(
        [*COMMAND, str(tmp_path)],
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
        _, err = running.communicate(timeout=60)
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
