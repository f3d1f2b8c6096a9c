"""The lane and its side cameras: exact arcs, a road that is where it is painted, labels that are the expert's own beside its way."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ilbench import plugins, registry
from ilbench.algorithms import side_view
from ilbench.envs import lane

SEEN = {"lane": lane.scan, "lane_pixels": lane.image}


def _states(task, count, seed=0):
    """Cars anywhere on their roads, askew: leaves `[count, ...]`."""
    params, rng = task.env.params, np.random.default_rng(seed)
    state = jax.vmap(partial(lane.begin, params))(jax.random.split(jax.random.key(seed), count))
    x = rng.uniform(0, 200, count).astype(np.float32)
    f, slope = (np.asarray(v) for v in jax.vmap(lane.middle)(state.road, x))
    away = rng.uniform(-0.8, 0.8, count) * np.hypot(1, slope)
    askew = rng.uniform(-0.1, 0.1, count)
    return state._replace(x=x, y=np.float32(f + away), heading=np.float32(np.arctan(slope) + askew))


def _one(tree, n):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64)[n], tree)


def _middle(road, x):
    """The road's middle in NumPy float64, at x `[n]`."""
    return (road.amplitude[:, None] * np.sin(road.number[:, None] * x + road.phase[:, None])).sum(0)


def test_a_step_is_the_arc_of_the_bicycle():
    """Against 20,000 Euler steps of its equations, straight on too; and a whole circle comes home."""
    task = registry.task("lane")
    p, state = task.env.params, jax.tree.map(lambda leaf: leaf[0], _states(task, 1))
    for u in (-0.25, 0.0, 1e-4, 0.2):
        new = lane.advance(p, state, jnp.float32(u))
        x, y, h = float(state.x), float(state.y), float(state.heading)
        dt = 0.2 / 20_000
        for _ in range(20_000):
            x, y, h = x + dt * 5 * np.cos(h), y + dt * 5 * np.sin(h), h + dt * 5 * np.tan(u) / 2.5
        np.testing.assert_allclose([new.x, new.y, new.heading], [x, y, h], rtol=3e-7, atol=1e-5)
    around, round_trip = np.arctan(2.5 * 2 * np.pi / 64), state  # 64 steps of 1 m make a circle
    for _ in range(64):
        round_trip = lane.advance(p, round_trip, jnp.float32(around))
    np.testing.assert_allclose([round_trip.x, round_trip.y], [state.x, state.y], atol=2e-4)
    assert float(round_trip.heading - state.heading) == pytest.approx(2 * np.pi, abs=1e-5)


@pytest.mark.parametrize("name", SEEN)
def test_a_side_camera_sees_what_the_camera_of_a_car_that_stands_there_sees(name):
    """Within rounding, where "there" is worked out beside the product, across the car's heading."""
    task = registry.task(name, side=0.75)
    p, states = task.env.params, _states(task, 40)
    seen = jax.jit(jax.vmap(lambda s: task.env.views(p, s, None)))(states)
    main = jax.jit(jax.vmap(partial(SEEN[name], p)))
    pixels = task.env.obs.high * np.ones(1)
    for side, left in (("left", 0.75), ("right", -0.75)):
        x, y = states.x - left * np.sin(states.heading), states.y + left * np.cos(states.heading)
        there = main(states._replace(x=np.float32(x), y=np.float32(y)))
        assert (seen[side].dtype, seen[side].shape[1:]) == (task.env.obs.dtype, task.env.obs.shape)
        # A pixel's edge that rounding moved by a millionth of a road shows nowhere, or in the last bit of a byte.
        np.testing.assert_allclose(
            np.asarray(seen[side], float), np.asarray(there, float), atol=3e-4 * pixels[0] if name == "lane" else 1
        )
        assert np.abs(np.asarray(seen[side], float) - np.asarray(main(states), float)).max() > 0.3 * pixels[0]


def test_a_pixel_is_the_share_of_road_in_it():
    """On a straight road, where shares are lengths of intervals; the road left of the car is in the first columns."""
    p = registry.task("lane", bend=0.0).env.params
    state = lane.begin(p, jax.random.key(0))._replace(y=jnp.float32(0.6), heading=jnp.float32(0.0))
    edges = np.linspace(1, -1, 25)  # tangents between the columns
    for row, ahead in zip(np.asarray(lane.look(p, state)), (5.0, 10.0, 20.0), strict=True):
        low, high = ahead * edges[1:], ahead * edges[:-1]
        share = np.clip(np.minimum(high, 2 - 0.6) - np.maximum(low, -2 - 0.6), 0, None) / (high - low)
        np.testing.assert_allclose(row, share, atol=1e-5)


def test_a_corrected_label_is_the_experts_own_beside_its_way():
    """What the expert, asked by a car that stands there, would do: for the expert's own look-ahead, exactly."""
    task = registry.task("lane", ahead=8.0)
    p, states = task.env.params, _states(task, 300)

    def asked(state):
        return task.expert.act(task.expert.params, None, 0, (), task.env.expert_obs(p, state, None))[1]

    labels = jax.jit(jax.vmap(asked))(states)
    assert (np.abs(labels) < 0.25).all()
    assert np.std(labels) > 0.02
    corrected = jax.jit(jax.vmap(lambda label: task.env.recover(p, label, 8.0)))(labels)
    for side, left in (("left", 1.0), ("right", -1.0)):
        own = jax.jit(jax.vmap(lambda s, left=left: asked(lane.moved(s, left))))(states)
        np.testing.assert_allclose(corrected[side], own, atol=2e-6)
        assert np.sign(np.mean(corrected[side] - labels)) == -np.sign(left)  # back to the road


def test_the_experts_arc_ends_on_the_middle_of_the_road_and_a_corrected_one_on_the_experts():
    """Circles in NumPy: every arc of both kinds is drawn, and ends where it should, whatever the distance."""
    task = registry.task("lane", ahead=12.0)
    p, states = task.env.params, _states(task, 50)
    crossing = jax.jit(jax.vmap(lambda s: lane.privileged(p, s, None)))(states)[:, 2]

    def left_of(u, ahead):
        """Where the arc of a steering angle is, so far ahead."""
        radius = 2.5 / np.tan(u)
        return radius - np.sign(radius) * np.sqrt(radius**2 - ahead**2)

    for n, across in enumerate(np.asarray(crossing, float)):
        s = _one(states, n)
        cos, sin = np.cos(s.heading), np.sin(s.heading)
        x, y = s.x + 12 * cos - across * sin, s.y + 12 * sin + across * cos
        assert y == pytest.approx(_middle(s.road, np.array([x]))[0], abs=1e-4)
    for u in (-0.1, -0.02, 0.05, 0.12):
        for distance in (5.0, 12.0, 20.0):
            back = task.env.recover(p, np.float32([u]), np.float32(distance))
            for side, left in (("left", 1.0), ("right", -1.0)):
                if abs(float(back[side][0])) < 0.25:
                    ahead = min(distance, abs(2.5 / np.tan(u)))
                    assert left + left_of(float(back[side][0]), ahead) == pytest.approx(left_of(u, ahead), abs=2e-3)


def test_offset_is_the_distance_to_the_middle_and_the_end_is_where_the_road_ends():
    task = registry.task("lane")
    states = _states(task, 30, seed=3)
    away = np.asarray(jax.vmap(lane.offset)(states.road, states.x, states.y), float)
    for n in range(30):
        s = _one(states, n)
        x = s.x + np.linspace(-3, 3, 60_001)
        nearest = np.hypot(x - s.x, _middle(s.road, x) - s.y).min()
        assert abs(away[n]) == pytest.approx(
            nearest, rel=0.03, abs=1e-3
        )  # the road bends between its foot and the car's x
    step = jax.vmap(partial(task.env.step, task.env.params, jax.random.key(0)))
    straight = jax.tree.map(jnp.asarray, states)._replace(
        road=states.road._replace(amplitude=0 * states.road.amplitude)
    )
    y, h = jnp.linspace(-2.5, 2.5, 30), jnp.zeros(30)
    out = step(straight._replace(y=y, heading=h), jnp.zeros((30, 1)))
    np.testing.assert_array_equal(out.terminated, np.abs(y) > 2)
    np.testing.assert_allclose(out.reward, 1 - (y / 2) ** 2, rtol=1e-5, atol=1e-6)


def test_side_view_fits_the_rows_of_three_cameras_and_buys_one_label_each():
    """Against loops over episodes and steps; the budget ends within an episode."""
    task = registry.task("lane", 20)
    result, lab = toys.trained(task, "side_view", "linear", 50, (0, 1), {"recovery": 10.0})
    ((data, params),), demos = lab.of("fit"), lab.demos()[0]
    assert lab.ledger.labels.tolist() == [50, 50]
    assert side_view.rows_per_label(side_view.Config()) * 50 == data.weight.shape[1] == data.weight[0].sum()
    for s in range(2):
        plain = toys.labelled(demos, s)
        want = [(plain.t, plain.obs, plain.action)]
        for side, left in (("left", 1.0), ("right", -1.0)):
            seen = toys.labelled(demos._replace(obs=demos.views[side]), s).obs
            # The expert's arc 10 m ahead of it, seen from the side: its look-ahead is 10 m, so that is where the road is.
            radius = 2.5 / np.tan(plain.action[:, 0].astype(float))
            across = radius - np.sign(radius) * np.sqrt(radius**2 - 100) - left
            want.append((plain.t, seen, np.arctan(2.5 * 2 * across / (100 + across**2))[:, None]))
        fitted = toys.existing(data, s)
        for name, parts in zip(("t", "obs", "action"), zip(*want, strict=True), strict=True):
            np.testing.assert_allclose(getattr(fitted, name), np.concatenate(parts), atol=3e-5, err_msg=name)
    assert result.selected == "last"
    np.testing.assert_array_equal(
        np.asarray(result.policies["last"].params["norm"]["mean"])[:, 0], params["norm"]["mean"]
    )


def test_side_view_is_refused_where_nobody_tells_how_to_steer_back():
    head = registry.load("heads", "linear")
    told = plugins.algorithm("side_view")
    for name, reason in (("scalar_stable", "needs views"), ("lane", None)):
        task = registry.task(name)
        said = told.skip(task, head.make(task.spec, head.Config()))
        assert said is None if reason is None else reason in said
    task = registry.task("lane")
    mute = dataclasses.replace(task, env=dataclasses.replace(task.env, recover=None))
    assert "how to steer back" in told.skip(mute, head.make(task.spec, head.Config()))
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"side_view\.recovery"):
            side_view.Config(recovery=wrong)
    with pytest.raises(ValueError, match="half must be"):
        registry.task("lane", half=9.0)
