"""The contract checks catch what they are for: heads whose density lies, algorithms that learn nothing or mix seeds."""

import dataclasses

import jax
import jax.numpy as jnp
import plugins
import pytest

from ilbench import densities, registry, testing


def done(head, params, key, t, obs):
    """What a head without memory does."""
    return head.act(params, key, t, (), obs)[1]


def other(head, f):
    """`act` whose action is changed."""
    return {"act": lambda p, k, t, m, o: (m, f(done(head, p, k, t, o)))}


GAUSSIAN = {  # what is replaced in a sound Gaussian head: what the check says
    "off by five": (lambda h: {"log_prob": lambda *a: h.log_prob(*a) + 5.0}, "integrates to"),
    "off by a fifth": (lambda h: {"log_prob": lambda *a: h.log_prob(*a) - 0.2}, "integrates to"),
    "no constant": (
        lambda h: {"log_prob": lambda p, t, o, a: -jnp.sum(jnp.square(a - done(h, p, None, t, o)))},
        "integrates to",
    ),
    "nan": (lambda h: {"log_prob": lambda *a: h.log_prob(*a) * jnp.float32(jnp.nan)}, "NaN at an action"),
    "wide samples": (
        lambda h: {"sample": lambda p, k, t, o: 1.5 * h.sample(p, k, t, o) - 0.5 * done(h, p, k, t, o)},
        "disagree",
    ),
    "shifted samples": (lambda h: {"sample": lambda *a: h.sample(*a) + 0.2}, "disagree|integrate"),
    "no samples": (lambda h: {"sample": lambda *a: done(h, *a)}, "density"),
    "infinite samples": (lambda h: {"sample": lambda *a: h.sample(*a) / 0.0}, "not finite"),
    "wrong sign": (lambda h: other(h, lambda a: -a), "best constant"),
    "out of bounds": (lambda h: other(h, lambda a: 100.0 * a), "the bounds are"),
    "constant": (lambda h: other(h, lambda a: 0.0 * a + 0.3), "best constant"),
}
CATEGORICAL = {
    "no constant": (lambda h: {"log_prob": lambda *a: h.log_prob(*a) + 0.1}, "sum to"),
    "flat samples": (
        lambda h: {"sample": lambda p, k, t, o: jax.random.randint(k, (), 0, 2, jnp.int32)},
        "frequencies",
    ),
    "third action": (lambda h: other(h, lambda a: a + jnp.int32(1)), "of 0 ... 1 are deployed"),
    "other action": (lambda h: other(h, lambda a: jnp.int32(1) - a), "best constant"),
}
HEADS = [("gaussian", "scalar_stable", *v) for v in GAUSSIAN.values()] + [
    ("mlp", "cartpole", *v) for v in CATEGORICAL.values()
]


@pytest.mark.parametrize(("name", "task_id", "change", "said"), HEADS, ids=[*GAUSSIAN, *CATEGORICAL])
def test_heads_that_lie_fail(name, task_id, change, said):
    module, task = registry.load("heads", name), registry.task(task_id)
    head = module.make(task.spec, module.Config())
    with pytest.raises(AssertionError, match=said):
        testing.check_head(dataclasses.replace(head, **change(head)), task)


def test_densities_are_integrated_in_several_dimensions_and_without_samples():
    """A Gaussian's integral is one by closed form, whatever its dimension, width and place."""
    from ilbench.types import Box, Head

    for dim, wide, sampled in ((1, 0.01, False), (1, 3.0, True), (2, 0.05, False), (2, 0.3, True), (3, 0.2, True)):
        mean = jnp.linspace(-0.5, 0.7, dim)

        def log_prob(params, t, obs, action, mean=mean, wide=wide):
            return jnp.sum(-0.5 * jnp.square((action - mean) / wide) - jnp.log(wide) - 0.5 * jnp.log(2 * jnp.pi))

        def draw(params, key, t, obs, mean=mean, wide=wide):
            return mean + wide * jax.random.normal(key, mean.shape)

        head = Head(None, None, lambda p, k, t, m, o, mean=mean: (m, mean), sample=draw if sampled else None, log_prob=log_prob)
        wrong = dataclasses.replace(head, log_prob=lambda *a, f=log_prob: f(*a) + 0.2)
        rest = Box(dim, -1.0, 1.0), (), jnp.int32(0), jnp.zeros(1), jax.random.split(jax.random.key(0), densities.DRAWS)
        densities.check_density(head, *rest)
        with pytest.raises(AssertionError, match="integrates to"):
            densities.check_density(wrong, *rest)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("none", None),
        ("idle", "bought no label"),
        ("miser", r"more than half of its budget unspent: \[100, 100\] of 300"),
        ("neighbour", "depends on the seeds that it runs with"),
        ("position", "depends on the seeds that it runs with"),
    ],
)
def test_algorithms_that_break_their_promises_fail(how, said):
    with plugins.registered("algorithms", cheats="plugins.cheats"):
        run = lambda: testing.check_algorithm("cheats", *testing.tried("algorithms", "cheats"), **{"cheats.how": how})  # noqa: E731
        if said is None:
            run()
            return
        with pytest.raises(AssertionError, match=said):
            run()


def test_an_instrument_buys_nothing(monkeypatch):
    with plugins.registered("algorithms", cheats="plugins.cheats"):
        monkeypatch.setattr(registry.load("algorithms", "cheats"), "INSTRUMENT", True, raising=False)
        with pytest.raises(AssertionError, match="INSTRUMENT and bought"):
            testing.check_algorithm("cheats", "scalar_stable", "linear", 300)


def test_what_is_tried_is_declared():
    with (
        plugins.registered("algorithms", faulty="plugins.faulty"),
        pytest.raises(AssertionError, match=r"TRY = \(task, head"),
    ):
        testing.tried("algorithms", "faulty")
