"""What `ilbench render` writes: a page that asks for nothing, where the learner leaves the expert, a GIF in real time."""

import dataclasses
import json
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ilbench import cli, registry
from ilbench.compute import parallel
from ilbench.evaluation import evidence, references
from ilbench.render import camera, episode, geometry, gif, html, show
from ilbench.types import Policy


def _act(params, key, t, memory, obs):
    memory, action = params["expert"].act(params["expert"].params, key, t, memory, obs)
    return memory, action + params["bias"] * (t >= params["since"]).astype(action.dtype)


def _drifting(task, bias, since):
    """The expert until a step, and off by `bias` from it on: its first mistake is known."""
    params = {"expert": task.expert, "bias": np.asarray(bias, np.float32), "since": np.int32(since)}
    return Policy(params, lambda params, key: task.expert.init(task.expert.params, key), _act)


def _film(name, policy_of, horizon):
    task = registry.task(name, horizon)
    scene = geometry.scene(task)
    played = episode.play(task, policy_of(task), scene.pose, seed=3, number=2)
    return task, played, show.film(task, scene, played, "<made> up @DATA@")


def _leaves(policy):
    return dataclasses.replace(policy, params=jax.tree.map(lambda x: np.asarray(x)[None, None], policy.params))


@pytest.mark.parametrize("name", ["cartpole", "pendulum", pytest.param("inverted_pendulum", marks=pytest.mark.slow)])
def test_what_is_seen_is_what_the_rollout_scores(name):
    task, played, film = _film(name, lambda t: references.random_policy(t.env.action), 30)
    scored = evidence.roll(task, _leaves(references.random_policy(task.env.action)), (3,), 3, beta=0.0)
    np.testing.assert_allclose(played.error[1], scored.error[0, 2], atol=1e-4)
    np.testing.assert_array_equal(played.alive[1, :-1], scored.alive[0, 2])
    wrong = evidence.mistakes(scored.error[0, 2], scored.alive[0, 2], task.deltas[0])
    assert film.mistake == wrong.argmax()
    assert wrong.any()
    first = [jax.tree.leaves(side)[0][0] for side in (film.pos[0], film.pos[1])]
    np.testing.assert_array_equal(*first)
    assert played.error[0].max() == 0
    after = film.fallen[1]
    if after is not None:
        assert (film.pos[1, after:] == film.pos[1, after]).all()


def test_a_known_first_mistake_is_marked_in_seconds():
    _, _, film = _film("pendulum", lambda t: _drifting(t, 2.0, 7), 20)
    said = html.data(film)
    assert said["mistake"] == pytest.approx(7 * film.dt)
    assert [e > said["delta"] for e in said["errors"]][:8] == [False] * 7 + [True]
    assert _film("pendulum", lambda t: t.expert, 20)[2].mistake is None


def _push(params, key, t, memory, obs):
    memory, action = params["expert"].act(params["expert"].params, key, t, memory, obs)
    return memory, jnp.where(t >= params["since"], jnp.int32(1), action)


def test_leaving_the_experts_states_is_no_first_mistake():
    """States change some steps after a push begins; a learner whose actions are off while its states stay near leaves nothing."""
    pushing = {"since": np.int32(7)}
    _, played, film = _film("cartpole", lambda t: Policy({**pushing, "expert": t.expert}, t.expert.init, _push), 60)
    assert 7 <= film.mistake < film.left < film.fallen[1]
    np.testing.assert_array_equal(played.obs[0, :8], played.obs[1, :8])
    far = episode.distances(played)
    assert far[:8].max() < 1e-6
    assert far[film.left] > episode.FAR >= far[: film.left].max()
    assert html.data(film)["left"] == pytest.approx(film.left * film.dt)
    _, _, near = _film("pendulum", lambda t: _drifting(t, 0.6, 0), 60)
    assert (near.mistake, near.left) == (0, None)
    _, _, expert = _film("pendulum", lambda t: t.expert, 60)
    assert (expert.mistake, expert.left) == (None, None)


def test_distances_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    seen, own = (n + np.array([0, 0, 2]) for n in (rng.normal(size=(50, 3)) * [1, 5, 0], rng.normal(size=(9, 3))))
    own[4, 1] = np.nan  # physics that blew up is nowhere near
    played = episode.Played(None, None, None, np.ones((2, 9), bool), np.stack([own, own]), seen)
    scale = np.array([seen[:, 0].std(), seen[:, 1].std(), 1.0])  # what never varies is not blown up
    expected = np.sqrt((((own[:, None] - seen) / scale) ** 2).mean(-1)).min(1)
    np.testing.assert_allclose(np.delete(episode.distances(played), 4), np.delete(expected, 4), rtol=1e-6)
    assert episode.distances(played)[4] == np.inf
    assert episode.left_at(played._replace(obs=np.stack([seen[:9], seen[:9]]))) is None
    fallen = played._replace(obs=np.stack([seen[:9], seen[:9]]), alive=np.arange(18).reshape(2, 9) < 14)
    assert episode.left_at(fallen) == 5


def test_page_is_one_file_that_asks_for_nothing():
    _, _, film = _film("cartpole", lambda t: references.random_policy(t.env.action), 1500)
    text = html.page(film)
    assert not re.search(r"https?://|src=|href=|@import|url\(|fetch\(|XMLHttp", text)
    assert "&lt;made&gt; up @DATA@" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["end"] == pytest.approx(1500 * film.dt)
    assert len(data["sides"][0]["returns"]) <= 1000
    assert data["sides"][1]["fell"] == pytest.approx(film.fallen[1] * film.dt)
    assert len(data["sides"][1]["poses"]) < len(data["sides"][0]["poses"])


def test_gif_opens_with_every_frame_and_runs_in_real_time(tmp_path):
    _, _, film = _film("cartpole", lambda t: references.random_policy(t.env.action), 60)
    frames = gif.save(film, tmp_path / "x.gif")
    spent = 0
    with Image.open(tmp_path / "x.gif") as image:
        assert image.n_frames == frames == len(gif.steps(film))
        for k in range(frames - 1):
            image.seek(k)
            spent += image.info["duration"]
    assert spent == pytest.approx(1000 * film.seconds(film.horizon), abs=10)
    # Where it leaves the expert is on the picture: red where there was none before it.
    around = film.left - 1, film.left
    red = [int((np.abs(np.asarray(gif.frame(film, k)) - np.array([200, 16, 46])).max(-1) < 30).sum()) for k in around]
    assert red[1] > red[0] + 500


def test_everything_drawn_lies_in_the_picture():
    _, _, film = _film("cartpole", lambda t: references.random_policy(t.env.action), 60)
    for points in camera.place(film.scene, film.pos, film.quat):
        xy, _, _ = camera.project(film.camera, points)
        assert (np.abs(xy - film.camera.centre) <= film.camera.half).all()


def test_quaternions_turn_as_rotations_do():
    half = np.pi / 4
    np.testing.assert_allclose(
        geometry.turn([np.cos(half), 0, np.sin(half), 0], [[0, 0, 2.0]]), [[2, 0, 0]], atol=1e-12
    )


BAD = {
    "render hoper bc:6": "hopper",
    "render gridworld bc:6": "can be rendered: ",
    "render cartpole bcc:6": "bc",
    "render cartpole nothing": "bc:20",
    "render cartpole random --set fit.updates=3": "not trained",
    "render cartpole random --episode -1": "count from 0",
    "render cartpole random --horizon 0": "at least 1",
    "render cartpole random --out no/such/x.html": "no folder",
    "render cartpole random --gif x.png": ".gif",
    "render brax:hoper/spring expert": "hopper",
    "render cartpole random --suite quick": "--suite quick needs ALGORITHM:EPISODES",
    "render cartpole bc:6 --suite smoke": "suite smoke does not run bc on cartpole; suites that do: quick",
    "render cartpole bc:6 --suite quik": "quick",
}


@pytest.mark.parametrize(("line", "said"), BAD.items(), ids=BAD)
def test_refused_before_any_compute(line, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ilbench", *line.split()])
    monkeypatch.setattr(parallel, "setup", lambda *args: None)
    monkeypatch.setattr(episode, "play", lambda *args, **kwargs: pytest.fail("computed"))
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_command_writes_and_says_where(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parallel, "setup", lambda *args: None)
    line = "render cartpole random --gif seen.gif --horizon 20 --json"
    monkeypatch.setattr(sys, "argv", ["ilbench", *line.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    done = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0
    assert {p.name for p in tmp_path.iterdir()} == {"cartpole.html", "seen.gif"} == {done["html"], done["gif"]}
    for what in ("first_mistake", "left_expert"):
        assert done[f"{what}_s"] == pytest.approx(done[f"{what}_step"] * done["dt_s"])
    assert done["left_expert_step"] > done["first_mistake_step"]
