"""Rows with windows, against a loop: K observations back, L labels ahead, across starts, ends, falls and steps without a label."""

import numpy as np
import pytest

from ilbench.training.rows import rows
from ilbench.types import Demos

H = 6
RNG = np.random.default_rng(0)
HAD = np.array(
    [
        [[1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0]],
        [[0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0], [0, 1, 0, 1, 0, 1]],
    ],
    bool,
)
OBS = RNG.normal(size=(2, 3, H, 2)).astype(np.float32)
LABEL = np.where(HAD[..., None], RNG.normal(size=(2, 3, H, 1)), 0).astype(np.float32)
DEMOS = Demos(obs=OBS, label=LABEL, revealed=HAD)


def looped(s, back, ahead):
    """Every labelled row of a seed: (t, observations, labels, which of them there are)."""
    for n in range(3):
        for t in range(H):
            if not HAD[s, n, t]:
                continue
            run = 1
            while run < ahead and t + run < H and HAD[s, n, t + run]:
                run += 1
            seen = [OBS[s, n, max(0, t - k)] for k in range(back - 1, -1, -1)]
            yield t, seen, [LABEL[s, n, t + min(k, run - 1)] for k in range(ahead)], [float(k < run) for k in range(ahead)]


@pytest.mark.parametrize("window", [(1, 1), (3, 1), (1, 4), (2, 3), (H, H)])
@pytest.mark.parametrize("capacity", [None, 15])
def test_a_window_holds_what_came_before_and_the_labels_in_a_row(window, capacity):
    data = rows(DEMOS, capacity, window)
    for s in range(2):
        there = data.weight[s] > 0
        t, obs, action, valid = (np.array(x) for x in zip(*looped(s, *window), strict=True))
        np.testing.assert_array_equal(data.t[s][there], t)
        if window == (1, 1):
            assert data.valid is None
            obs, action = obs[:, 0], action[:, 0]
        else:
            np.testing.assert_array_equal(data.valid[s][there], valid)
            obs, action = (obs if window[0] > 1 else obs[:, 0]), (action if window[1] > 1 else action[:, 0])
        np.testing.assert_array_equal(data.obs[s][there], obs)
        np.testing.assert_array_equal(data.action[s][there], action)


def test_a_window_longer_than_an_episode_is_refused():
    with pytest.raises(ValueError, match="longer than an episode of 6 steps"):
        rows(DEMOS, None, (1, H + 1))
