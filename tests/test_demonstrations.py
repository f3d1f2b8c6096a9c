"""Demonstrations from a file: three ways to say where episodes end, two formats, and everything that is refused, by name and row."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from ilbench.records.demonstrations import read

OBS, ACTION = ((2,), None, "float32"), ((), 3, "int32")
LENGTHS = np.array([3, 1, 4])
SOUND = {
    "obs": np.arange(16, dtype=np.float64).reshape(8, 2),
    "action": np.array([0, 1, 2, 0, 1, 2, 0, 1]),
    "reward": np.arange(8.0),
    "length": LENGTHS,
}
ENDS = {
    "length": LENGTHS,
    "episode": np.repeat([7, 2, 5], LENGTHS),
    "done": np.array([0, 0, 1, 1, 0, 0, 0, 1], bool),
    "done, the last one left out": np.array([0, 0, 1, 1, 0, 0, 0, 0], bool),
}


def saved(folder, **changes):
    arrays = {k: v for k, v in (SOUND | changes).items() if v is not None}
    np.savez(folder / "demos.npz", **arrays)
    return folder / "demos.npz"


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_episodes_are_cut_where_the_file_says(tmp_path, ends, kind):
    arrays = {k: v for k, v in SOUND.items() if k != "length"} | {ends.split(",")[0]: ENDS[ends]}
    file = tmp_path / f"demos.{kind}"
    np.savez(file, **arrays) if kind == "npz" else save_file(arrays, file)
    found = read(file, OBS, ACTION, horizon=5)
    assert found.alive.sum(1).tolist() == LENGTHS.tolist()
    for n, (start, count) in enumerate(zip((0, 3, 4), LENGTHS, strict=True)):
        np.testing.assert_array_equal(found.obs[n, :count], SOUND["obs"][start : start + count])
        np.testing.assert_array_equal(found.action[n, :count], SOUND["action"][start : start + count])
        np.testing.assert_array_equal(found.reward[n], np.r_[SOUND["reward"][start : start + count], np.zeros(5 - count)])
    assert (found.obs.dtype, found.action.dtype) == (np.float32, np.int32)


def test_the_digest_is_of_what_is_in_it(tmp_path):
    one = read(saved(tmp_path), OBS, ACTION, 5).digest
    same = read(saved(tmp_path, obs=SOUND["obs"].astype(np.float32), length=None, episode=ENDS["episode"]), OBS, ACTION, 9).digest
    assert one == same
    others = [{"action": SOUND["action"][::-1]}, {"reward": None}, {"length": np.array([4, 1, 3])}]
    assert len({one, *(read(saved(tmp_path, **c), OBS, ACTION, 5).digest for c in others)}) == 4


def changed(name, row, value):
    array = SOUND[name].copy()
    array[row] = value
    return {name: array}


BAD = {
    "not finite in 1 rows, the first is row 5": changed("obs", (5, 1), np.nan),
    "reward is not finite": changed("reward", 2, np.inf),
    "action of row 6 is 3; allowed are 0 ... 2": changed("action", 6, 3),
    r"rows of shape \[3\]; the task's have \[2\]": {"obs": np.zeros((8, 3))},
    "obs has 8 rows and action 7": {"action": SOUND["action"][1:]},
    "says nowhere where episodes end": {"length": None},
    "length says 7 rows in 2 episodes, there are 8": {"length": np.array([3, 4])},
    "episode 0 goes on after row|goes on after row 3": {"length": None, "episode": np.array([0, 0, 0, 1, 0, 0, 2, 2])},
    "has no 'action'": {"action": None},
    "episode 2 has 4 steps and the task's horizon is 3": {},
    "pickle": {"obs": np.array([{}] * 8, dtype=object)},
    "must be numbers": {"action": np.array(list("abcdefgh"))},
}


@pytest.mark.parametrize("said", BAD)
def test_what_is_wrong_is_said_by_name_and_row(tmp_path, said):
    with pytest.raises(ValueError, match=said):
        read(saved(tmp_path, **BAD[said]), OBS, ACTION, horizon=3 if "horizon" in said else 5)


@pytest.mark.parametrize(("name", "said"), [("none.npz", "no file"), ("demos.csv", "npz or .safetensors"), ("text.npz", "no .npz|pickle")])
def test_what_is_no_such_file_is_refused(tmp_path, name, said):
    if name != "none.npz":
        (tmp_path / name).write_text("obs,action\n1,2\n")
    with pytest.raises(ValueError, match=said):
        read(tmp_path / name, OBS, ACTION, 5)
