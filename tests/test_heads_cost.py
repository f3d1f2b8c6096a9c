"""What heads cost: evaluations counted by hand, the floor's arithmetic, and a table that says what was measured."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench import plugins, registry
from ilbench.bench import heads
from ilbench.commands.bench import Bench
from ilbench.report import heads as report


def _evaluated(name, **config):
    spec, plugin = heads.SIZES["hopper"], plugins.head(name)
    head, data = plugin.make(spec, plugin.Config(**config)), heads.rows_of(spec, 8)
    params = head.init(jax.random.key(0))
    return heads.evaluations(head, params, data, heads.perceptrons(params, plugin.Config(**config)))


@pytest.mark.parametrize(
    ("name", "config", "act", "loss"),
    [
        ("mse", {}, 1, 1),
        ("mixture", {}, 1, 1),
        ("flow", {"steps": 7}, 7, 1),
        ("flow", {"steps": 7, "start": "mean", "draws": 3}, 21, 1),
        ("diffusion", {"steps": 5, "sampler": "ddpm"}, 5, 1),
        ("mip", {}, 2, 2),
        ("energy", {"negatives": 9, "candidates": 20, "iterations": 4}, 80, 10),
    ],
)
def test_evaluations_are_those_of_the_method(name, config, act, loss):
    assert _evaluated(name, **config) == (act, loss)


def test_loops_are_counted_by_their_length_and_branches_by_the_larger():
    w = jnp.ones((3, 5))

    def program(x):
        y = jax.lax.scan(lambda c, _: (jnp.tanh(c @ w) @ w.T, None), x, None, length=4)[0]
        return jax.lax.cond(y[0, 0] > 0, lambda y: y @ w, lambda y: jnp.zeros((2, 5)), y)

    traced = jax.make_jaxpr(program)(jnp.ones((2, 3)))
    assert heads.operations(traced.jaxpr) == 2 * (2 * 3 * 5) * (4 * 2 + 1)
    unknown = jax.make_jaxpr(lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 9, lambda x: x @ w @ w.T, x))(
        jnp.ones((2, 3))
    )
    assert np.isnan(heads.operations(unknown.jaxpr))


def test_perceptrons_are_found_and_other_matrices_leave_no_floor():
    found = {}
    for name in ("cvae", "diffusion", "autoregressive"):
        plugin = plugins.head(name)
        params = plugin.make(heads.SIZES["hopper"], plugin.Config()).init(jax.random.key(0))
        found[name] = heads.perceptrons(params, plugin.Config())
    assert found["autoregressive"] is None
    assert found["diffusion"] == heads.Nets(((23, (64, 64, 3)),), "tanh")
    assert len(found["cvae"].shapes) == 2
    assert heads.once(found["diffusion"]) == 2 * (23 * 64 + 64 * 64 + 64 * 3)


def test_the_floor_is_gradient_descent_on_the_same_networks():
    """Two steps of it in NumPy, of one layer: its gradient by hand."""
    model = heads.regression(heads.Nets(((2, (1,)),), "tanh"))
    data = heads.rows_of(heads.Spec(heads.Box(2), heads.Box(1, -1.0, 1.0), 1), 16)
    start = model.init(jax.random.key(0))
    found = heads._descend((), (start, data), model=model, steps=2)[0]["nets"][0]["Dense_0"]
    w, b = (np.asarray(start["nets"][0]["Dense_0"][k], np.float64) for k in ("kernel", "bias"))
    for _ in range(2):
        off = data.obs @ w + b - data.action
        w, b = w - 1e-3 * 2 * data.obs.T @ off / 16, b - 1e-3 * 2 * off.mean(0)
    np.testing.assert_allclose(found["kernel"], w, rtol=1e-5)
    np.testing.assert_allclose(found["bias"], b, atol=1e-7)


def test_a_run_says_what_it_measured_and_keeps_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(heads, "STEPS", (30, 30))
    monkeypatch.setattr(heads, "BATCHES", (8,))
    assert Bench("heads", heads="straight_flow,table", rounds=1, out=tmp_path, json=True).execute() == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert "straight_flow, 8 rows: round 1 of 1" in said.err
    flow, table = found["rows"]
    assert (flow["head"], flow["size"], table["size"]) == ("straight_flow", "hopper", "gridworld")
    assert table["train"] == {}
    step = flow["train"]["8"]
    assert step["over floor"] == pytest.approx(step["microseconds"] / step["floor, microseconds"])
    assert step["undrawn, microseconds"] is not None  # it draws
    assert flow["operations of a row"]["products"] == 6 * (23 * 64 + 64 * 64 + 64 * 3) * flow["evaluations per row"]
    kept = json.loads((tmp_path / "speed@1" / "heads.json").read_text())
    assert kept["rows"][0]["train"]["8"]["steps"] == 30
    page = (tmp_path / "speed@1" / "HEADS.md").read_text()
    assert f"| straight_flow | hopper | {flow['evaluations per action']:g} |" in page
    assert report.page(kept) == page


def test_every_head_has_a_size_and_unknown_ones_are_refused():
    for name in registry.entries("heads"):
        assert any(plugins.head(name).skip(spec) is None for spec in heads.SIZES.values())
    with pytest.raises(registry.UnknownName, match="Did you mean diffusion"):
        heads.run(("difusion",), 1, print, print)
