"""Verdicts of claims: nothing that is not finite or too few gets one, and an open claim says what n it would need."""

import json
import re

import numpy as np
import pytest

from ilbench import stats
from ilbench.stats import claims

G = np.random.default_rng(0)
NOISE = G.normal(size=10)


def judged(gap, bound, trivial=100.0, **kw):
    return claims.judge([claims.at_most_estimated("G <= B", gap, bound, trivial, **kw)])[0]


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (lambda: judged([1.0], [9.0]), "n = 10"),
        (lambda: judged(np.full(4, 50.0) + NOISE[:4], np.full(4, 1.0)), "too few.*needs about n = 10"),
        (lambda: judged(10 + NOISE, np.full(10, 10.0)), r"needs about n = \d\d+"),
        (lambda: judged(np.zeros(10), np.zeros(10)), "no n would settle it"),
        (lambda: judged(np.full(10, 1.0), np.zeros(10)), r"rare events.*needs about n = \d+"),
        (lambda: claims.equivalent("p = 2", 2.0, 2.0, (-np.inf, np.inf), 0.2, 3), "no finite interval.*needs n = 10"),
        (lambda: claims.equivalent("p = 2", 2.0, 2.0, (np.nan, np.nan), 0.2, 1), "no finite interval.*needs n = 10"),
        (lambda: claims.equivalent("p = 2", 2.0, 1.97, (1.8, 2.1), 0.1, 20), "needs about n = 291"),
    ],
)
def test_no_verdict_and_the_n_that_it_takes(claim, says):
    found = claim()
    assert found.verdict == "INCONCLUSIVE"
    assert re.search(says, found.note), found.note


@pytest.mark.parametrize(("expected", "verdict"), [("holds", "VIOLATED"), ("fails", "NOT REFUTED")])
@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (lambda e: claims.equal("x = 1", 1.0, np.nan, tolerance=1.0, expected=e), "measured nan"),
        (lambda e: claims.equal("x = 1", 1.0, np.inf, tolerance=1.0, expected=e), "measured inf"),
        (lambda e: claims.equal("x = 1", np.nan, 1.0, tolerance=1.0, expected=e), "predicted nan"),
        (lambda e: claims.equal("x = inf", np.inf, np.inf, tolerance=1.0, expected=e), "predicted inf"),
        (lambda e: claims.equal("x = 1", 1.0, np.nan, tolerance=1.0, kind="E", expected=e), "measured nan"),
        (lambda e: claims.at_most("x <= 1", np.nan, 1.0, expected=e), "measured nan"),
        (lambda e: claims.at_most("x <= 1", np.inf, 1.0, expected=e), "measured inf"),
        (lambda e: claims.at_most("x <= 1", -np.inf, 1.0, expected=e), "measured -inf"),
        (lambda e: claims.at_most("x <= 1", 0.0, np.nan, expected=e), "bound nan"),
        (lambda e: claims.at_most("x <= 1", 0.0, -np.inf, expected=e), "bound -inf"),
        (lambda e: judged([1.0, np.nan, 2.0], [1.0, 2.0, 3.0], expected=e), "1 of 3 runs"),
        (lambda e: judged([1.0, 2.0, 3.0], [1.0, np.inf, 3.0], expected=e), "1 of 3 runs"),
        (lambda e: judged([np.nan], [1.0], expected=e), "1 of 1 runs"),
        (lambda e: judged(np.full((4, 2), np.nan), np.ones((4, 2)), expected=e), "4 of 4 runs"),
        (lambda e: claims.equivalent("p = 2", 2.0, np.nan, (1.9, 2.1), 0.2, 3, expected=e), "measured nan"),
        (lambda e: claims.equivalent("p = 2", 2.0, 2.0, (np.nan, 2.1), 0.2, 3, expected=e), r"\[nan, 2.1\]"),
        (lambda e: claims.equivalent("p = 2", np.nan, 2.0, (1.9, 2.1), 0.2, 3, expected=e), "predicted nan"),
        (lambda e: claims.above("x > 0", [1.0, np.nan], 0.0, expected=e), "1 of 2 runs"),
        (lambda e: claims.above("x > 0", [1.0, np.inf], 0.0, kind="E", expected=e), "1 of 2 runs"),
    ],
)
def test_a_number_that_is_not_finite_fails_whatever_was_expected(claim, says, expected, verdict):
    found = claim(expected)
    assert found.verdict == verdict
    assert re.search(f"^not finite: .*{says}", found.note), found.note
    assert claims.failed(claims.judge([found])) == [found]
    json.dumps(found.as_json(), allow_nan=False)


def test_an_infinite_bound_says_nothing_and_is_not_broken():
    assert claims.at_most("x <= inf", 1.0, np.inf, trivial=10.0).verdict == "VACUOUS"


def test_verdicts_where_the_data_speak():
    assert judged(10 + NOISE, 20 + NOISE[::-1]).verdict == "HOLDS"
    assert judged(30 + NOISE, 10 + NOISE[::-1]).verdict == "VIOLATED"
    assert judged(30 + NOISE, 10 + NOISE[::-1], expected="fails").verdict == "REFUTED AS EXPECTED"
    assert judged(np.full(20, 99.0), np.zeros(20)).verdict == "VIOLATED"  # glaring: a bet is enough
    assert judged(np.zeros((20, 64)), np.full((20, 64), 0.5)).verdict == "HOLDS"  # no failure in 1280 episodes
    assert judged(np.zeros(20), np.full(20, 0.5)).verdict == "INCONCLUSIVE"  # in 20 runs of unknown length


def test_the_n_that_is_asked_for_settles_the_claim():
    g = np.random.default_rng(1)
    first = judged(10 + NOISE, 10.4 + np.zeros(10))
    n = int(first.note.rsplit("= ", 1)[1])
    mean, sd = (NOISE - 0.4).mean(), NOISE.std(ddof=1)
    again = [judged(10.4 + g.normal(mean, sd, n), np.full(n, 10.4)).verdict for _ in range(200)]
    assert np.mean([v != "INCONCLUSIVE" for v in again]) >= 0.85


def test_claims_that_cannot_fail_do_not_thin_the_family():
    strong = stats.gap_bound(10.4 + 0.3 * NOISE, np.full(10, 9.5), 99.0)
    weak = strong._replace(may_fail=False, p=1.0)
    alone = stats.verdicts([strong])
    assert alone == ["VIOLATED"]
    assert stats.verdicts([strong, *[weak] * 500])[0] == "VIOLATED"
