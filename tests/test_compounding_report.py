"""What is said of compounding: ratios with their limits, parts that add up, words that tests decide, bounds that are theorems."""

import json

import numpy as np
import pytest

from ilbench import stats
from ilbench.configs import stated
from ilbench.display import tables
from ilbench.evaluation.evidence import Protocol, log_spaced
from ilbench.records.schema import Cell, Episodes, make_record
from ilbench.report import compounding, compounding_figure, compounding_page, diagnosis, lengths, source
from ilbench.stats.ratios import linearised, ratio_of_means

H, SEEDS, EPS = 1000, 20, 0.003
STEPS = log_spaced(H)


def records(
    task="hopper", algorithm="bc", budget=2000, score=0.8, eps=3.0, live=1.0, fallen=0.0, jitter=0.2, late=1.0, u=0.0, falls=0, lost=0,
    floor=0.0, head="mse",
):  # fmt: skip
    """Records of a learner whose mistakes are `eps` in an episode at the expert's states, and so many times that on its own."""
    rng = np.random.default_rng(sum(map(ord, task + algorithm)))
    found, arrays = [], {}
    for seed in range(SEEDS):
        wobble = np.exp(jitter * rng.standard_normal(3))
        shape = (STEPS / H) ** late
        each = (wobble[0] * shape, live * wobble[1] * shape, fallen * wobble[2] * shape**2, floor * shape)
        parts = eps * np.stack(each)
        total = parts[:, -1]
        cell = Cell(
            task=f"{task}@1", expert="0" * 8, algorithm=algorithm, head=head, config={"fit.updates": 20000}, horizon=H, budget=budget,
            evaluation=stated(Protocol(episodes=32, snap=(EPS,), push=1.0)) | {"deltas": [0.3]}, seed=seed,
        )  # fmt: skip
        diverged = seed < lost
        numbers = {"delta": 0.4, "b2": min(H, total[0] * H / 2), "b0": min(H, total[0] * H)}
        scores = {"score": score} | {f"snap_{k}@{EPS:g}": float(v) for k, v in numbers.items()}
        fields = {"status": "diverged", "reason": "non-finite return"} if diverged else {"status": "ok", "scores": scores}
        record = make_record(cell, "test@1", episodes=Episodes(n=32), **fields)
        sums = np.zeros((3, 10))
        sums[0], sums[1, :5], sums[2, 0] = 4, 4 * u * rng.exponential(size=5), falls * (seed % 3 == 0)
        found.append(record)
        if not diverged:
            arrays[record.id] = {f"snap@{EPS:g}": parts, "u_own_t": sums, "u_push_t": sums}
    return found, arrays


def page(*made):
    kept = [r for records, _ in made for r in records]
    return compounding_page.build(kept, {k: v for _, arrays in made for k, v in arrays.items()})


# ------------------------------------------------------------------------------------------------ statistics
def test_a_ratio_of_means_is_one_and_has_the_spread_of_the_delta_method():
    rng = np.random.default_rng(0)
    b = rng.exponential(size=40) + 1
    np.testing.assert_allclose(linearised(3 * b, b), 3)
    a = 3 * b + rng.standard_normal(40)
    found = ratio_of_means(a, b)
    assert found.value == pytest.approx(a.mean() / b.mean()) == pytest.approx(linearised(a, b).mean())
    half = 2.2 * (a - found.value * b).std(ddof=1) / np.sqrt(40) / b.mean()
    assert (found.hi - found.lo) / 2 == pytest.approx(half, rel=0.3)
    with pytest.raises(ValueError, match="mean below positive"):
        ratio_of_means(a, -b)


def test_p_of_a_mean_over_seeds_is_where_its_interval_reaches_zero():
    x = np.random.default_rng(1).exponential(size=30) - 0.6
    for shift in (0.2, 0.25, 0.3):
        p = stats.seed_p(x - shift)
        assert 0.01 < p < 0.3
        assert stats.seed_mean(x - shift, level=1 - 2 * p * 1.5).lo > 0
        assert stats.seed_mean(x - shift, level=1 - 2 * p / 1.5).lo < 0
    assert stats.seed_p(np.full(9, 2.0)) == 1.0
    assert stats.seed_p(np.array([1.0, 1.1, 0.9])) == pytest.approx(0.5 * stats.paired_difference([1, 1.1, 0.9], [0, 0, 0])[3])


@pytest.mark.parametrize("sign", [1, -1])
def test_p_errs_in_at_most_the_share_it_says_for_skewed_laws(sign):
    rng, hits = np.random.default_rng(2), 0
    for _ in range(400):
        x = sign * (np.exp(rng.standard_normal(30)) - np.exp(0.5))
        hits += stats.seed_p(x, resamples=1000) < 0.05
    assert hits <= 30  # 20 expected at most; 30 is 2.3 standard deviations above


# ------------------------------------------------------------------------------------------------- what is said
def test_numbers_that_are_known_come_back():
    (row,) = page(records(live=2.0, fallen=6.0)).rows
    assert row.ratio.value == pytest.approx(row.live.value + row.fallen.value) == pytest.approx(8.0, rel=0.2)
    assert row.live.value == pytest.approx(2.0, rel=0.2)
    assert row.ratio.lo < 8 < row.ratio.hi
    assert row.eps == pytest.approx(3.0, rel=0.15)
    assert row.b2 == "HOLDS"
    assert row.b0.startswith("HOLDS at ")
    (expert,) = page(records(live=2.0, fallen=6.0, floor=3.0)).rows  # what the expert itself loses to falls is no mistake of the learner's
    assert row.ratio.value - expert.ratio.value == pytest.approx(row.fallen.value - expert.fallen.value) == pytest.approx(3.0, rel=0.2)
    (linear,) = page(records(live=3.0, late=1.0, jitter=0.01)).rows
    (square,) = page(records(live=3.0, late=2.0, jitter=0.01)).rows
    assert linear.slope.slope == pytest.approx(1.0, abs=0.02)
    assert square.slope.slope == pytest.approx(square.slope_eps.slope) == pytest.approx(2.0, abs=0.02)


def test_more_mistakes_than_the_theorem_allows_are_a_violation():
    made = page(records(eps=0.01, live=900.0, jitter=0.05))
    assert made.violated
    assert made.rows[0].b2 == "VIOLATED"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"live": 4.0}, {"compounds", "covariate shift"}),
        ({"live": 1.0, "fallen": 5.0}, {"compounds", "falls"}),
        ({"live": 1.0, "jitter": 0.1}, {"below"}),
        ({"live": 1.0, "jitter": 1.5}, set()),
        ({"live": 1.0, "jitter": 0.1, "falls": 2}, {"below", "no recovery"}),
        ({"live": 1.0, "jitter": 0.1, "u": 9.0}, {"below", "no recovery"}),
        ({"live": 1.0, "jitter": 0.1, "u": 1.2}, {"below"}),  # .6 of a step: less than the step that was erred on
        ({"live": 1.0, "jitter": 0.1, "late": 2.0}, {"below", "eps grows"}),
    ],
)
def test_every_word_is_decided_by_its_test(given, words):
    (said,) = page(records(**given)).sentences
    assert set(said.words) == words
    assert ("undecided" in said.why) == (not words & {"covariate shift", "falls", "no recovery", "eps grows"})
    assert ("undecided" in said.bc) == (not words & {"compounds", "below"})


def test_dagger_mends_lessens_or_does_nothing_clear():
    bc = records(live=6.0)
    for live, jitter, words, text in (
        (1.0, 0.1, {"dagger: on the line", "dagger: less"}, "mends it"),
        (3.0, 0.2, {"dagger: less"}, "lessens it"),
        (6.0, 0.5, set(), "no clear"),
    ):
        (said,) = page(bc, records(algorithm="dagger", live=live, jitter=jitter)).sentences
        assert set(said.words) - {"compounds", "covariate shift"} == words
        assert said.repairs["dagger"].startswith(text)


def test_heads_side_by_side_have_a_sentence_each():
    made = page(records(live=6.0), records(live=1.0, jitter=0.1, head="flow"))
    said = {s.name: s for s in made.sentences}
    assert set(said) == {"hopper, bc+mse", "hopper, bc+flow"}
    assert "compounds" in said["hopper, bc+mse"].words
    assert "below" in said["hopper, bc+flow"].words
    assert [line.split("  ")[0] for line in compounding_page.summary(made).splitlines() if line.startswith("hopper, ")] == list(said)


def test_words_are_corrected_for_the_number_of_tasks():
    alone = page(records(live=1.25, jitter=0.45)).sentences[0].p["compounds"]
    many = page(records(live=1.25, jitter=0.45), *(records(task=t, jitter=1.0) for t in ("ant", "walker2d", "humanoid"))).sentences
    assert next(s for s in many if s.task == "hopper@1").p["compounds"] == pytest.approx(min(1, 4 * alone), rel=0.01)


def test_the_budget_shown_first_is_the_largest_at_which_bc_neither_fails_nor_is_done():
    made = [records(budget=b, score=s) for b, s in ((1000, 0.1), (2000, 0.5), (5000, 0.9), (9000, 0.99))]
    assert {r.budget for r in diagnosis.primary(page(*made).rows)} == {5000}
    done = [records(budget=b, score=0.99) for b in (1000, 2000)]
    assert {r.budget for r in diagnosis.primary(page(*done).rows)} == {1000}


def test_no_mistake_has_no_ratio_but_a_limit_of_eps():
    made = page(records(eps=0.0))
    (row,) = made.rows
    assert row.ratio is None
    assert row.slope.slope is None
    assert "eps < 5e-06" in row.note  # 3 / (20 x 32 x 1000)
    assert "no mistake" in made.sentences[0].bc


def test_diverged_seeds_are_in_no_number_and_are_said():
    (row,) = page(records(lost=3)).rows
    assert (row.seeds, row.note) == (SEEDS - 3, "3 of 20 diverged")
    assert page(records(lost=SEEDS)) is None


def test_costs_are_means_over_deviations():
    (own, push) = page(records(u=2.0, falls=2)).costs
    assert (own.who, push.who) == ("bc", "a push")
    assert own.count == SEEDS * 40
    assert own.u.value == pytest.approx(1.0, rel=0.3)
    assert own.thirds[2] == 0
    assert own.fall.value == pytest.approx(2 * 7 / (SEEDS * 40))


def test_page_json_and_picture():
    made = page(records(live=4.0), records(algorithm="dagger", live=1.0), records(task="walker2d"))
    text = compounding_page.text(made, "first line", 100)
    assert max(map(len, text.splitlines())) <= 100
    assert "A(H) at eps = 0.003" in text
    written = compounding_page.markdown_page(made, "test@1")
    assert "compounding.svg" in written
    assert "mends it" in written
    assert "on the line" in compounding_page.summary(made)
    json.dumps(tables.plain(made.as_json()), allow_nan=False)
    first = compounding_figure.draw(made.rows)
    assert first == compounding_figure.draw(made.rows)
    assert first.count("hopper") == 1
    assert compounding.build([], {}) == []


@pytest.mark.parametrize("wrong", [np.zeros((3, 5)), np.full((4, len(STEPS)), np.nan), np.array(["a"])])
def test_a_curve_of_another_shape_or_without_numbers_is_set_aside(wrong):
    (record, *_), arrays = records()
    good = arrays[record.id]
    assert source.unusable(record, good) == ""
    assert "snap@0.003 is no finite numbers of the shape [4, " in source.unusable(record, good | {"snap@0.003": wrong})


def test_trained_anew_for_each_horizon_what_is_lost_has_its_slope():
    """A share of .02 (H / 100) of the return is lost: in steps .02 H^2 / 100, slope 2."""
    made = []
    for h in (50, 100, 200, 400):
        for seed in range(6):
            cell = Cell(
                task="hopper@1", expert="0" * 8, algorithm="bc", head="mse", config={}, horizon=h, budget=5 * h,
                evaluation={"episodes": 8, "deltas": [0.3]}, seed=seed,
            )  # fmt: skip
            score = 1 - 0.02 * h / 100 * (1 + 0.01 * seed)
            made.append(make_record(cell, "test@1", status="ok", scores={"score": score}, episodes=Episodes(n=8)))
    (row,) = lengths.build(made)
    assert (row.demonstrations, row.horizons, row.seeds) == (5, (50, 100, 200, 400), 6)
    assert row.slope.slope == pytest.approx(2.0)
    assert row.gap[-1].value == pytest.approx(0.02 * 400 * 4 * 1.025)
    assert "200" in tables.text([lengths.table([row])])
    assert lengths.build([r for r in made if r.cell.horizon < 200]) == []


def test_a_row_is_marked_as_on_the_boards():
    found, arrays = records()
    poor = {"held_out_loss": 0.5, "held_out_loss_half": 1.0, "worse_than_constant": 1.0}
    falls = [r.model_copy(update={"scores": r.scores | poor}) for r in found]
    made = page((falls, arrays))
    assert made.rows[0].marks == "*!"
    assert page((found, arrays)).rows[0].marks == ""
    said = compounding_page.summary(made)
    assert "*: not converged" in said
    assert "B2 1 HOLDS" in said


def test_a_rate_is_what_a_stretch_adds_over_its_steps():
    """Mistakes in t^2 up to t: from s to e they come at e + s a step."""
    middle, rate, low, high = compounding_figure.rates(STEPS, np.stack([1.0 * STEPS**2, 3.0 * STEPS**2, 2.0 * STEPS**2]))
    assert rate[0] == 2.0 * STEPS[0]
    ends = STEPS[compounding_figure._stretches(STEPS)]
    np.testing.assert_allclose(rate[1:], 2.0 * (ends[1:] + ends[:-1]))
    assert (low < rate).all()
    assert (high > rate).all()
    assert middle[-1] < H
