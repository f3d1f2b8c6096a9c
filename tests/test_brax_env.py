"""The Brax adapter: fresh resets, no auto-reset, stable types, one set of functions, and errors that help."""

from __future__ import annotations

import ast
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench.envs import _brax, brax
from ilbench.experts import manifests, weights

LANES, STEPS = 16, 150  # the only hopper shape of this file: compiling it is what costs


@pytest.fixture(scope="module")
def rolled():
    """Random actions, then actions out of range, in one compiled scan: `(obs [T, L, 11], reward, terminated)`."""
    env = _brax.make_env("hopper")

    @jax.jit
    def roll(key):
        k_reset, k_act = jax.random.split(key)
        state, obs = jax.vmap(env.reset, (None, 0))((), jax.random.split(k_reset, LANES))

        def step(state, action):
            after = jax.vmap(env.step, (None, None, 0, 0))((), key, state, action)
            return after.state, after[1:]

        actions = jax.random.uniform(k_act, (STEPS, LANES, 3), jnp.float32, -1.0, 1.0)
        actions = actions.at[:, 1].set(jnp.sign(actions[:, 0])).at[:, 0].set(9.0 * jnp.sign(actions[:, 0]))
        # Lanes 0 and 1 start alike; lane 0 asks for nine times what the env gives.
        state, obs = jax.tree.map(lambda x: x.at[1].set(x[0]), (state, obs))
        return obs, jax.lax.scan(step, state, actions)[1]

    return jax.tree.map(np.asarray, roll(jax.random.key(0)))


@pytest.mark.slow
def test_resets_are_fresh(rolled):
    first, _ = rolled
    assert len(np.unique(first[1:], axis=0)) == LANES - 1
    assert np.abs(first[:, 0] - 1.25).max() < 0.02  # stands at its height


@pytest.mark.slow
def test_nothing_resets_by_itself(rolled):
    first, (obs, reward, terminated) = rolled
    assert terminated.any(0).sum() >= LANES // 2, "random actions make most hoppers fall"
    start = np.abs(obs - first.mean(0)).max(-1) < 0.05
    assert not start[10:].any()
    fell = np.where(terminated.any(0), np.argmax(terminated, axis=0), STEPS)
    after = np.stack([obs[fell[lane] + 1, lane] for lane in range(LANES) if fell[lane] + 1 < STEPS])
    # The episode ends tilted by more than .2 rad or below .7 m; a reset would stand upright at 1.25 m.
    assert ((np.abs(after[:, 1]) > 0.1) | (after[:, 0] < 0.8)).all()
    assert np.isfinite(reward).all()
    assert reward.dtype == np.float32
    assert terminated.dtype == bool


@pytest.mark.slow
def test_actions_are_clipped_by_the_env(rolled):
    _, (obs, reward, _) = rolled
    np.testing.assert_allclose(obs[:5, 0], obs[:5, 1], atol=1e-5)
    np.testing.assert_allclose(reward[:5, 0], reward[:5, 1], atol=1e-5)


@pytest.mark.parametrize("task_id", ["inverted_pendulum", "reacher"])
def test_reset_and_step_have_one_type(task_id):
    env = brax.untrained(task_id).env
    key = jax.random.key(0)
    state, obs = jax.eval_shape(env.reset, (), key)
    after = jax.eval_shape(env.step, (), key, state, jnp.zeros(env.action.shape, jnp.float32))
    describe = lambda tree: [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)]  # noqa: E731
    assert describe((state, obs)) == describe((after.state, after.obs))
    assert describe(after[2:]) == [((), jnp.float32, False), ((), bool, False)]


@pytest.mark.slow
def test_is_brax_itself():
    env = _brax.make_env("inverted_pendulum")
    theirs = _brax.envs().get_environment("inverted_pendulum", backend="spring")
    key, action = jax.random.key(3), jnp.array([0.7], jnp.float32)
    with _brax.rules():
        state = jax.jit(lambda: theirs.step(theirs.reset(key), action))()
    after = jax.jit(lambda: env.step((), key, env.reset((), key)[0], action))()
    np.testing.assert_array_equal(after.obs, state.obs)
    assert float(after.reward) == float(state.reward) == 1.0


def test_physics_that_blows_up_is_a_fall():
    env = _brax.make_env("inverted_pendulum", absorbing_reward=-3.0)
    broken = lambda state: jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), state)  # noqa: E731
    after = jax.jit(lambda key: env.step((), key, broken(env.reset((), key)[0]), jnp.zeros(1)))(jax.random.key(0))
    assert bool(after.terminated)
    assert float(after.reward) == -3.0
    assert np.isfinite(after.obs).all()


def test_building_a_robot_leaves_nothing_behind(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    _brax.robot("halfcheetah")
    assert not list(tmp_path.iterdir())  # mujoco's log
    assert "WARNING" not in capfd.readouterr().err


def test_functions_keep_their_identity():
    one, two = _brax.make_env("inverted_pendulum"), _brax.make_env("inverted_pendulum")
    assert one.step is two.step
    assert one.reset is two.reset
    experts = [weights.policy(weights.zeros(4, 1)) for _ in range(2)]
    assert experts[0].act is experts[1].act


def test_what_is_listed_is_literal():
    tree = ast.parse(pathlib.Path(brax.__file__).read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in ("TASKS", "VERSION", "HORIZON", "TAGS", "SUMMARY"):
                found[target.id] = ast.literal_eval(node.value)
    assert set(found["TASKS"]) == set(found["SUMMARY"]) >= {"inverted_pendulum", "reacher", "hopper"}
    assert set(found["TASKS"]) <= set(brax.ROBOTS) == set(_brax.names())
    assert all((manifests.SHIPPED / f"{robot}@1.safetensors").is_file() for robot in found["TASKS"])
    assert (found["VERSION"], found["HORIZON"], found["TAGS"]) == (1, 1000, ("brax",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hoper", "Did you mean hopper?"),
        ("brax:walker/spring", "Did you mean walker2d?"),
        ("brax:ant/sprng", "Did you mean spring?"),
        ("brax:fast/spring", "unknown brax environment 'fast'"),
        ("brax:swimmer/spring", "'swimmer' runs on: generalized"),
    ],
)
def test_unknown_names_get_the_closest_match(given, said):
    with pytest.raises(ValueError, match=said):
        brax.untrained(given)


def test_horizons_and_options_are_checked():
    assert brax.untrained("reacher").horizon == 200
    assert brax.untrained("reacher", 7).horizon == 7
    for wrong in (0, -3, 2.5):
        with pytest.raises(ValueError, match="at least 1"):
            brax.untrained("reacher", wrong)
    with pytest.raises(ValueError, match="no option"):
        brax.untrained("reacher", gravity=2.0)


def test_one_task_has_one_name():
    assert brax.parse("brax:hopper/spring")[0] == brax.parse("brax:hopper")[0] == brax.parse("hopper")[0] == "hopper"
    assert brax.parse("brax:hopper/mjx")[0] == brax.parse("brax-hopper-mjx")[0] == "brax-hopper-mjx"


def test_a_robot_without_a_trained_expert_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv(manifests.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"expert_missing.*ilbench expert train brax-inverted_double_pendulum-mjx"
    ):
        brax.make_any("brax:inverted_double_pendulum/mjx")


def test_shipped_experts_act_within_bounds():
    task = brax.make("inverted_pendulum")
    memory = task.expert.init(task.expert.params, jax.random.key(0))
    obs = 100.0 * jax.random.normal(jax.random.key(1), (64, 4))
    act = jax.vmap(lambda o: task.expert.act(task.expert.params, jax.random.key(0), jnp.int32(0), memory, o)[1])
    actions = np.asarray(act(obs))
    assert actions.shape == (64, 1)
    assert actions.dtype == np.float32
    assert (np.abs(actions) <= 1).all()


def test_a_registered_environment_of_somebody_else_works(monkeypatch):
    from brax import envs
    from brax.envs.base import Env, State

    class Counter(Env):
        """Walks on a line; its step reads observation and info, which Brax's own robots do not."""

        def __init__(self, backend="spring"):
            if backend != "generalized":
                raise ValueError("no such physics")

        def reset(self, rng):
            x = jax.random.uniform(rng, (2,))
            return State(None, x, jnp.float32(0), jnp.float32(0), {"far": jnp.float32(0)}, {"steps": jnp.int32(0)})

        def step(self, state, action):
            obs = state.obs + action
            state.info["steps"] = state.info["steps"] + 1
            state.metrics.update(far=jnp.abs(obs).max())
            return state.replace(obs=obs, reward=state.info["steps"], done=state.info["steps"] >= 3)

        action_size, observation_size, backend = 2, 2, "generalized"

    monkeypatch.setattr(envs, "_envs", dict(envs._envs))
    envs.register_environment("my-counter", Counter)
    task = brax.untrained("brax:my-counter/generalized", 5)
    assert (task.id, task.horizon, task.env.obs.dim) == ("brax-my-counter-generalized", 5, 2)
    assert brax.parse(task.id)[:2] == (task.id, "my-counter")
    with pytest.raises(ValueError, match="'my-counter' runs on: generalized"):
        brax.untrained("brax:my-counter/spring")

    @jax.jit
    def roll(key):
        state, obs = task.env.reset((), key)

        def step(state, action):
            after = task.env.step((), key, state, action)
            return after.state, after[1:]

        return obs, jax.lax.scan(step, state, jnp.full((4, 2), 0.5, jnp.float32))[1]

    first, (obs, reward, terminated) = roll(jax.random.key(0))
    np.testing.assert_allclose(obs, np.asarray(first) + 0.5 * np.arange(1, 5)[:, None], rtol=1e-6)
    np.testing.assert_array_equal(reward, [1, 2, 3, 4])
    np.testing.assert_array_equal(terminated, [False, False, True, True])
    with pytest.raises(FileNotFoundError, match="ilbench expert train brax-my-counter-generalized"):
        brax.make("brax:my-counter/generalized")


def test_another_backend_is_another_task():
    assert brax.untrained("hopper", backend="positional").name == "brax-hopper-positional@1"
    assert brax.untrained("brax-hopper-positional", backend="spring").name == "hopper@1"
    with pytest.raises(
        ValueError, match=r"unknown backend of brax environment 'swimmer' 'warp'; supported: generalized"
    ):
        brax.untrained("brax:swimmer/warp")


def test_a_version_can_belong_to_one_task(monkeypatch):
    monkeypatch.setitem(brax.VERSIONS, "hopper", 2)
    assert (brax.untrained("hopper").name, brax.untrained("reacher").name) == ("hopper@2", "reacher@1")
    with pytest.raises(
        FileNotFoundError, match=r"'hopper@2'.* There is hopper@1, but weights are valid for one version"
    ):
        brax.make("hopper")
