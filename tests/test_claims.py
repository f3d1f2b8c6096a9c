"""Verdicts of claims: nothing that is not finite or too few gets one, and an open claim says what n it would need."""

import re

import numpy as np
import pytest

from ilbench import claims, stats

G = np.random.default_rng(0)
NOISE = G.normal(size=10)


def judged(gap, bound, trivial=100.0, **kw):
    return claims.judge([claims.at_most_estimated("G <= B", gap, bound, trivial, **kw)])[0]


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (lambda: judged([1.0, np.nan, 2.0], [1.0, 2.0, 3.0]), "2 of 3 runs are finite.*n = 10"),
        (lambda: judged([1.0], [9.0]), "n = 10"),
        (lambda: judged(np.full(4, 50.0) + NOISE[:4], np.full(4, 1.0)), "too few.*needs about n = 10"),
        (lambda: judged(10 + NOISE, np.full(10, 10.0)), r"needs about n = \d\d+"),
        (lambda: judged(np.zeros(10), np.zeros(10)), "no n would settle it"),
        (lambda: judged(np.full(10, 1.0), np.zeros(10)), r"rare events.*needs about n = \d+"),
        (lambda: claims.equal("x = 1", 1.0, np.nan, tolerance=1.0), "measured nan"),
        (lambda: claims.at_most("x <= 1", np.inf, 1.0), "measured inf"),
        (lambda: claims.at_most("x <= 1", 0.0, np.nan), "bound nan"),
        (lambda: claims.equivalent("p = 2", 2.0, np.nan, (1.9, 2.1), 0.2, 3), "n = 10 with finite"),
        (lambda: claims.equivalent("p = 2", 2.0, 1.97, (1.8, 2.1), 0.1, 20), "needs about n = 291"),
    ],
)
def test_no_verdict_and_the_n_that_it_takes(claim, says):
    found = claim()
    assert found.verdict == "INCONCLUSIVE"
    assert re.search(says, found.note), found.note


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
