"""The pair of plants and the thresholds of chunks: printed numbers, and chunked policies against exact maps."""

import numpy as np
import pytest

from ilbench.exact import linear_errors as exact
from ilbench.stats.claims import failed, judge
from ilbench.theory import t14_pitfall_and_chunk as check

(A1, A2), (K1, K2) = exact.PAIR_A, exact.PAIR_K


def test_the_pair_is_what_section_10_prints():
    assert [round(exact.radius(A), 4) for A in (A1, A2)] == [0.95, 0.9731]
    for A, K in ((A1, K1), (A2, K2)):
        np.testing.assert_allclose(A + K, np.diag([0, 0.8]), atol=1e-15)
    assert (K1[:, 1] == K2[:, 1]).all()
    assert A1[0, 0] - A2[0, 0] == 2.2


def test_no_feedback_that_agrees_on_e2_does_better_than_1_1():
    worst = check._agreeing()
    assert worst.min() == pytest.approx(1.1, abs=1e-12)


@pytest.mark.parametrize(("length", "factor"), [(6, 1.0629), (7, 0.9566)])
def test_scalar_chunk_factor(length, factor):
    assert round(exact.radius(exact.chunk_map(0.9, -0.9, 0.9, length)), 4) == factor
    assert exact.radius(exact.chunk_map(0.9, -0.9, 0.9, length)) == pytest.approx(2 * 0.9**length)


def test_thresholds():
    assert exact.chunk_threshold(0.9, -0.9, 0.9) == 7
    assert round(np.log(2) / np.log(1 / 0.9), 2) == 6.58
    assert exact.chunk_threshold(A1, A2, K2) == 75
    assert exact.chunk_threshold(A2, A1, K1) == 31
    with pytest.raises(ValueError, match="do not contract"):
        exact.chunk_threshold(1.2, -1.2, 1.2)


@pytest.mark.parametrize(
    ("length", "printed"), [(1, ".010"), (2, ".016"), (4, ".027"), (8, ".063"), (16, ".278"), (32, "5.15")]
)
def test_noise_at_the_end_of_an_open_loop_chunk(length, printed):
    sd = exact.open_loop_sd(1.2, 0.01, length)
    assert (f"{sd:.3f}"[1:] if sd < 1 else f"{sd:.2f}") == printed


def test_chunk_of_one_action_is_the_closed_loop():
    np.testing.assert_allclose(exact.chunk_map(A1, A2, K2, 1), A1 + K2)
    with pytest.raises(ValueError, match="at least 1 action"):
        exact.chunk_map(A1, A2, K2, 0)


def test_exact_mode_has_no_failures():
    assert not failed(judge(check.measure("exact", lambda text: None).claims))


def test_planned_chunks_in_a_rollout_are_the_exact_map():
    from ilbench.theory.instances.chunks import planned, plant
    from ilbench.theory.instances.nudge import observations

    task = plant("test", A1, K1, 11, start=[1.0, 1.0])
    x = observations(task, planned(A2, K2, 5, 2), 2, 3, "test")
    np.testing.assert_allclose(x[:, :, 10], x[:, :, 5] @ exact.chunk_map(A1, A2, K2, 5).T, rtol=2e-5)


def test_predicted_chunks_execute_every_action_of_a_prediction():
    import jax.numpy as jnp

    from ilbench.theory.instances.chunks import plant, predicted
    from ilbench.theory.instances.nudge import observations
    from ilbench.types import Head

    head = Head(
        lambda key: jnp.zeros(()),
        lambda *a: jnp.zeros(()),
        lambda p, key, t, memory, obs: (memory, obs[0] + p + jnp.arange(3, dtype=jnp.float32)),
    )
    task = plant("test", 0.0, 0.0, 7, start=[1.0])  # x' = u, so states are the actions
    x = observations(task, predicted(head, np.zeros(2, np.float32), 3, 1), 2, 2, "test")[..., 0]
    first = x[..., :1]
    np.testing.assert_allclose(x[..., 1:], first + np.array([0, 1, 2, 2, 3, 4]), atol=1e-6)


def test_windows_are_the_labels_that_follow():
    from ilbench.theory.instances.chunks import windows
    from ilbench.types import Demos

    t = np.arange(6.0)[None, None, :, None]
    obs, chunks = windows(Demos(obs=t, label=10 * t), 3, 2)
    assert obs[0, :, 0].tolist() == [0, 1]
    assert chunks[0].tolist() == [[0, 10, 20], [10, 20, 30]]
