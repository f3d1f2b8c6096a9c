"""Divergences: the mode table, the chain rule, the bounds; and the peg-in-slot task and its five objectives."""

import numpy as np
import pytest
import toys

from ilbench.exact import divergences as div
from ilbench.stats.claims import failed, judge
from ilbench.theory import t15_divergences_mip as check
from ilbench.theory.instances import factorial, peg


@pytest.mark.parametrize(
    ("name", "digits", "value"),
    [("mean (MSE)", 4, 0), ("Gaussian, forward KL", 3, 0.290), ("Gaussian, reverse KL", 4, 0.9973), ("mixture", 4, 0.9973)],
)  # fmt: skip
def test_mode_table(name, digits, value):
    assert round(check.table(check.WIDE)[name], digits) == value


def test_smallest_reverse_kl_is_log_2_at_one_mode():
    mean, sd, divergence = div.gaussian_reverse(check.WIDE)
    assert (mean, sd, divergence) == pytest.approx((1.0, 0.1, np.log(2)), abs=1e-6)


def test_close_modes_make_the_mean_best():
    table = check.table(check.CLOSE)
    assert table.pop("mean (MSE)") == 1.0
    assert max(table.values()) == table["mixture"]
    assert round(table["mixture"], 3) == 0.933
    assert round(div.mixture_success(check.CLOSE, own=True), 3) == 0.866


def test_success_agrees_with_sampling():
    x = np.random.default_rng(0).normal(0.1, 0.4, 400_000)
    for e in (check.WIDE, check.CLOSE):
        hit = (np.minimum(abs(x - e.half), abs(x + e.half)) <= e.tol).mean()
        assert div.success(e, 0.1, 0.4) == pytest.approx(hit, abs=5 * 0.5 / np.sqrt(400_000))


def test_chain_rule_to_rounding_and_data_processing():
    rows = check.trajectory_numbers(100)
    np.testing.assert_allclose(rows[:, 0], rows[:, 1], rtol=1e-15, atol=1e-15)
    assert (rows[:, 2] <= rows[:, 0]).all()
    assert (rows[:, 3] <= 1).all()


def test_discounted_bounds_are_never_exceeded_and_differ_in_tightness():
    ratios = check.discounted_ratios()
    assert (ratios <= 1).all()
    assert len(ratios) == 300
    cloning, matching = np.median(ratios, 0)
    assert 0.002 <= cloning < 0.003
    assert round(matching, 2) == 0.06


def test_discounted_law_sums_to_one_and_gives_the_return():
    mdp, p, _ = check._random_mdp(np.random.default_rng(1), 5, 3)
    law = div.discounted(mdp, p, 0.9)
    values = np.linalg.solve(
        np.eye(5) - 0.9 * np.einsum("sa,sax->sx", p, mdp.P), (p * mdp.R).sum(1)
    )  # Bellman's equation
    assert law.sum() == pytest.approx(1)
    assert (law * mdp.R).sum() / 0.1 == pytest.approx(mdp.rho @ values)


def test_exact_mode_has_no_failures():
    assert not failed(judge(check.measure("exact", lambda text: None).claims))


@pytest.mark.parametrize("sides", [1, 2])
def test_the_expert_of_the_slot_always_succeeds_and_the_mean_of_its_sides_never(sides):
    pose, action = peg.poses(np.random.default_rng(0), 500, sides)
    success, off = peg.judged(pose, action)
    assert success.all()
    assert off.max() < 1e-12
    centre = np.tile(pose[:, :2], 2)
    assert not peg.judged(pose, centre)[0].any()
    assert peg.judged(pose, centre)[1].max() < 1e-12
    moved, away = peg.judged(pose, action + 0.06)  # .06 sqrt 2 off, mostly across the axis or not at all
    assert 0 < moved.mean() < 1
    assert away.max() > 2 * peg.TOLERANCE


def test_losses_are_the_five_formulas():
    import jax
    import jax.numpy as jnp

    head = peg.head()
    params = head.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    pose, z1, z2, a = (rng.standard_normal(n).astype(np.float32) for n in (3, 4, 4, 4))
    key, zero = jax.random.key(0), np.zeros(4, np.float32)

    def row(name, z1=z1, z2=z2):
        return jnp.concatenate([pose, z1, z2, np.array(peg.METHODS[name], np.float32)])

    def of(row):
        return float(toys.loss(head, params, jnp.int32(0), row, a))

    loss = {name: of(row(name)) for name in peg.METHODS}
    plain = toys.acts(head, params, key, jnp.int32(0), row("regression"))
    assert loss["regression"] == pytest.approx(float(jnp.square(plain - a).sum()), rel=1e-5)
    quiet = of(row("straight flow (C2)", z1=zero))
    assert quiet == pytest.approx(loss["regression"], rel=1e-5)
    assert loss["straight flow (C2)"] != pytest.approx(quiet)
    still = of(row("MIP, paper (C2+C3)", z2=zero))
    assert still == pytest.approx(loss["residual regression (C3)"], rel=1e-5)
    w1, w2, _, scale, noise = peg.METHODS["MIP, released (C2+C3)"]
    assert (round(w1, 2), round(w2), scale, round(noise, 1)) == (1.23, 100, 1.0, 0.1)


def factorial_of(**success):
    """Both variants of the factorial with the given mean success per method, and a little noise that all share."""
    noise = np.random.default_rng(0).normal(size=check.SEEDS) * 1e-3
    names = dict(zip(("regression", "c2", "c3", "paper", "released"), peg.METHODS, strict=True))
    one = {
        method: {
            "success": np.clip(success[short] + noise * k, 0, 1) if success[short] else np.zeros(check.SEEDS),
            "off_axis": np.full(check.SEEDS, 0.01 * k) + noise,
            "validation": np.full(check.SEEDS, 0.1 * k),
        }
        for k, (short, method) in enumerate(names.items(), 1)
    }
    return {2: one, 1: one}


def verdicts_of(results, which):
    return [c.verdict for c in factorial.claims_of(results) if f"one-sided: MIP ({which}) succeeds" in c.statement]


@pytest.mark.parametrize(
    ("success", "verdicts"),
    [
        ({"regression": 0.5, "c2": 0.4, "c3": 0.6, "paper": 0.8}, ["REPLICATED", "REPLICATED"]),
        ({"regression": 0.806, "c2": 0.266, "c3": 0.737, "paper": 0.801}, ["NOT REPLICATED", "NOT REPLICATED"]),
        ({"regression": 0.5, "c2": 0.4, "c3": 0.9, "paper": 0.8}, ["NOT REPLICATED", "REPLICATED"]),
        ({"regression": 0.0, "c2": 0.0, "c3": 0.0, "paper": 0.2}, ["REPLICATED", "REPLICATED"]),
        ({"regression": 0.0, "c2": 0.0, "c3": 0.0, "paper": 0.0}, ["VACUOUS", "VACUOUS"]),
        ({"regression": 0.0, "c2": 0.3, "c3": 0.0, "paper": 0.0}, ["NOT REPLICATED", "VACUOUS"]),
    ],
)
def test_mip_must_beat_its_parts_and_regression_where_anything_succeeds_at_all(success, verdicts):
    assert verdicts_of(factorial_of(**success, released=0.3), "paper") == verdicts


def test_a_broken_run_of_the_factorial_fails():
    results = factorial_of(regression=0.5, c2=0.4, c3=0.6, paper=0.8, released=0.3)
    results[1]["regression"]["success"][0] = np.nan
    assert verdicts_of(results, "paper") == ["VIOLATED", "VIOLATED"]


def test_where_nothing_succeeds_the_claims_on_success_say_so():
    floored = factorial.claims_of(factorial_of(regression=0.0, c2=0.0, c3=0.0, paper=0.0, released=0.0))
    said = [c for c in floored if c.verdict == "VACUOUS"]
    assert len(said) == 9  # 4 per variant and the ranking; distances from the slot's axis still speak
    assert all("success 0 on every seed" in c.note for c in said)
