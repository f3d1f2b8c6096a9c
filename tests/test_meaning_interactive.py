"""What the classics of interaction mean, against exact populations: who acts, where labels are bought, what is deployed."""

import numpy as np
import pytest
import toys

from ilbench import plugins, registry
from ilbench.algorithms import aggrevate, forward, smile, stagger
from ilbench.compute import parallel
from ilbench.exact import dp, interactive
from ilbench.exact.mdp import MDP
from ilbench.rollouts.behaviours import mixed
from ilbench.training import deployed
from ilbench.training import lab as lab_module
from ilbench.training.fit import FitConfig

H, S, A = 4, 6, 2
ALIAS, EXPERT = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 1, 0, 1, 0])


def _mdp():
    """Actions lead far apart, so that what a learner does not see costs it."""
    rng = np.random.default_rng(5992)  # whose leaders differ from law to law, by margins that samples of this size tell
    P = rng.dirichlet(np.full(S, 0.3), (S, A))
    return MDP(P, rng.random((S, A)), rng.dirichlet(np.ones(S)))


def _matches(counts, mass):
    """Asserts that counts `[..., O, A]` of n labels are n times the exact masses, and that their leaders agree."""
    n = counts.sum((-1, -2), keepdims=True)
    sd = np.sqrt(n * mass * (1 - mass))
    # Steps of an episode depend on each other: of at most H in a row the deviation is at most sqrt(H) times as large.
    assert (np.abs(counts - n * mass) <= 4.5 * sd * np.sqrt(H) + 1).all(), (counts / n, mass)
    assert (counts.argmax(-1) == mass.argmax(-1)).all()


def _counts(policy):
    """Tables `[M, O, A]` of a policy of iterates, one seed."""
    return np.asarray(policy.params["iterates"]["counts"])[0, 0, :, 0]


# ------------------------------------------------------------------------------------------------ forward
def test_forward_trains_each_step_on_the_law_that_its_predecessors_induce():
    mdp, each = _mdp(), 20_000
    task = toys.aliased(mdp, EXPERT, ALIAS, H)
    result, lab = toys.trained(task, "forward", "table", H * each, (3,), {"blocks": H})
    policies, losses = interactive.forward_training(mdp, EXPERT, ALIAS, H)
    laws = list(dp.forward(mdp, policies, H))
    mass = np.stack([interactive.correct_mass(law, EXPERT, ALIAS, A) for law in laws])
    counts = _counts(result.policies["last"])
    n = counts.sum((1, 2))
    np.testing.assert_array_equal(n, each)
    np.testing.assert_array_equal(counts.argmax(-1)[:, ALIAS], policies)
    assert (np.abs(counts - each * mass) <= 4.5 * np.sqrt(each * mass * (1 - mass)) + 1e-9).all()
    # Not the expert's law: its masses are elsewhere by more than the test allows.
    other = np.stack([interactive.correct_mass(law, EXPERT, ALIAS, A) for law in dp.forward(mdp, EXPERT, H)])
    assert np.abs(other - mass).max() > 20 / np.sqrt(each)
    # The loss that it was trained at is the loss when it is deployed, step by step.
    found = toys.rolled(task, result.policies["last"], mixed(task.env.action, H), seeds=(3,), episodes=2000).error[0]
    for t in range(H):
        toys.close_to(found[:, t], losses[t])
    np.testing.assert_array_equal(lab.ledger.labels, [H * each])


def test_within_a_block_the_expert_acts_before_it_the_learner_and_labels_are_the_blocks():
    task = toys.aliased(_mdp(), EXPERT, ALIAS, H)
    _, lab = toys.trained(task, "forward", "table", 600, (0, 5), {"blocks": 2})
    first, second = lab.demos()
    for demos, steps in ((first, [1, 1, 0, 0]), (second, [0, 0, 1, 1])):
        np.testing.assert_array_equal(demos.actor[demos.revealed], 1)
        acted = demos.actor[demos.alive.all(2)]
        np.testing.assert_array_equal(acted, np.broadcast_to(steps, acted.shape))
        np.testing.assert_array_equal(demos.revealed.sum((1, 2)), 300)
    one, two = lab.of("fit")
    for (data, _), demos in ((one, first), (two, second)):  # nothing is aggregated
        for s in range(2):
            toys.same_rows(toys.existing(data, s), toys.labelled(demos, s))
    np.testing.assert_array_equal(forward.turns(7, 3), [0, 0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(forward.turns(3, 10), [0, 1, 2])


def test_a_block_that_nobody_reaches_goes_on_with_the_policy_before_it():
    result, lab = toys.trained(toys.counter(), "forward", "linear", 160, (0, 3), {"blocks": 8})
    kernel = np.asarray(result.policies["last"].params["iterates"]["net"]["Dense_0"]["kernel"])[:, 0]
    assert np.isfinite(kernel).all()
    np.testing.assert_array_equal(kernel[:, 6], kernel[:, 5])  # episodes have 4, 5 or 6 live steps
    assert not np.array_equal(kernel[:, 4], kernel[:, 3])
    assert (lab.ledger.labels < 160).all()
    with pytest.raises(ValueError, match=r"forward.blocks"):
        forward.check(7, toys.counter(), None, forward.Config(8))
    with pytest.raises(ValueError, match=r"forward.blocks"):
        forward.Config(0)


def test_a_short_block_of_a_long_episode_still_gets_its_labels(monkeypatch):
    """A call gives up after so many episodes for every one's worth of labels, and a block of one step has one label of each."""
    assert [forward.calls(70, 1, horizon) for horizon in (64, 65)] == [1, 2]
    for module in (forward, lab_module):
        monkeypatch.setattr(module, "PATIENCE", 2)
    _, lab = toys.trained(toys.aliased(_mdp(), EXPERT, ALIAS, H), "forward", "table", 22, (0, 5), {"blocks": H})
    np.testing.assert_array_equal(lab.ledger.labels, [22, 22])


# ------------------------------------------------------------------------------------------------ smile
def test_smile_collects_under_the_mixture_with_the_expert_and_deploys_it_without_drawn_at_every_step():
    mdp, alpha, rounds, each = _mdp(), 0.4, 3, 20_000
    task = toys.aliased(mdp, EXPERT, ALIAS, H)
    result, lab = toys.trained(task, "smile", "table", rounds * each, (3,), {"alpha": alpha, "rounds": rounds})
    exact = interactive.smile(mdp, EXPERT, ALIAS, H, alpha, rounds)
    laws = [interactive.mean_law(mdp, policy, H) for policy in exact.policies[:-1]]
    mass = np.stack([interactive.correct_mass(law, EXPERT, ALIAS, A) for law in laws])
    policy = result.policies["mixture"]
    counts = _counts(policy)
    np.testing.assert_array_equal(counts.sum((1, 2)), each)
    _matches(counts, mass)
    assert np.abs(mass[2] - mass[0]).max() > 0.05
    shares = alpha * (1 - alpha) ** np.arange(rounds)
    np.testing.assert_allclose(np.asarray(policy.params["upto"])[0, 0, :-1], np.cumsum(shares)[:-1] / shares.sum(), rtol=1e-6)
    for j, (demos,) in enumerate(lab.of("collect"), 1):
        toys.close_to(demos.actor[demos.alive], (1 - alpha) ** j)
        for o in range(2):  # where the learner acts, each policy so far has its share
            acted = demos.action[demos.alive & (demos.actor == 0) & (demos.obs == o)]
            toys.close_to(acted, shares[:j] @ counts[:j, o].argmax(-1) / shares[:j].sum())
    assert (counts[0].argmax(-1) != counts[1].argmax(-1)).any()
    np.testing.assert_array_equal(lab.ledger.labels, [rounds * each])


def test_what_is_drawn_by_lot_is_drawn_anew_at_every_step():
    """The cost is that of the mixed policy by dynamic programming, and not the mean of the costs of its members."""
    mdp = _mdp()
    task, weights = toys.aliased(mdp, EXPERT, ALIAS, H), np.array([0.5, 0.0, 0.3])
    tables = np.array([[0, 1], [1, 1], [1, 0]])  # [M, O]
    head = registry.load("heads", "table").make(task.spec, registry.load("heads", "table").Config())
    iterates = [{"counts": np.eye(A, dtype=np.float32)[table][None, None]} for table in tables]
    policy = deployed.by_lot(head, iterates, weights)
    share = weights / weights.sum()
    members = [np.eye(A)[table[ALIAS]] for table in tables]
    both = np.tensordot(share, members, 1)
    want = dp.expected_mistakes(mdp, both, EXPERT, H)
    apart = share @ [dp.expected_mistakes(mdp, m, EXPERT, H) for m in members]
    n = 6000
    found = toys.rolled(task, policy, mixed(task.env.action, H), episodes=n).error[0]
    for t in range(H):
        toys.close_to(found[:, t], want[t])
    assert np.abs(want - apart).max() > 5 / np.sqrt(n)
    for wrong in ([1.0, 1.0], [1.0, -0.1, 1.0], [0.0, 0.0, 0.0]):
        with pytest.raises(ValueError, match="weights are one for each of 3 iterates"):
            deployed.by_lot(head, iterates, wrong)


def test_smile_refuses_what_is_no_share_and_rounds_without_an_episode():
    for wrong in ({"alpha": 0.0}, {"alpha": 1.0}, {"rounds": 0}):
        with pytest.raises(ValueError, match=f"smile.{next(iter(wrong))}"):
            smile.Config(**wrong)
    with pytest.raises(ValueError, match=r"smile.rounds"):
        smile.check(4 * 8 + 7, toys.counter(), None, smile.Config())


# ------------------------------------------------------------------------------------------------ stagger
LONG, MANY = 6, tuple(range(60))


def _staggered(labels, head_config=(), seeds=MANY, **config):
    task = registry.task("reset_cliff_recoverable", LONG, n=6, states=6)
    result, lab = toys.trained(task, "stagger", "table", labels, seeds, config, {"unseen": "wrong", **dict(head_config)})
    return task, result, lab


def test_stagger_buys_one_label_a_round_at_a_uniform_step_of_its_newest_policy():
    labels = 12
    task, result, lab = _staggered(labels)
    mdp, experts = task.mdp(), np.asarray(task.expert.params)
    rounds, fits = lab.of("collect"), lab.of("fit")
    assert len(rounds) == len(fits) == labels
    wrong = (experts + 1) % 3
    tables = np.tile(wrong, (len(MANY), 1))  # nothing is known at first
    seen, want, variance = (np.zeros((LONG, 6)) for _ in range(3))
    bought = [[] for _ in MANY]
    for (demos,), (data, _) in zip(rounds, fits, strict=True):
        assert not demos.actor.any()
        live = demos.alive
        assert (demos.action == tables[np.arange(len(MANY))[:, None, None], demos.obs])[live].all()
        for s, table in enumerate(tables):
            ((_, t),) = np.argwhere(demos.revealed[s])  # exactly one
            state = demos.obs[s][demos.revealed[s]][0]
            seen[t, state] += 1
            chance = dp.occupancy(mdp, table, LONG) / LONG
            want, variance = want + chance, variance + chance * (1 - chance)
            bought[s].append((state, experts[state]))
            row = toys.existing(data, s)
            assert list(zip(row.obs, row.action, strict=True)) == bought[s]  # all so far, and nothing else
        tables = np.stack([toys.table_of(toys.existing(data, s), 6, 3, wrong) for s in range(len(MANY))])
    assert (np.abs(seen - want) <= 4.5 * np.sqrt(variance) + 1e-9).all()
    assert seen[:, 5].sum() > 20  # fallen, where no expert ever is
    np.testing.assert_array_equal(result.policies["last"].params["counts"].sum((1, 2, 3, 4)), labels)
    np.testing.assert_array_equal(lab.ledger.labels, [labels] * len(MANY))
    # An episode ends where it was asked about: nothing is charged beyond.
    assert (lab.ledger.env_steps < labels * LONG).all()


def test_stagger_may_begin_with_demonstrations_and_its_rounds_compile_nothing():
    _, _, lab = _staggered(24, seeds=MANY[:3], demonstrations=0.25)
    assert lab.events[0][0] == "demonstrate"
    np.testing.assert_array_equal(lab.events[0][1].revealed.sum((1, 2)), 6)
    assert [kind for kind, *_ in lab.events[1:]] == ["fit", *["collect", "fit"] * 18]
    count = parallel.compiled_programs()
    _, _, other = _staggered(24, seeds=MANY[:3], labels_per_round=5)
    assert [demos.revealed.sum((1, 2)).tolist() for (demos,) in other.of("collect")] == [[n] * 3 for n in (4, 5, 5, 5, 5)]
    assert parallel.compiled_programs() == count
    np.testing.assert_array_equal(other.ledger.labels, [24] * 3)


def test_stagger_buys_all_its_labels_where_episodes_end_early_and_refuses_rounds_that_are_none():
    _, lab = toys.trained(toys.counter(), "stagger", "linear", 20, (0, 3), {})
    np.testing.assert_array_equal(lab.ledger.labels, [20, 20])
    head = registry.load("heads", "mse").make(toys.counter().spec, registry.load("heads", "mse").Config())
    assert stagger.shares(95, head, stagger.Config()) == (0, 10)  # a head that is trained has ten rounds
    assert stagger.shares(95, head, stagger.Config(labels_per_round=1, demonstrations=0.2)) == (19, 76)
    for wrong in ({"labels_per_round": -1}, {"demonstrations": 1.0}, {"demonstrations": -0.1}):
        with pytest.raises(ValueError, match=f"stagger.{next(iter(wrong))}"):
            stagger.Config(**wrong)
    with pytest.raises(ValueError, match=r"stagger.labels_per_round"):
        stagger.check(8, toys.counter(), None, stagger.Config(labels_per_round=9))


# ------------------------------------------------------------------------------------------------ baselines
def test_baselines_are_the_expert_chance_and_the_best_constant():
    here = {"seeds": (0, 3), "horizon": 20, "episodes": 64}
    perfect, chance = (toys.ran("reset_cliff_recoverable", name, "table", 0, **here).outcomes for name in ("expert", "random"))
    task = registry.task("reset_cliff_recoverable", 20)
    uniform = dp.total_return(task.mdp(), np.full((12, 3), 1 / 3), 20)
    for outcome in perfect:
        assert (outcome.scores["score"], outcome.scores["cost"], outcome.spent["labels"]) == (1.0, 0.0, 0)
    toys.close_to(np.concatenate([outcome.returns for outcome in chance]), uniform)
    assert not any(outcome.spent["env_steps"] for outcome in chance)
    literals = {name: dict(registry.entry("algorithms", name).literals) for name in ("expert", "random", "constant")}
    assert [literals[name].get("INSTRUMENT") for name in literals] == [True, True, None]  # boards leave the first two out


def test_the_best_constant_is_the_commonest_label_or_the_mean_of_all():
    task = registry.task("reset_cliff", 20)
    result, lab = toys.trained(task, "constant", "table", 70, (0, 3), {})
    (demos,) = lab.demos()
    want = [np.bincount(demos.label[s][demos.revealed[s]]).argmax() for s in range(2)]
    np.testing.assert_array_equal(np.asarray(result.policies["last"].params)[:, 0], want)
    result, lab = toys.trained(toys.counter(), "constant", "linear", 41, (0, 3), {})
    (demos,) = lab.demos()
    mean = [np.float64(demos.label[s][demos.revealed[s]]).mean(0) for s in range(2)]
    np.testing.assert_allclose(np.asarray(result.policies["last"].params)[:, 0], mean, rtol=1e-6)
    np.testing.assert_array_equal(lab.ledger.labels, [41, 41])


# ------------------------------------------------------------------------------------------------ aggrevate
def test_aggrevate_weighs_actions_by_the_exact_cost_to_go_and_picks_the_least():
    task = registry.task("random_mdp", 5, states=4, actions=3)
    mdp, experts, rounds = task.mdp(), np.asarray(task.expert.params), 2
    result, lab = toys.trained(task, "aggrevate", "table", 5 * 40, (0, 3), {"rounds": rounds})
    V, Q = np.zeros(4), np.zeros((5, 4, 3))  # by hand: of the expert, backwards
    for t in reversed(range(5)):
        Q[t] = mdp.R + mdp.P @ V
        V = Q[t][np.arange(4), experts[t]]
    demos = lab.demos()
    np.testing.assert_array_equal(demos[0].actor[demos[0].alive], 1)
    assert not demos[1].actor.any()
    counts = np.asarray(result.policies["last"].params["counts"])[:, 0, 0]
    for s in range(2):
        cost, mistakes = np.zeros((4, 3)), np.zeros((4, 3))
        for part in demos:
            for t, state, action in zip(*toys.labelled(part, s)[:3], strict=True):
                cost[state] -= Q[t, state]
                mistakes[state] += np.arange(3) != action
        np.testing.assert_array_equal(counts[s].argmax(-1), cost.argmin(-1))
        np.testing.assert_allclose(counts[s].max(-1) - counts[s].min(-1), np.ptp(cost, axis=-1), rtol=1e-4)
    np.testing.assert_array_equal(lab.ledger.labels, [200, 200])


HARMLESS = 0.6  # of the contexts: there both actions are safe; at the others action 1 falls for ever


def _contexts(horizon):
    """Two contexts that look alike, drawn afresh every step, and the fall; costs 1 a step after it."""
    fresh = np.array([HARMLESS, 1 - HARMLESS, 0.0])
    P = np.zeros((3, 2, 3))
    P[0] = P[1, 0] = fresh
    P[1, 1, 2] = P[2, :, 2] = 1.0
    return toys.aliased(MDP(P, -P[..., 2], fresh), np.array([1, 0, 1]), [0, 0, 0], horizon)


def test_aggrevate_takes_the_harmless_mistake_by_branching_where_dagger_takes_the_rarer_one():
    horizon, seeds = 10, (0, 1, 2)
    task, labels = _contexts(horizon), 4000  # 99 branches, of which some ten come to an edge before the fall
    (theirs, _), (ours, lab) = (
        toys.trained(task, name, "table", labels, seeds, {"rounds": 3}) for name in ("dagger", "aggrevate")
    )
    chosen = [np.asarray(r.policies["last"].params["counts"])[:, 0, 0, 0].argmax(-1) for r in (theirs, ours)]
    np.testing.assert_array_equal(chosen, [[1] * 3, [0] * 3])
    costs = [-toys.rolled(task, r.policies["last"], mixed(task.env.action, horizon), seeds).reward.sum(-1) for r in (theirs, ours)]
    assert costs[1].max() == 0
    assert costs[0].min() > 0
    np.testing.assert_array_equal(lab.ledger.labels, [labels] * 3)  # to the last one, whatever the branches took
    (rest,) = lab.of("collect")[-1]
    np.testing.assert_array_equal(rest.actor[rest.alive], 1)
    sizes = [np.asarray(data.weight)[0, : 2 * 99] for data, _ in lab.of("fit")[1:]]  # two actions of every branch so far
    assert ((sizes[0] > 0) <= (sizes[-1] > 0)).all()


def test_costs_of_branches_are_unbiased_for_every_action():
    """The mean estimate over states is the exact advantage, though one action of two others is tried at each, at a random step."""
    task = registry.task("random_mdp", 5, states=4, actions=3)
    table = registry.load("heads", "table")
    lab = toys.Spy(task, table.make(task.spec, table.Config()), (1,), 10**6, FitConfig())
    experts = np.asarray(task.expert.params)
    follow = toys.tabled(experts[None, None])
    t, obs, label, action, cost, exists = aggrevate.tried(lab.branch(follow, 20_000, 1.0))
    assert exists.all()
    np.testing.assert_array_equal(label, experts[t, obs])
    assert (action != label).all()
    found, exact = aggrevate.estimated(3, label, action, cost, exists)[0], aggrevate.regrets(task)
    for step in range(5):
        for state in range(4):
            here = (t[0] == step) & (obs[0] == state)
            for a in range(3):
                toys.close_to(found[here, a], exact[step, state, a])
    assert (exact > -1e-12).all()  # this expert is optimal
    assert exact.max() > 0.1


def test_aggrevate_refuses_costs_that_nobody_knows_and_rounds_without_labels():
    for wrong in ({"rounds": 0}, {"cost_to_go": "guess"}, {"demonstrations": 0.0}, {"demonstrations": 1.0}, {"prior": -1.0}):
        with pytest.raises(ValueError, match=f"aggrevate.{next(iter(wrong))}"):
            aggrevate.Config(**wrong)
    task, cartpole = _contexts(20), registry.task("cartpole", 20)
    for which in (task, cartpole):  # a table of states that the learner does not see is none
        with pytest.raises(ValueError, match="take branch"):
            aggrevate.check(10_000, which, None, aggrevate.Config(cost_to_go="exact"))
    with pytest.raises(ValueError, match="for a branch"):
        aggrevate.check(239, task, None, aggrevate.Config())
    aggrevate.check(240, task, None, aggrevate.Config())
    with pytest.raises(ValueError, match="3 episodes of labels"):
        aggrevate.check(299, registry.task("gridworld"), None, aggrevate.Config())
    assert "discrete actions" in plugins.algorithm("aggrevate").skip(registry.task("scalar_stable"), None)
