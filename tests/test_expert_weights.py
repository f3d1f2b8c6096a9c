"""Expert weights: what is not exactly as expected is refused with what was found, and what ships is what it says."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import pickle
import struct

import numpy as np
import pytest
from safetensors.numpy import save as safetensors_save

from ilbench.experts import manifests, weights

TASK = "robot@1"
OBS, ACTION = 5, 2


def params(hidden=(8, 8), seed=0):
    import jax

    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: (0.1 * rng.normal(size=x.shape) + x).astype(np.float32), weights.zeros(OBS, ACTION, hidden)
    )


def raw(tensors=None, *, task=TASK, hidden="8,8", form=weights.FORMAT, **changes):
    named = weights._named(params()) | changes if tensors is None else tensors
    named = {name: leaf for name, leaf in named.items() if leaf is not None}
    return safetensors_save(named, metadata={"format": form, "task": task, "hidden": hidden})


def read(tmp_path, content):
    path = tmp_path / f"{TASK}.safetensors"
    path.write_bytes(content)
    return weights.read(path, TASK, obs_dim=OBS, action_dim=ACTION)


def test_round_trip_keeps_every_bit(tmp_path):
    path = tmp_path / f"{TASK}.safetensors"
    stated = weights.save(path, params(), TASK)
    back = weights.read(path, TASK, obs_dim=OBS, action_dim=ACTION)
    assert weights.digest(back) == stated == weights.digest(params())
    assert weights.digest(params(seed=1)) != stated
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no temporary file is left


class _Payload:
    def __reduce__(self):
        return (os.system, ("touch pickle-was-run",))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_in_disguise_is_refused_unread(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="pickles are never loaded"):
        read(tmp_path, pickle.dumps(_Payload(), protocol=protocol))
    assert not (tmp_path / "pickle-was-run").exists()


def test_damage_is_refused_wherever_it_is(tmp_path):
    good = raw()
    assert read(tmp_path, good)
    for cut in (0, 1, 7, 8, 9, 40, len(good) // 2, len(good) - 1):
        with pytest.raises(ValueError, match="refused expert weights"):
            read(tmp_path, good[:cut])
    for content in (b"{}" * 50, struct.pack("<Q", 10 << 30) + b"{" * 100, struct.pack("<Q", 4) + b"{{{{" + b"0" * 64):
        with pytest.raises(ValueError, match="refused expert weights"):
            read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: raw(task="robot@2"), "robot@2"),
        (lambda: raw(form="other"), "format 'other'"),
        (lambda: raw(hidden="8"), "extra tensor net.Dense_2"),
        (lambda: raw(hidden="9999,8"), "widths of 1 to 512"),
        (lambda: raw(hidden="8,8,8,8,8"), "at most 4"),
        (lambda: raw(hidden="../8"), "hidden layers"),
        (lambda: raw(**{"net.Dense_0.bias": None}), "no tensor net.Dense_0.bias"),
        (lambda: raw(surprise=np.zeros(3, np.float32)), "extra tensor surprise"),
        (lambda: raw(**{"norm.mean": np.zeros(OBS + 1, np.float32)}), r"norm.mean of shape \(6,\), expected \(5,\)"),
        (lambda: raw(**{"norm.mean": np.zeros(OBS, np.float64)}), "norm.mean of dtype float64, expected float32"),
        (lambda: raw(**{"norm.mean": np.full(OBS, np.nan, np.float32)}), "5 non-finite values in norm.mean"),
        (lambda: raw(**{"norm.std": np.zeros(OBS, np.float32)}), "positive standard deviations"),
    ],
)
def test_wrong_content_is_refused_with_what_was_found(tmp_path, content, said):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, content())


@pytest.mark.parametrize("task", ["hopper@1", "inverted_pendulum@1"])
def test_no_flipped_byte_is_accepted(tmp_path, monkeypatch, task):
    """Neither in the header, whose every byte is tried, nor in the tensors, nor in the digest that is stated."""
    monkeypatch.delenv(manifests.FOLDER_VARIABLE, raising=False)
    content = manifests.find(task).read_bytes()
    stated = manifests.find(task).with_suffix(".json").read_bytes()
    monkeypatch.setenv(manifests.FOLDER_VARIABLE, str(tmp_path))
    (obs, action), path, g = BARS[task][0], tmp_path / f"{task}.safetensors", np.random.default_rng(0)
    header = 8 + int.from_bytes(content[:8], "little")
    body = g.integers(header, len(content), 300)
    path.with_suffix(".json").write_bytes(stated)
    for place in (*range(header), *body):
        flipped = bytearray(content)
        flipped[place] ^= g.integers(1, 256)
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="refused expert weights"):
            weights.load(task, obs_dim=obs, action_dim=action)
    path.write_bytes(content)
    assert weights.load(task, obs_dim=obs, action_dim=action)
    digest = stated.index(b'"digest"') + 11
    for place in range(digest, digest + 64):
        flipped = bytearray(stated)
        flipped[place] = b"01"[flipped[place] == 48]
        path.with_suffix(".json").write_bytes(flipped)
        with pytest.raises(ValueError, match=r"refused expert weights.*expert train"):
            weights.load(task, obs_dim=obs, action_dim=action)
    for content in (b"[]", b"{", b"\xff", b" " * (manifests.MAX_MANIFEST + 1)):
        path.with_suffix(".json").write_bytes(content)
        with pytest.raises(ValueError, match="refused expert weights"):
            weights.load(task, obs_dim=obs, action_dim=action)
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match="no manifest"):
        weights.load(task, obs_dim=obs, action_dim=action)


def test_a_file_above_the_cap_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / f"{TASK}.safetensors"
    with path.open("wb") as stream:
        stream.truncate(weights.MAX_BYTES + 1)
    with pytest.raises(ValueError, match=f"at most {weights.MAX_BYTES}"):
        weights.read(path, TASK, obs_dim=OBS, action_dim=ACTION)


def test_weights_for_another_robot_are_refused(tmp_path):
    path = tmp_path / f"{TASK}.safetensors"
    weights.save(path, params(), TASK)
    with pytest.raises(ValueError, match=r"of shape \(5, 8\), expected \(6, 8\)"):
        weights.read(path, TASK, obs_dim=OBS + 1, action_dim=ACTION)


def test_saving_refuses_what_loading_would(tmp_path):
    bad = params()
    bad["norm"]["mean"][0] = np.inf
    with pytest.raises(ValueError, match="non-finite"):
        weights.save(tmp_path / "x.safetensors", bad, TASK)
    with pytest.raises(ValueError, match="not a task with its version"):
        weights.save(tmp_path / "x.safetensors", params(), "../robot@1")
    assert not list(tmp_path.iterdir())


def test_folders_are_searched_in_the_stated_order(tmp_path, monkeypatch):
    shipped, mine = tmp_path / "shipped", tmp_path / "mine"
    monkeypatch.setattr(manifests, "SHIPPED", shipped)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "user"))
    monkeypatch.delenv(manifests.FOLDER_VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=r"expert_missing.*ilbench expert train robot"):
        manifests.find(TASK)
    for folder in (tmp_path / "user" / "experts", shipped, mine):
        weights.save(folder / f"{TASK}.safetensors", params(), TASK)
    assert manifests.find(TASK).parent == shipped
    monkeypatch.setenv(manifests.FOLDER_VARIABLE, str(mine))
    assert manifests.find(TASK).parent == mine
    with pytest.raises(FileNotFoundError, match=r"There is robot@1, but weights are valid for one version"):
        manifests.find("robot@2")


# ------------------------------------------------------------------------------------------- what ships
# (obs, action), least return (its lower limit), fraction that survives, largest mean change of the action from step to step
BARS = {
    "ant@1": ((27, 8), 7000, 0.95, 0.8),
    "halfcheetah@1": ((17, 6), 6000, 1.0, 0.8),
    "hopper@1": ((11, 3), 1500, 0.95, 0.25),
    "humanoid@1": ((244, 17), 7000, 0.95, 0.4),
    "humanoidstandup@1": ((244, 17), 40000, 1.0, 0.25),
    "inverted_double_pendulum@1": ((8, 1), 9300, 0.95, 0.25),
    "inverted_pendulum@1": ((4, 1), 1000, 1.0, 0.25),
    "pusher@1": ((23, 7), -35, 1.0, 0.25),
    "reacher@1": ((11, 2), -16, 1.0, 0.25),
    "swimmer@1": ((8, 2), 120, 1.0, 0.25),
    "walker2d@1": ((17, 6), 2450, 0.94, 0.4),  # 243 of the report's 256 episodes survive, .949
}
SHIPPED = sorted(path.stem for path in manifests.SHIPPED.glob("*.safetensors"))


def test_what_ships_is_what_is_listed_and_nothing_else_lies_there():
    from ilbench import registry

    listed = [f"{e.id}@{e.version}" for e in registry.entries("tasks").values() if "brax" in e.tags]
    assert sorted(BARS) == SHIPPED == sorted(listed)
    assert {path.suffix for path in manifests.SHIPPED.iterdir()} == {".safetensors", ".json"}
    assert sum(path.stat().st_size for path in manifests.SHIPPED.iterdir()) < 500_000


@pytest.mark.parametrize("task", SHIPPED)
def test_shipped_weights_are_those_of_their_manifest(task, monkeypatch):
    monkeypatch.delenv(manifests.FOLDER_VARIABLE, raising=False)
    stated = manifests.manifest(task)
    (obs, action), least, survive, change = BARS[task]
    assert weights.digest(weights.load(task, obs_dim=obs, action_dim=action)) == stated["digest"]
    assert stated["task"] == task
    report = stated["report"]
    assert report["return"]["ci"][0] >= least
    assert report["survived"] >= survive
    assert report["mean_action_change"] < change
    assert {tuple(who) for who in stated["references_by_horizon"].values()} == {("random", "expert")}
    for reference in stated["references"].values():
        assert reference["ci"][0] <= reference["mean"] <= reference["ci"][1]
        assert reference["n"] == 1024
    assert stated["references"]["expert"]["ci"][0] > stated["references"]["random"]["ci"][1]


def test_the_reacher_reaches():
    assert manifests.manifest("reacher@1")["report"]["final_distance"]["ci"][1] < 0.02


@pytest.mark.parametrize("task", SHIPPED)
def test_manifests_hold_no_trace_of_where_they_were_made(task):
    content = (manifests.SHIPPED / f"{task}.json").read_text(encoding="utf-8")
    json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    for trace in (str(pathlib.Path.home()), os.uname().nodename, "/tmp", "/work"):
        assert trace not in content or len(trace) < 4
    assert math.isfinite(json.loads(content)["seconds"])


def test_references_belong_to_one_expert_horizon_and_reward(monkeypatch):
    from ilbench.types import Box, Env, Task

    monkeypatch.delenv(manifests.FOLDER_VARIABLE, raising=False)
    expert = weights.policy(weights.load("inverted_pendulum@1", obs_dim=4, action_dim=1))
    env = Env((), None, None, Box(4), Box(1, -1.0, 1.0))
    task = Task("inverted_pendulum", 1, env, expert, 1000)
    assert weights.references(task) == manifests.manifest(task.name)["references"]
    assert weights.references(dataclasses.replace(task, horizon=100))["expert"]["mean"] <= 100
    assert weights.references(dataclasses.replace(task, horizon=123)) is None
    assert weights.references(dataclasses.replace(task, version=2)) is None
    assert weights.references(dataclasses.replace(task, expert=weights.policy(weights.zeros(4, 1)))) is None
    assert weights.references(dataclasses.replace(task, env=dataclasses.replace(env, absorbing_reward=-1.0))) is None
