"""The bound ladder: its printed numbers, its order, its estimates from rollouts, and that a false bound is found out."""

import json

import numpy as np
import pytest
from scipy import integrate, stats

from ilbench import registry
from ilbench.display import style
from ilbench.evaluation import coupling
from ilbench.exact import closed_forms, dp
from ilbench.stats import claims
from ilbench.theory import t04_bound_ladder as t04
from ilbench.theory.instances import ladder
from ilbench.theory.instances.tables import table_policy


def quiet(text):
    return None


def cliff(eps, H):
    task = registry.task("cliff", H)
    return ladder.rungs(task.mdp(), ladder.erring(task, eps), task.expert.params, H)


@pytest.mark.parametrize(
    ("H", "ratio", "clipped"),
    [(10, 0.970592, 0.970592), (20, 0.939422, 0.939422), (50, 0.854557, 0.854557), (100, 0.737370, 0.737370),
     (200, 0.568478, 0.759229), (500, 0.320679, 0.891566), (1000, 0.180021, 0.947927)],
)  # fmt: skip
def test_cliff_numbers(H, ratio, clipped):
    r = cliff(0.01, H)
    assert r.b3 == pytest.approx(r.cost, rel=1e-12)
    assert r.b3 / r.b1 == pytest.approx(ratio, abs=5e-7)
    assert r.cost / r.b2 == pytest.approx(clipped, abs=5e-7)
    assert r.b3 == pytest.approx(float(closed_forms.cliff(0.01, H)), rel=1e-12)


def test_exact_claims_hold_and_the_tolerance_fails():
    found = t04.measure("exact", quiet).claims
    assert {c.verdict for c in found} == {"HOLDS", "REFUTED AS EXPECTED"}
    refuted = [c for c in found if c.expected == "fails"]
    assert [(c.measured, c.predicted) for c in refuted] == [(199.0, 0.0)]
    assert max(len(c.statement) for c in found) <= 110


def test_no_violation_in_400_random_mdps():
    rows = ladder.random_instances(400)
    assert all(max(r.cost, r.gap) <= r.b3 + 1e-12 <= r.b2 + 2e-12 <= min(r.b1, r.b0) + 3e-12 for r in rows)
    assert np.std([r.cost / r.b3 for r in rows if r.b3 > 0]) > 0.1  # the instances differ


def test_a_false_bound_is_found_out():
    cost, bound = (np.linspace(a, b, 40).reshape(10, 4) for a, b in ((1.0, 1.2), (0.5, 0.6)))
    m = ladder.Measured(cost, cost, bound, bound.mean(1), bound.mean(1), bound, np.full((10, 4), 2.0), 10.0)
    verdicts = [c.verdict for c in claims.judge(t04._claims(ladder.Instance("cliff", 10, "table", 1), m))]
    assert set(verdicts) == {"VIOLATED"}


def test_agreement_of_gaussians_is_one_minus_total_variation():
    for da, sigma in ((0.3, 1.0), (2.0, 0.5), (0.01, 0.1)):
        far = 8 * sigma + da
        x = np.linspace(-far, far, 200_001)
        tv, log_ratio = coupling.smoothed(np.full((len(x), 1), da), np.zeros((len(x), 1)), x[:, None], sigma)
        agree = integrate.trapezoid(np.minimum(1, np.exp(log_ratio)) * stats.norm.pdf(x, 0, sigma), x)
        assert agree == pytest.approx(1 - tv[0], abs=1e-7)
        assert tv[0] == pytest.approx(2 * stats.norm.cdf(da / (2 * sigma)) - 1, abs=1e-12)
    tv, _ = coupling.smoothed([[3.0, 4.0]], [[0.0, 0.0]], [[0.0, 0.0]], 2.0)  # the norm of da, not its largest entry
    assert tv[0] == pytest.approx(2 * stats.norm.cdf(5 / 4) - 1, abs=1e-12)
    tv, log_ratio = coupling.smoothed([[np.nan]], [[0.0]], [[0.1]], 1.0)
    assert (tv[0], log_ratio[0]) == (1.0, -np.inf)


def test_survival_of_a_gaussian_path_against_its_exact_law():
    """x' = a, p = N(0, 1) and q = N(x/2, 1): the next state is the action, so averaging 1 - l along p is not w_t."""
    rng, n = np.random.default_rng(0), 400_000
    x = np.stack([np.full(n, 1.0), rng.normal(size=n)], 1)  # states; actions are the next states
    a = np.stack([x[:, 1], rng.normal(size=n)], 1)
    tv, log_ratio = coupling.smoothed((x / 2)[..., None], np.zeros_like(x)[..., None], a[..., None], 1.0)
    on = coupling.paths(coupling.Side(tv, log_ratio, np.ones_like(x, bool), np.zeros_like(x)), falls=True)
    grid = np.linspace(-9, 9, 20_001)
    both = np.minimum(stats.norm.pdf(grid, 0.5), stats.norm.pdf(grid))
    exact = 1 - integrate.trapezoid(both * 2 * stats.norm.cdf(-np.abs(grid) / 4), grid)
    error = on.failed[:, 1].std() / np.sqrt(n)
    assert abs(on.failed[:, 1].mean() - exact) < 4 * error
    assert abs(1 - np.prod(1 - tv, axis=1).mean() - exact) > 10 * error
    assert np.all(on.apart <= 1 - np.cumprod(np.exp(np.minimum(log_ratio, 0)), axis=1) + 1e-12)


def test_steps_after_a_fall():
    side = coupling.Side(*np.zeros((2, 1, 1, 3)), np.array([[[True, True, False]]]), np.zeros((1, 1, 3)))
    for falls, failed in ((True, [0, 0, 1]), (False, [0, 0, 0])):
        on = coupling.paths(side, falls=falls)
        assert all(np.array_equal(x[0, 0], failed) for x in on)
    assert coupling.costs(side)[0, 0].tolist() == [0, 0, 1]


def test_rollouts_estimate_the_exact_ladder():
    task = registry.task("random_mdp", 12, states=6, actions=3)
    expert = np.asarray(task.expert.params)
    learner = 0.95 * np.eye(3)[expert] + 0.05 / 3
    exact = ladder.rungs(task.mdp(), learner, expert, 12)
    instance = ladder.Instance("random_mdp", 12, "table", 0, episodes=2000)
    m = ladder.measured(task, table_policy(learner, 12, 3, 10), tuple(range(10)), instance, "theory/T04/test")
    for name in ("cost", "gap", "b3", "b0"):
        x = getattr(m, name)
        assert abs(x.mean() - getattr(exact, name)) < 5 * x.std(ddof=1) / np.sqrt(10)
    mistakes = dp.first_mistake(task.mdp(), learner, expert, 12)
    assert exact.b3 == pytest.approx(np.cumsum(mistakes).sum())


def test_trained_learner_holds_and_is_drawn():
    result = t04.monte_carlo(quiet, t04.INSTANCES[:1])
    found = claims.judge(result.claims)
    assert not claims.failed(found)
    assert [c.verdict for c in found[:2]] == ["HOLDS", "HOLDS"]
    assert found[3].verdict != "HOLDS"  # B1 is biased upward
    data = json.loads(json.dumps(result.data | t04.measure("exact", quiet).data, allow_nan=False))
    for part in (data, {"exact": data["exact"]}):
        figure = style.figure()
        t04.plot(claims.Result((), part), figure)
        assert len(figure.axes[0].get_yticks()) == sum(len(v) for v in part.values())
