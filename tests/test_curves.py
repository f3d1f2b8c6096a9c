"""A claim along a curve: inside, outside, too wide, and counterexamples."""

import numpy as np
import pytest

from ilbench.stats.curves import along

UP, DOWN = np.inf, -np.inf


@pytest.mark.parametrize(
    ("measured", "half", "low", "high", "expected", "verdict"),
    [
        ([1.0, 2.02], 0.05, [1, 2], [1, 2], "holds", "HOLDS"),
        ([1.0, 2.02], 0.5, [1, 2], [1, 2], "holds", "INCONCLUSIVE"),  # contains the curve, but is wider than the margin
        ([1.0, 2.07], 0.05, [1, 2], [1, 2], "holds", "INCONCLUSIVE"),  # outside at 95 %, inside at 99.9 %
        ([1.0, 2.90], 0.05, [1, 2], [1, 2], "holds", "VIOLATED"),
        ([-3.0, -0.01], 0.05, DOWN, 0, "holds", "HOLDS"),
        ([-3.0, 0.30], 0.05, DOWN, 0, "holds", "VIOLATED"),
        ([-3.0, 0.30], 0.05, DOWN, 0, "fails", "REFUTED AS EXPECTED"),
        ([-3.0, -0.01], 0.05, DOWN, 0, "fails", "NOT REFUTED"),
        ([3.0, 0.01], 0.05, 0, UP, "holds", "HOLDS"),
    ],
)
def test_verdict(measured, half, low, high, expected, verdict):
    m = np.array(measured)
    claim = along(
        "x",
        m,
        lambda level: (m - half * (1 + (level > 0.99)), m + half * (1 + (level > 0.99))),
        low,
        high,
        0.1,
        9,
        expected=expected,
    )
    assert claim.verdict == verdict
    assert claim.interval[0] <= claim.measured <= claim.interval[1]


@pytest.mark.parametrize(("expected", "verdict"), [("holds", "VIOLATED"), ("fails", "NOT REFUTED")])
@pytest.mark.parametrize("broken", ["measured", "band", "curve"])
def test_a_point_that_is_not_a_number_fails_whatever_was_expected(broken, expected, verdict):
    hole = np.array([1.0, np.nan])
    m, limits, curve = (hole if broken == name else np.array([1.0, 2.0]) for name in ("measured", "band", "curve"))
    claim = along("x", m, lambda level: (limits - 0.05, limits + 0.05), curve, curve, 0.1, 9, expected=expected)
    assert claim.verdict == verdict
    assert claim.note.startswith("not finite: 1 of 2 points")


def test_limits_without_end_give_no_verdict():
    m = np.array([1.0, 2.0])
    assert along("x", m, lambda level: (m - np.inf, m + np.inf), m, m, 0.1, 9).verdict == "INCONCLUSIVE"
