"""What the lab means: which rows are fitted, what the ledger counts (found again by replaying), demonstrations that all share."""

import jax
import numpy as np
import pytest
import toys
from toys import Spy

from ilbench import registry
from ilbench.compute import memory
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import seed_keys
from ilbench.training import fit
from ilbench.training.deployed import choose, finite, mixture, to_policy
from ilbench.training.fit import FitConfig
from ilbench.training.rows import concatenate, rows

SEEDS = (0, 1, 2)


def _spy(task, head="linear", budget=10**6, seeds=SEEDS, fit_config=FitConfig(), **settings):  # noqa: B008  frozen
    module = registry.load("heads", head)
    return Spy(task, module.make(task.spec, module.Config()), seeds, budget, fit_config, **settings)


@pytest.fixture(scope="module")
def fallen():
    """Rollouts with falls, labels bought half of the time, two collections of them, and the lab."""
    lab = _spy(toys.counter())
    policy = toys.constant(np.tile(np.float32([[[0.5, 0.25]]]), (3, 1, 1)))
    parts = [lab.collect(5, lab.same(mixed(lab.task.env.action, 8, reveal=0.5)), policy) for _ in range(2)]
    return lab, parts


def test_rows_are_the_labels_bought_on_live_steps_in_the_order_of_episodes_and_steps(fallen):
    _, parts = fallen
    assert not all(x.alive.all() for x in parts)
    data = rows(concatenate(parts))
    for s in range(3):
        one, two = (toys.labelled(x, s) for x in parts)
        toys.same_rows(toys.existing(data, s), jax.tree.map(lambda *x: np.concatenate(x), one, two))
        toys.same_rows(toys.existing(rows(parts[1]), s), two)
        assert len(two.t) < parts[1].alive[s].sum() < 40
        assert set(np.asarray(data.weight)[s]) == {0, 1}


def test_the_ledger_counts_labels_revealed_and_steps_lived(fallen):
    lab, parts = fallen
    length = [np.minimum(4 + np.floor(3 * x.obs[:, :, 0, 0]), 8).sum(1) for x in parts]
    np.testing.assert_array_equal(lab.ledger.env_steps, sum(length))
    np.testing.assert_array_equal(lab.ledger.labels, sum(x.revealed.sum((1, 2)) for x in parts))
    assert (lab.ledger.labels < lab.ledger.env_steps).all()
    assert len(set(lab.ledger.labels.tolist())) > 1  # every seed pays for itself


def test_each_collection_is_of_fresh_episodes(fallen):
    _, parts = fallen
    starts = np.concatenate([x.obs[:, :, 0, 0] for x in parts], axis=1)
    assert len(np.unique(starts)) == starts.size == 30
    lab = _spy(toys.counter())
    policy = toys.constant(np.tile(np.float32([[[0.5, 0.25]]]), (3, 1, 1)))
    # A call's episodes are its own, however many of them there are.
    for part, count in zip(parts, (2, 5), strict=True):
        again = lab.collect(count, lab.same(mixed(lab.task.env.action, 8, reveal=0.5)), policy)
        np.testing.assert_array_equal(again.obs, part.obs[:, :count])
        np.testing.assert_array_equal(again.revealed, part.revealed[:, :count])


def test_a_gate_that_hardly_opens_is_stopped_before_memory_is_full(monkeypatch):
    """One label of eight steps: what 40 labels take is known only while they are bought."""
    lab = _spy(toys.counter())
    policy = toys.constant(np.tile(np.float32([[[0.5, 0.25]]]), (3, 1, 1)))
    seldom = lab.same(mixed(lab.task.env.action, 8, reveal=0.02))
    share, calls = [1.01], []

    def taken(parts, count, had, wanted):
        there = sum(leaf.nbytes for demos in parts for leaf in jax.tree.leaves(demos))
        more = there * count / sum(demos.alive.shape[1] for demos in parts)
        monkeypatch.setattr(memory, "available", lambda: share[0] * (there + 2 * more) / memory.SPARE)  # a copy of all, and more twice
        calls.append(count)
        return type(lab)._holds(lab, parts, count, had, wanted)

    monkeypatch.setattr(lab, "_holds", taken)
    assert lab.collect(labels=4, behaviour=seldom, policy=policy) is not None
    assert lab.ledger.labels.tolist() == [4] * 3
    assert len(calls) > 1, "as much as is needed is enough"
    share[0] = 0.99
    with pytest.raises(memory.TooLarge, match=r"bought seed \d \d+ of 40 labels.*--seeds 0-4"):
        lab.collect(labels=40, behaviour=seldom, policy=policy)


def test_labels_are_bought_to_the_last_one_whatever_falls_do():
    """Episodes live 4 to 6 of 8 steps: every seed gets exactly its labels, and nothing of what was rolled beyond."""
    policy = toys.constant(np.tile(np.float32([[[0.5, 0.25]]]), (3, 1, 1)))
    lab, other = _spy(toys.counter(), budget=50), _spy(toys.counter())
    whole = other.collect(12, other.same(mixed(other.task.env.action, 8)), policy)
    wanted = np.array([17, 1, 30])
    made = lab.collect(labels=wanted, behaviour=lab.same(mixed(lab.task.env.action, 8)), policy=policy)
    np.testing.assert_array_equal(lab.ledger.labels, wanted)
    np.testing.assert_array_equal(lab.ledger.env_steps, wanted)
    for s, count in enumerate(wanted):
        first = toys.labelled(whole, s)
        toys.same_rows(toys.labelled(made, s), jax.tree.map(lambda x, count=count: x[:count], first))
        assert made.alive[s].sum() == count
        assert not made.label[s][~made.revealed[s]].any()
        end = np.flatnonzero(made.alive[s].ravel())[-1] + 1
        assert not made.action[s].reshape(-1, 2)[end:].any()  # an expert's executed action would be a label too
    np.testing.assert_array_equal(lab.remaining, 50 - wanted)
    data = rows(made, 50)
    assert np.shape(data.obs) == (3, 50, 3)
    for s in range(3):
        toys.same_rows(toys.existing(data, s), toys.labelled(made, s))
    with pytest.raises(ValueError, match="do not fit into 29"):
        rows(made, 29)


def test_a_mixture_is_dealt_by_seed_and_episode_whichever_seeds_are_collected_with():
    """Seed 2's iterates fall early or live long; how many episodes a call rolls follows the slowest seed of the batch."""
    wanted = 170
    actions = np.stack([np.full((3, 2), 0.125 * m, np.float32) for m in range(3)], axis=1)  # [S, M, A], told apart
    found = {}
    for seeds, labels in (((0, 1, 2), np.array([400, 30, wanted])), ((2,), np.array([wanted]))):
        lab = _spy(toys.counter(), seeds=seeds)
        behaviour = lab.same(mixed(lab.task.env.action, 8))
        made = lab.collect(labels=labels, behaviour=behaviour, policy=toys.constant(actions[: len(seeds)]))
        found[seeds] = made.action[-1][made.alive[-1]]
    np.testing.assert_array_equal(found[0, 1, 2], found[2,])
    assert len(np.unique(found[2,])) == 3


def test_an_experts_executed_action_is_a_label_and_control_is_counted():
    lab = _spy(toys.counter(stop=8))
    made = lab.collect(6, lab.same(mixed(lab.task.env.action, 8, beta=0.5, reveal=0.0)), toys.constant(np.zeros((3, 1, 2), np.float32)))
    acts = made.actor == 1
    np.testing.assert_array_equal(lab.ledger.labels, acts.sum((1, 2)))
    changes = acts[:, :, 1:] != acts[:, :, :-1]
    np.testing.assert_array_equal(lab.ledger.switches, changes.sum((1, 2)))
    np.testing.assert_array_equal(lab.ledger.takeovers, (changes & acts[:, :, 1:]).sum((1, 2)))
    after = [sum(acts[s, n, t] and not acts[s, n, :t].all() for n in range(6) for t in range(8)) for s in range(3)]
    np.testing.assert_array_equal(lab.ledger.takeover_steps, after)
    assert 0 < lab.ledger.takeovers.min() < lab.ledger.takeover_steps.min()
    alone = _spy(toys.counter(stop=8))
    alone.demonstrate(2)
    assert [x.sum() for x in (alone.ledger.takeovers, alone.ledger.takeover_steps, alone.ledger.switches)] == [0, 0, 0]


def test_a_fall_is_no_switch():
    lab = _spy(toys.counter(stop=3))
    made = lab.collect(8, lab.same(mixed(lab.task.env.action, 8, beta=0.5, reveal=0.0)), toys.constant(np.zeros((3, 1, 2), np.float32)))
    lived = [[made.actor[s, n][made.alive[s, n]] for n in range(8)] for s in range(3)]
    assert min(len(x) for one in lived for x in one) < 8
    assert any(x[-1] == 1 for one in lived for x in one)  # some fell in the expert's hands
    np.testing.assert_array_equal(lab.ledger.switches, [sum((x[1:] != x[:-1]).sum() for x in one) for one in lived])


def test_an_algorithm_cannot_change_what_the_cell_gave_it_or_what_was_counted():
    lab = _spy(toys.counter(), budget=20)
    for name in ("budget", "seeds", "task", "head", "fit_config", "ledger"):
        with pytest.raises(AttributeError, match="belongs to the cell"):
            setattr(lab, name, 10**9)
    lab.ledger.labels[:] = -100
    lab.demonstrate()
    assert lab.ledger.labels.tolist() == [20] * 3
    with pytest.raises(ValueError, match="spent"):
        lab.demonstrate(1)


def test_demonstrations_are_the_experts_and_the_same_for_every_algorithm():
    task = registry.task("double_integrator", 10)
    shared = {}
    labs = [_spy(task), _spy(task, demos_cache=shared), _spy(task, demos_cache=shared)]
    # Others may have asked for labels before: demonstrations are a stream of their own.
    labs[2].collect(3, labs[2].same(mixed(task.env.action, 10)), to_policy(labs[2].head, fit.init(labs[2].head, labs[2].keys("x"))))
    spent = [lab.ledger.labels.copy() for lab in labs]
    found = [lab.demonstrate(4) for lab in labs]
    gain, limit = np.float64(task.expert.params.gain), float(task.expert.params.limit)
    for lab, demos, before in zip(labs, found, spent, strict=True):
        np.testing.assert_array_equal(demos.obs, found[0].obs)
        assert (demos.actor == 1).all()
        assert demos.revealed.all()
        np.testing.assert_array_equal(demos.action, demos.label)
        want = np.clip(-demos.obs @ gain.T, -limit, limit)
        np.testing.assert_allclose(demos.label, want, atol=1e-5)
        np.testing.assert_array_equal(lab.ledger.labels - before, [40] * 3)  # shared, and paid for by each
    assert len(np.unique(found[0].obs[:, :, 0].reshape(-1, 2), axis=0)) == 12
    alone = _spy(task, seeds=(2,)).demonstrate(4)
    np.testing.assert_allclose(alone.obs[0], found[0].obs[2], atol=1e-5)


def test_labels_beyond_the_budget_are_not_bought():
    task = registry.task("double_integrator", 10)
    lab = _spy(task, budget=25)
    assert lab.episodes == 2
    lab.demonstrate(2)
    policy = to_policy(lab.head, fit.init(lab.head, lab.keys("x")))
    lab.collect(1, lab.same(mixed(task.env.action, 10)), policy)  # given what is left: half an episode
    assert lab.ledger.labels.tolist() == [25] * 3
    assert lab.demos()[-1].alive.sum(2).tolist() == [[5]] * 3
    with pytest.raises(ValueError, match="25 of 25 are spent"):
        lab.collect(1, lab.same(mixed(task.env.action, 10)), policy)
    with pytest.raises(ValueError, match="budget"):
        _spy(task, budget=9).demonstrate(0)


def _fallen_after(start, pushes):
    """Steps that cartpole lives when pushed so, in float64 by its own equations of motion."""
    x, v, angle, omega = np.float64(start)
    for n, push in enumerate(pushes):
        if abs(x) > 2.4 or abs(angle) > np.deg2rad(12):
            return n
        force, sin, cos = 10.0 if push else -10.0, np.sin(angle), np.cos(angle)
        shove = (force + 0.05 * omega**2 * sin) / 1.1
        turn = (9.8 * sin - cos * shove) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        rush = shove - 0.05 * turn * cos / 1.1
        x, v, angle, omega = x + 0.02 * v, v + 0.02 * rush, angle + 0.02 * omega, omega + 0.02 * turn
    return len(pushes)


def test_dagger_is_charged_for_the_steps_its_learner_lives_and_no_dead_step_is_fitted():
    task, budget = registry.task("cartpole", 40), 480
    result, lab = toys.trained(
        task, "dagger", "mlp", budget, SEEDS, {"rounds": 3}, {"width": 4, "depth": 1}, updates=6, batch=8
    )
    last = lab.of("fit")[-1][0]
    for demos in lab.demos():
        for s in range(3):
            for n in range(demos.alive.shape[1]):
                lived = int(demos.alive[s, n].sum())
                np.testing.assert_array_equal(demos.alive[s, n], np.arange(40) < lived)
                # Alive until it fell, or until the labels ran out: never beyond the fall.
                assert lived <= _fallen_after(demos.obs[s, n, 0], demos.action[s, n])
    fell = [
        _fallen_after(d.obs[s, n, 0], d.action[s, n]) < 40
        for d in lab.demos() for s in range(3) for n in range(d.alive.shape[1]) if d.alive[s, n].any()
    ]  # fmt: skip
    assert any(fell)
    # Every step that is lived is labelled, and what falls leave over is spent on more episodes, to the last label.
    np.testing.assert_array_equal(lab.ledger.env_steps, sum(d.alive.sum((1, 2)) for d in lab.demos()))
    np.testing.assert_array_equal(lab.ledger.labels, [budget] * 3)
    np.testing.assert_array_equal(lab.ledger.labels, sum(d.revealed.sum((1, 2)) for d in lab.demos()))
    everything = {tuple(row) for d in lab.demos() for s in range(3) for row in toys.labelled(d, s).obs.tolist()}
    for s in range(3):
        fitted = toys.existing(last, s)
        assert {tuple(row) for row in fitted.obs.tolist()} <= everything
        gain = np.asarray(task.expert.params, np.float64)
        np.testing.assert_array_equal(fitted.action, fitted.obs @ gain > 0)
    assert result.selected == "last"


def test_gradient_steps_are_counted_and_a_fit_is_of_the_seeds_own_rows():
    task = registry.task("double_integrator", 10)
    lab = _spy(task, head="mse", seeds=(0, 1), fit_config=FitConfig(updates=7, batch=4))
    data = rows(lab.demonstrate(2))
    params, losses = lab.fit(data)
    assert lab.ledger.gradient_steps == 7
    lab.fit(data, start=params, stages=3)  # a method that fits in rounds takes them all in each
    assert lab.ledger.gradient_steps == 14
    shared = _spy(task, head="mse", seeds=(0, 1), fit_config=FitConfig(updates=7, batch=4, equal_steps=True))
    shared.fit(data, stages=3)
    assert shared.ledger.gradient_steps == 2
    # With the seeds' rows exchanged, each seed's fit changes.
    other = _spy(task, head="mse", seeds=(0, 1), fit_config=lab.fit_config)
    swapped, _ = other.fit(jax.tree.map(lambda x: np.asarray(x)[::-1].copy(), data))
    for a, b in zip(jax.tree.leaves(params["norm"]), jax.tree.leaves(swapped["norm"]), strict=True):
        np.testing.assert_array_equal(a, np.asarray(b)[::-1])
    assert np.isfinite(losses).all()
    with_start = _spy(task, head="mse", seeds=(0, 1), fit_config=FitConfig(updates=1, batch=4, learning_rate=1e-12))
    went_on, _ = with_start.fit(data, start=params)
    for a, b in zip(jax.tree.leaves(params["net"]), jax.tree.leaves(went_on["net"]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


# ------------------------------------------------------------------------------------------------ parameters
def test_a_mixture_holds_every_iterate_and_choose_takes_each_seeds_own():
    task = registry.task("recoverable", 4)
    module = registry.load("heads", "table")
    head = module.make(task.spec, module.Config())
    iterates = [
        {"counts": np.full((3, 1, 2, 2), i, np.float32) + np.arange(3.0)[:, None, None, None]} for i in range(4)
    ]
    mixed_ = mixture(head, iterates).params["counts"]
    assert mixed_.shape == (3, 4, 1, 2, 2)
    np.testing.assert_array_equal(mixed_[:, :, 0, 0, 0], np.arange(4) + np.arange(3)[:, None])
    chosen = choose(iterates, np.array([2, 0, 3]))["counts"]
    np.testing.assert_array_equal(chosen[:, 0, 0, 0], [2, 1, 5])
    assert to_policy(head, iterates[0]).params["counts"].shape == (3, 1, 1, 2, 2)
    broken = {"a": np.array([[1.0, 2], [np.nan, 0], [3, 4]]), "b": np.array([[0.0], [0], [np.inf]])}
    np.testing.assert_array_equal(finite(broken), [True, False, False])


def test_streams_of_the_lab_are_the_seeds_own():
    lab = _spy(registry.task("recoverable", 4), head="table")
    a, b = (np.asarray(jax.random.key_data(lab.keys(name))) for name in "ab")
    assert len(np.unique(np.concatenate([a, b]), axis=0)) == 6
    single = _spy(registry.task("recoverable", 4), head="table", seeds=(1,)).keys("a")
    np.testing.assert_array_equal(jax.random.key_data(single)[0], a[1])
    assert not np.array_equal(a, jax.random.key_data(seed_keys("a", SEEDS)))


def test_a_branch_is_the_learner_then_one_action_then_the_expert():
    lab = _spy(toys.counter(stop=8), budget=10_000)
    found = lab.branch(toys.constant(np.zeros((3, 1, 2), np.float32)), 6, explore=0.5)
    steps, at = np.arange(8), found.step[..., None]
    assert len(np.unique(found.step)) > 4
    np.testing.assert_array_equal(found.deviated.actor, steps > at)
    np.testing.assert_array_equal(found.straight.actor, steps >= at)
    for one in (found.deviated, found.straight):
        np.testing.assert_array_equal(one.revealed, one.alive & (steps == at))
        assert not one.action[steps < at].any()  # the learner's
    np.testing.assert_array_equal(found.deviated.obs[steps <= at], found.straight.obs[steps <= at])
    here = found.deviated.alive & (steps == at)
    pushed = np.linalg.norm(found.deviated.action[here] - found.straight.action[here], axis=-1)
    np.testing.assert_allclose(pushed, 0.5, rtol=1e-5)
    both = [((x.revealed | (x.actor == 1)) & x.alive).sum((1, 2)) for x in (found.deviated, found.straight)]
    np.testing.assert_array_equal(lab.ledger.labels, sum(both))
