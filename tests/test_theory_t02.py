"""T02: printed numbers of the closed forms, the collapse, and the power of the band's verdict."""

from functools import partial

import numpy as np
import pytest

from ilbench.exact import closed_forms as cf
from ilbench.stats.curves import along
from ilbench.theory import t02_bc_closed_form as t02


@pytest.mark.parametrize("what", t02.printed())
def test_printed_digits(what):
    known, found, digit = t02.printed()[what]
    np.testing.assert_allclose(found, known, atol=digit, rtol=0)


def test_reference_exponents_on_finite_grids():
    for grid, printed in (([4, 8, 16, 32], 1.908), ([10, 20, 50, 100], 1.964), (2 ** np.arange(4, 10), 1.984)):
        np.testing.assert_allclose(cf.slope(grid, t02.bound(1.0, np.array(grid))), printed, atol=5e-4)


@pytest.mark.parametrize("name", t02.FORMS)
def test_all_eps_and_horizons_fall_on_one_curve(name):
    x = np.geomspace(0.01, 50, 9)
    curves = [t02.FORMS[name](x / H, H) / t02.bound(x / H, H) for H in (1e3, 1e4, 1e5)]
    np.testing.assert_allclose(curves[0], curves[2], rtol=30 / 1e3)
    np.testing.assert_allclose(curves[1], curves[2], rtol=30 / 1e4)


def drawn(rng, eps, H):
    """Costs `[N]` of the cliff from its exact law: the first mistake is geometric."""
    return np.maximum(0.0, H + 1 - rng.geometric(eps, t02.STEPS // H))


@pytest.mark.parametrize(("factor", "verdict", "least"), [(1.0, "HOLDS", 0.85), (1.3, "VIOLATED", 0.9)])
def test_a_true_form_holds_and_a_false_one_is_violated(factor, verdict, least):
    rng, cells = np.random.default_rng(0), [(e, H) for H in t02.MC_H for e in t02.MC_EPS]
    form = factor * np.array([float(cf.cliff(*c)) for c in cells])
    found = []
    for _ in range(40):
        samples = [drawn(rng, *c) for c in cells]
        band = partial(t02.band, samples, [H for _, H in cells])
        means = [x.mean() for x in samples]
        found.append(along("x", means, band, form, form, t02.MARGIN * form, 1).verdict)
    assert np.mean([v == verdict for v in found]) >= least


@pytest.mark.slow
@pytest.mark.parametrize("name", t02.FORMS)
def test_rollouts_of_the_dialled_learner_cost_what_the_form_says(name, monkeypatch):
    monkeypatch.setattr(t02, "STEPS", 100_000)
    cost = t02.costs(name, 0.01, 32)
    assert abs(cost.mean() - float(t02.FORMS[name](0.01, 32))) < 4 * cost.std() / np.sqrt(len(cost))
