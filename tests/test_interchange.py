"""Demonstrations out and in: against closed forms, bit for bit through four layouts, and by other programs' readers."""

import json
import sys

import jax
import numpy as np
import pytest
from plugins import stochastic
from toys import counter, expert_of_counter

from ilbench import cli, plugins, registry
from ilbench.evaluation import references
from ilbench.records.demonstrations import padded
from ilbench.records.interchange import flat, formats
from ilbench.records.interchange.episodes import FORMAT, Episodes, digest
from ilbench.running import demonstrated
from ilbench.running.plan import Block, cells, resolve
from ilbench.running.subject import subject
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.wrappers import recorded

N, H = 12, 5  # the toy's episodes have 4, 5 or 6 steps: some end before the horizon, some just at it, some go on
KINDS = ("safetensors", "npz", "hdf5", "minari")
TOY = counter(H)


def toys():
    """Demonstrations of the toy."""
    return demonstrated.demonstrations(TOY, "mse", N, 3)


def writer(tmp_path):
    """Writes episodes in a layout; returns the path that is read."""

    def write(kind, episodes, task=TOY, name="demos"):
        if kind in ("hdf5", "minari"):
            pytest.importorskip("h5py")
        path = tmp_path / (name if kind == "minari" else f"{name}.{kind}")
        return formats.write(kind, path, episodes, recorded.what(task.env.obs), recorded.what(task.env.action))

    return write


shown, stored = pytest.fixture(scope="module")(toys), pytest.fixture(writer)


def same(a, b):
    """Whether episodes are each other's, bit for bit, types too."""
    for one, other in zip((*a[:6], *a.extra.values()), (*b[:6], *b.extra.values()), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        assert np.asarray(one).dtype == np.asarray(other).dtype
    return (list(a.extra), a.about) == (list(b.extra), b.about)


# ------------------------------------------------------------------------------------------- what is exported
def test_an_export_is_the_closed_form(shown):
    """Lengths, rewards, ends, and the observation that the last step led to, of a toy whose every number is known."""
    starts = shown.obs[shown.starts, 0]
    whole = 4 + np.floor(3 * starts).astype(int)
    assert shown.length.tolist() == np.minimum(whole, H).tolist()
    assert shown.terminated.tolist() == (whole <= H).tolist()
    assert set(whole) == {4, 5, 6}  # each case is there
    t = np.concatenate([np.arange(n) for n in shown.length])
    np.testing.assert_allclose(shown.action, expert_of_counter(t), rtol=0, atol=1e-6)
    np.testing.assert_allclose(shown.reward, 10.0 * (t + 1) + 0.1 + 0.01 * t, rtol=1e-6)
    last = np.cumsum(shown.length) - 1
    np.testing.assert_array_equal(
        shown.final_obs, np.stack([starts, shown.length, shown.action[last, 0]], 1).astype(np.float32)
    )
    assert shown.about | {"expert": ""} == {
        "format": FORMAT, "task": "counter@1", "horizon": "5", "seed": "3", "demonstrations": "12", "expert": "", "head": "mse",
        "ilbench": "0.1.0", "source": "ilbench",
    }  # fmt: skip


def lab(task, seeds):
    head = plugins.head("mse")
    return Lab(task, head.make(task.spec, head.Config()), seeds, 1000, FitConfig())


def test_it_is_what_a_lab_of_that_seed_shows(shown):
    demos = lab(TOY, (7, 3)).demonstrate(N)
    alive = demos.alive[1]
    np.testing.assert_array_equal(demos.obs[1][alive], shown.obs)
    np.testing.assert_array_equal(demos.label[1][alive], shown.action)


def test_what_else_was_told_goes_along(stored):
    """The law of an expert that draws: of its logits the softmax is known."""
    doors = stochastic.make("doors", 4)
    found = demonstrated.demonstrations(doors, "table", 3, 0, ("dist",))
    ((name, logits),) = found.extra.items()
    assert name.startswith("dist")
    np.testing.assert_allclose(np.exp(logits), stochastic.LAW[found.obs], rtol=1e-5)
    for kind in ("safetensors", "npz", "hdf5"):
        back = formats.read(stored(kind, found, doors))
        assert same(recorded.of_task("f", back, doors), found)
    with pytest.raises(ValueError, match="no --record"):
        stored("minari", found, doors)


# ------------------------------------------------------------------------------------------------ round trips
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["counter", "gridworld"])
def test_every_layout_gives_back_every_bit(shown, stored, kind, task):
    made, episodes = TOY, shown
    if task == "gridworld":  # discrete, and as long as the horizon
        made = registry.task("gridworld", 6)
        episodes = demonstrated.demonstrations(made, "table", 3, 0)
    path = stored(kind, episodes, made)
    back = recorded.of_task("f", formats.read(path), made)
    assert same(back, episodes)
    assert flat.content("safetensors", back) == flat.content("safetensors", episodes)
    assert digest(back) == digest(episodes)
    if kind != "minari":  # where there is a file already it is written again, the same
        before = path.read_bytes()
        assert stored(kind, back, made).read_bytes() == before


def test_numpy_alone_reads_npz(shown, stored):
    with np.load(stored("npz", shown)) as found:
        assert set(found) == {"obs", "action", "reward", "length", "final_obs", "terminated", "about"}
        np.testing.assert_array_equal(found["obs"], shown.obs)
        np.testing.assert_array_equal(found["reward"], shown.reward)
        assert json.loads(str(found["about"]))["seed"] == "3"


def test_hdf5_is_laid_out_as_robomimic_reads_it(shown, stored):
    h5py = pytest.importorskip("h5py")
    with h5py.File(stored("hdf5", shown)) as file:
        data = file["data"]
        assert data.attrs["total"] == len(shown.obs)
        assert json.loads(data.attrs["env_args"]) == {"env_name": "ilbench/counter@1", "type": 2, "env_kwargs": {}}
        train, valid = ([key.decode() for key in file[f"mask/{name}"]] for name in ("train", "valid"))
        assert (sorted(train + valid), len(valid)) == (sorted(data), 1)
        for i, (start, steps) in enumerate(zip(shown.starts, shown.length, strict=True)):
            demo, rows = data[f"demo_{i}"], slice(start, start + steps)
            assert demo.attrs["num_samples"] == steps
            np.testing.assert_array_equal(demo["obs/flat"], shown.obs[rows])
            np.testing.assert_array_equal(demo["next_obs/flat"], np.r_[shown.obs[rows][1:], shown.final_obs[i : i + 1]])
            np.testing.assert_array_equal(demo["actions"], shown.action[rows])
            np.testing.assert_array_equal(demo["rewards"], shown.reward[rows])
            assert demo["dones"][:].tolist() == [0] * (steps - 1) + [1]


def test_minari_itself_opens_the_dataset(shown, stored, tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    path = stored("minari", shown)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "demos"))
    found = minari.load_dataset("ilbench/counter/expert-v1")
    assert (found.total_episodes, found.total_steps) == (N, len(shown.obs))
    assert "ilbench/counter/expert-v1" in minari.list_local_datasets()
    assert (found.action_space.low.min(), found.action_space.high.max(), found.observation_space.shape) == (
        -10,
        10,
        (3,),
    )
    for i, episode in enumerate(minari.MinariDataset(str(path / "data")).iterate_episodes()):
        rows = slice(shown.starts[i], shown.starts[i] + shown.length[i])
        np.testing.assert_array_equal(episode.observations, np.r_[shown.obs[rows], shown.final_obs[i : i + 1]])
        np.testing.assert_array_equal(episode.actions, shown.action[rows])
        np.testing.assert_array_equal(episode.rewards, shown.reward[rows])
        assert (episode.terminations[-1], episode.truncations[-1]) == (shown.terminated[i], not shown.terminated[i])
        assert not episode.terminations[:-1].any()


# ---------------------------------------------------------------------------------------- files of other programs
def test_a_dataset_that_minari_wrote_is_read(tmp_path, monkeypatch):
    minari, gym = pytest.importorskip("minari"), pytest.importorskip("gymnasium")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    seen = {"a": np.arange(8.0).reshape(4, 2), "b": np.arange(4.0).reshape(4, 1)}
    buffer = minari.data_collector.EpisodeBuffer(
        observations=seen,
        actions=np.zeros((3, 2)),
        rewards=[1.0, 2.0, 3.0],
        terminations=[False, False, True],
        truncations=[False] * 3,
    )
    spaces = {key: gym.spaces.Box(-9.0, 9.0, (n,), np.float64) for key, n in (("a", 2), ("b", 1))}
    minari.create_dataset_from_buffers(
        "toy/test-v0",
        [buffer],
        observation_space=gym.spaces.Dict(spaces),
        action_space=gym.spaces.Box(-1, 1, (2,)),
        data_format="hdf5",
    )
    path = tmp_path / "toy" / "test-v0"
    found = formats.read(path, ("b", "a"))
    np.testing.assert_array_equal(found.obs, np.c_[seen["b"], seen["a"]][:3])
    np.testing.assert_array_equal(found.final_obs, [[3, 6, 7]])
    assert (found.reward.tolist(), found.length.tolist(), found.terminated.tolist()) == ([1, 2, 3], [3], [True])
    assert found.about == {"source": "Minari", "env": "toy/test-v0"}
    with pytest.raises(ValueError, match="2 observations; choose with --keys, in the order of the task's: a, b"):
        formats.read(path)


@pytest.mark.parametrize("kind", ["npz", "hdf5"])
def test_d4rl_is_read(tmp_path, kind):
    arrays = {
        "observations": np.arange(10.0).reshape(5, 2), "actions": np.zeros((5, 1)), "rewards": np.arange(5.0),
        "terminals": np.array([0, 1, 0, 0, 0], bool), "timeouts": np.array([0, 0, 0, 1, 0], bool),
        "next_observations": np.arange(10.0, 20.0).reshape(5, 2),
    }  # fmt: skip
    path = tmp_path / f"demos.{kind}"
    if kind == "npz":
        np.savez_compressed(path, **arrays)
    else:
        with pytest.importorskip("h5py").File(path, "w") as file:
            for name, array in arrays.items():
                file.create_dataset(name, data=array, compression="gzip")
    found = formats.read(path)
    assert (found.length.tolist(), found.terminated.tolist(), found.about) == (
        [2, 2, 1],
        [True, False, False],
        {"source": "D4RL"},
    )
    np.testing.assert_array_equal(found.final_obs, arrays["next_observations"][[1, 3, 4]])


def robomimic(path, change=lambda file, h5py: None):
    """A file as robomimic has them: several observations, demonstrations in no order, no word of ours."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for i in (10, 2):
            demo = file.create_group(f"data/demo_{i}")
            demo.create_dataset("obs/pos", data=np.full((3, 2), i, np.float64))
            demo.create_dataset("obs/vel", data=np.arange(3.0)[:, None])
            demo.create_dataset("actions", data=np.zeros((3, 2)))
            demo.attrs["num_samples"] = 3
        file["data"].attrs["total"] = 6
        file["data"].attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {}})
        change(file, h5py)
    return path


def test_robomimic_is_read(tmp_path):
    found = formats.read(robomimic(tmp_path / "low_dim.hdf5"), ("vel", "pos"))
    np.testing.assert_array_equal(found.obs, [[0, 2, 2], [1, 2, 2], [2, 2, 2], [0, 10, 10], [1, 10, 10], [2, 10, 10]])
    assert (found.reward, found.final_obs, found.terminated, found.length.tolist()) == (None, None, None, [3, 3])
    assert found.about == {"source": "robomimic", "env": "Lift"}
    fit = recorded.of_task("f", found, TOY)
    assert (fit.obs.dtype, fit.action.dtype) == (np.float32, np.float32)


# --------------------------------------------------------------------------------------------- learning from them
def test_recorded_demonstrations_are_those_of_the_lab(shown, stored):
    """Each seed has them in an order of its own; sorted by their starts they are the lab's, what follows the end too."""
    task = recorded.recorded(TOY, stored("safetensors", shown))
    assert task.demonstrator == digest(shown)
    live = lab(TOY, (3,)).demonstrate(N, record=("reward", "final_alive"))
    read = lab(task, (3,)).demonstrate(N)
    until = lab(task, (3,)).demonstrate()  # more labels than there are, and N no multiple of the lanes
    assert (int(np.asarray(until.revealed).sum()), until.alive.shape) == (len(shown.obs), (1, N, H))
    a, b = (np.argsort(demos.obs[0, :, 0, 0]) for demos in (live, read))
    for name in ("obs", "final_obs", "alive", "final_alive", "reward", "revealed", "label"):
        np.testing.assert_array_equal(
            np.asarray(getattr(live, name))[0][a], np.asarray(getattr(read, name))[0][b], err_msg=name
        )
    expert = references.references(task, 2)["expert"]  # all of H, what comes after an end too
    assert (expert["n"], expert["mean"]) == (
        N,
        pytest.approx(np.asarray(live.reward, np.float64)[0].sum(-1).mean(), rel=1e-12),
    )


def test_who_was_cut_off_early_is_not_alive_at_the_horizon():
    found = padded(
        Episodes(np.zeros((9, 3)), np.zeros((9, 2)), np.array([2, 2, 5]), terminated=np.array([False, True, False])), H
    )
    assert recorded.demos_of(found).final_alive.tolist() == [[False, False, True]]


def test_a_policy_learnt_from_a_file_is_the_one_learnt_from_the_expert(stored):
    """Counts in a table know no order; the judge is the task's own expert, and the cell says the file's digest."""
    task = registry.task("gridworld", 20)
    path = stored("safetensors", demonstrated.demonstrations(task, "table", 6, 0), task)
    live, read = (subject("gridworld", "bc:6", horizon=20, demos=demos) for demos in (None, str(path)))
    jax.tree.map(np.testing.assert_array_equal, live.policy.params, read.policy.params)
    assert read.task is task
    assert any("6 episodes of 120 steps" in line for line in read.told)
    plain = Block("gridworld", "bc", "table", 120, 20, (0,))
    ids = [
        cells(resolve(Block(**(vars(plain) | {"config": config}))))[0]
        for config in ({}, {"task.demonstrations": str(path)})
    ]
    assert ids[1].expert == digest(formats.read(path)) != ids[0].expert
    assert ids[0].model_copy(update={"expert": ids[1].expert}) == ids[1]  # and nothing else: no path stands in a record
    for text, said in (
        ("bc:7", "holds 6 demonstrations, and 7"),
        ("dagger:6", "needs expert"),
        ("expert", "ALGORITHM:EPISODES"),
    ):
        with pytest.raises(ValueError, match=said):
            subject("gridworld", text, horizon=20, demos=str(path))
    with pytest.raises(ValueError, match="demonstrations of gridworld@1, not of cliff@1"):
        subject("cliff", "bc:6", horizon=20, demos=str(path))


# ---------------------------------------------------------------------------------------------- the command
def command(*words):
    return cli._parsed(["data", *words]).execute()


def test_export_import_show(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        command("export", "gridworld", "--horizon", "20", "--demos", "6", "--format", "npz", "-o", "g.npz", "--json")
        == 0
    )
    exported = json.loads(capsys.readouterr().out)
    assert command("import", "g.npz", "-o", "mine.safetensors", "--json") == 0
    imported = json.loads(capsys.readouterr().out)
    assert (exported.pop("wrote"), imported.pop("wrote")) == ("g.npz", "mine.safetensors")
    assert command("show", "mine.safetensors", "--json") == 0
    assert json.loads(capsys.readouterr().out) == exported == imported
    task = registry.task("gridworld", 20)
    (tmp_path / "again.safetensors").write_bytes(
        flat.content("safetensors", demonstrated.demonstrations(task, "table", 6, 0))
    )
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "mine.safetensors").read_bytes()
    assert command("show", "mine.safetensors") == 0
    assert "6 of 20 ... 20 steps, 120 in all" in capsys.readouterr().out


def test_actions_of_others_beyond_the_bounds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("p.npz", obs=np.zeros((4, 3)), action=np.array([[0.5], [-1], [40], [-40]]), length=[4])
    words = ("import", "p.npz", "--task", "pendulum", "-o", "p.safetensors")
    with pytest.raises(ValueError, match=r"2 of 4 actions are beyond .* the first is row 2: scale them .* --clip"):
        command(*words)
    assert not (tmp_path / "p.safetensors").exists()
    assert command(*words, "--clip") == 0
    limit = registry.task("pendulum").env.action.high
    assert formats.read(tmp_path / "p.safetensors").action.tolist() == [[0.5], [-1], [limit], [-limit]]
    assert "clipped" in capsys.readouterr().err


REFUSED = {
    ("export", "gridworld"): "-o gridworld.safetensors",
    ("export", "gridwrld", "-o", "f.safetensors"): "gridworld",
    ("export", "gridworld", "-o", "f.h5"): "does not end in .safetensors",
    ("export", "gridworld", "-o", "none/f.safetensors"): "there is no folder",
    ("export", "gridworld", "-o", "f.npz", "--format", "npz", "--record", "dist"): "draws from no law",
    ("export", "gridworld", "-o", "f.npz", "--format", "npz", "--record", "view"): "Did you mean views",
    (
        "export",
        "gridworld",
        "-o",
        "f.npz",
        "--format",
        "npz",
        "--head",
        "mse",
    ): "mse cannot run on gridworld@1|continuous actions",
    ("export", "gridworld", "-o", "f.npz", "--format", "npz", "--seed", "-1"): "seeds must lie",
    ("import", "none.npz"): "no file",
    ("import", "f.csv"): "read are .safetensors",
    ("import", "bare.npz", "--keys", "a"): "one array of observations",
    ("import", "."): "no Minari dataset",
    ("import", "bare.npz"): "give --task NAME",
    ("import", "bare.npz", "--task", "cliff", "--horizon", "2"): "episode 0 has 3 steps and the task's horizon is 2",
}


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: " ".join(words))
def test_refusals_come_before_any_compute(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Lab, "demonstrate", lambda *a, **k: pytest.fail("computed"))
    np.savez("bare.npz", obs=np.zeros(3, int), action=np.zeros(3, int), length=[3])
    (tmp_path / "f.csv").touch()
    with pytest.raises(ValueError, match=REFUSED[words]):
        command(*words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.npz", "f.csv"]


@pytest.mark.parametrize("kind", ["hdf5", "minari"])
def test_without_h5py_it_is_said_what_to_install(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setattr(Lab, "demonstrate", lambda *a, **k: pytest.fail("computed"))
    with pytest.raises(ValueError, match=r"take h5py, which is not installed: pip install 'ilbench\[data\]'"):
        command("export", "gridworld", "--format", kind, "-o", str(tmp_path / "demos.hdf5"))
    (tmp_path / "some.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match="h5py"):
        formats.read(tmp_path / "some.hdf5")
