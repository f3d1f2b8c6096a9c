"""What each algorithm means: the data it fits, the laws of the states in them, the labels it buys, what it returns."""

import dataclasses

import jax
import numpy as np
import pytest
import toys
from scipy import stats as laws

from ilbench import registry
from ilbench.algorithms import ccil, dagger, dialled, noise_bc, noise_injection
from ilbench.evaluation.evidence import roll
from ilbench.exact import dp
from ilbench.rollouts.keys import seed_keys
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Data


def _law(states, exact):
    """Asserts that the visits of independent episodes `[N, H]` follow the exact state laws `[N, H, states]`."""
    n = len(states)
    seen, want = np.zeros(exact.shape[-1]), exact.sum((0, 1))
    variance = np.zeros_like(want)
    for state in range(exact.shape[-1]):
        visits = (states == state).sum(1)
        seen[state] = visits.sum()
        # Of dependent steps: the spread between episodes, and at least that of a rare event.
        variance[state] = n * visits.var() + want[state] + 1
    assert (np.abs(seen - want) < 4.5 * np.sqrt(variance)).all(), f"visits {seen}, exact {want}"
    assert not seen[want == 0].any()


# ------------------------------------------------------------------------------------------------ bc
def test_bc_fits_all_of_the_experts_episodes_and_nothing_else():
    H, episodes, seeds = 7, 12, tuple(range(6))
    task = registry.task("random_mdp", H, states=5, actions=3)
    result, lab = toys.trained(task, "bc", "table", episodes * H, seeds, {}, {"per_step": True})
    ((data, _),), (demos,) = lab.of("fit"), lab.demos()
    expert, mdp = np.asarray(task.expert.params), task.mdp()
    for s in range(6):
        fitted = toys.existing(data, s)
        toys.same_rows(fitted, toys.labelled(demos, s))
        assert len(fitted.t) == episodes * H
        np.testing.assert_array_equal(fitted.action, expert[fitted.t, fitted.obs])
        steps = fitted.obs.reshape(episodes, H)
        chance = mdp.P[steps[:, :-1], expert[np.arange(H - 1), steps[:, :-1]], steps[:, 1:]]
        assert (chance > 0).all()
    occupancy = dp.occupancy(mdp, expert, H)
    _law(np.concatenate([np.asarray(data.obs)[s].reshape(-1, H) for s in range(6)]), np.tile(occupancy, (72, 1, 1)))
    np.testing.assert_array_equal(lab.ledger.labels, [episodes * H] * 6)
    np.testing.assert_array_equal(lab.ledger.env_steps, [episodes * H] * 6)
    assert (set(result.policies), result.selected) == ({"last"}, "last")
    # The policy that comes out is the table of those labels.
    policy = result.policies["last"]
    for s in range(6):
        fitted = toys.existing(data, s)
        for t, state in {(int(t), int(o)) for t, o in zip(fitted.t, fitted.obs, strict=True)}:
            one = jax.tree.map(lambda leaf, s=s: leaf[s, 0], policy.params)
            _, action = policy.act(one, seed_keys("x", (0,))[0], np.int32(t), (), np.int32(state))
            assert int(action) == expert[t, state]


# ------------------------------------------------------------------------------------------------ dagger
H, ROUNDS, EACH, MANY = 6, 3, 2, tuple(range(60))


def _dagger(**config):
    """dagger with tables on the reset cliff, where a learner that has not seen a state falls, and an expert never does."""
    task = registry.task("reset_cliff_recoverable", H, n=6, states=6)
    budget = EACH * H * (ROUNDS + config.get("validate", True))
    result, lab = toys.trained(task, "dagger", "table", budget, MANY, {"rounds": ROUNDS, **config}, {"unseen": "wrong"})
    return task, budget, result, lab


def _phases(lab):
    """For each fit: its rows, its parameters, and what was collected after it and before the next."""
    out = []
    for kind, *rest in lab.events:
        if kind == "fit":
            out.append((*rest, []))
        elif out:
            out[-1][2].append(rest[0])
    return out


def _tables(task, data):
    """The learner's table `[S, states]` after counting a fit's rows."""
    wrong = (np.asarray(task.expert.params) + 1) % 3
    return np.stack([toys.table_of(toys.existing(data, s), 6, 3, wrong) for s in range(len(MANY))])


@pytest.fixture(scope="module")
def run():
    return _dagger()


def test_dagger_starts_from_demonstrations_and_aggregates_every_round(run):
    task, budget, result, lab = run
    experts, phases = np.asarray(task.expert.params), _phases(lab)
    assert lab.events[0][0] == "demonstrate"
    assert len(phases) == ROUNDS
    for s in range(len(MANY)):
        so_far = [toys.labelled(lab.events[0][1], s)]
        for data, _, collected in phases:
            whole = jax.tree.map(lambda *x: np.concatenate(x), *so_far)
            fitted = toys.existing(data, s)
            toys.same_rows(fitted, whole)
            np.testing.assert_array_equal(fitted.action, experts[fitted.obs])  # the expert's labels, whoever acted
            so_far += [toys.labelled(demos, s) for demos in collected]
    sizes = [len(toys.existing(data, 0).t) for data, _, _ in phases]
    assert sizes == [EACH * H * (i + 1) for i in range(ROUNDS)]
    np.testing.assert_array_equal(lab.ledger.labels, [budget] * len(MANY))
    assert result.selected == "last"


def test_dagger_collects_on_the_states_of_its_own_last_iterate(run):
    task, _, _, lab = run
    mdp, experts = task.mdp(), np.asarray(task.expert.params)
    shared = dp.occupancy(mdp, experts, H)
    _law(lab.events[0][1].obs.reshape(-1, H), np.tile(shared, (len(MANY) * EACH, 1, 1)))
    bad = []
    for data, _, collected in _phases(lab):
        tables = _tables(task, data)
        own = np.stack([dp.occupancy(mdp, table, H) for table in tables])
        (demos,) = collected
        assert not demos.actor.any()
        np.testing.assert_array_equal(demos.action, tables[np.arange(len(MANY))[:, None, None], demos.obs])
        _law(demos.obs.reshape(-1, H), np.repeat(own, EACH, axis=0))
        bad.append(own[:, :, -1].mean())
    assert bad[0] > 0.05  # the fall, where the expert never is
    assert bad[-1] < bad[0] / 2  # and which it has been shown how to leave


def test_dagger_scores_iterates_on_labels_that_they_were_not_fitted_on(run):
    _, _, result, lab = run
    losses = np.zeros((len(MANY), ROUNDS))
    for i, (data, _, collected) in enumerate(_phases(lab)):
        for s in range(len(MANY)):
            fitted, counts = toys.existing(data, s), np.ones((6, 3))  # one Laplace count
            np.add.at(counts, (fitted.obs, fitted.action), 1)
            fresh = toys.labelled(collected[0], s)
            losses[s, i] = -np.log(counts[fresh.obs, fresh.action] / counts[fresh.obs].sum(1)).mean()
    np.testing.assert_allclose(result.curve["validation"], losses, rtol=1e-4)
    best = losses.argmin(1)
    assert len(set(best)) > 1
    mixture, chosen = (np.asarray(result.policies[k].params["counts"]) for k in ("mixture", "best"))
    assert mixture.shape[:2] == (len(MANY), ROUNDS)
    np.testing.assert_array_equal(chosen[:, 0], mixture[np.arange(len(MANY)), best])
    for i, (_, params, _) in enumerate(_phases(lab)):
        np.testing.assert_array_equal(mixture[:, i], params["counts"])
    np.testing.assert_array_equal(result.policies["last"].params["counts"][:, 0], mixture[:, -1])


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        ({"schedule": "geometric", "p": 0.6}, [0.6, 0.36, 0.0]),
        ({"schedule": "linear"}, [2 / 3, 1 / 3, 0.0]),
        ({"schedule": "geometric", "p": 0.6, "validate": False}, [0.6, 0.36]),
    ],
)
def test_schedules_give_the_expert_its_share_of_the_steps_and_the_states_follow(config, shares):
    task, budget, result, lab = _dagger(**config)
    mdp, experts = task.mdp(), np.asarray(task.expert.params)
    found = [(data, demos) for data, _, collected in _phases(lab) for demos in collected]
    assert len(found) == len(shares)
    for (data, demos), share in zip(found, shares, strict=True):
        toys.close_to(demos.actor, share)
        both = [share * np.eye(3)[experts] + (1 - share) * np.eye(3)[table] for table in _tables(task, data)]
        own = np.stack([dp.occupancy(mdp, law, H) for law in both])
        _law(demos.obs.reshape(-1, H), np.repeat(own, EACH, axis=0))
        # At a step where it may fall, it is labelled with what the expert would have done.
        np.testing.assert_array_equal(demos.label, experts[demos.obs])
    np.testing.assert_array_equal(lab.ledger.labels, [budget] * len(MANY))
    assert ("best" in result.policies) == config.get("validate", True)


def test_betas_of_all_rounds():
    first, geometric, linear = (dagger.Config(rounds=4, schedule=s, p=0.3) for s in dagger.SCHEDULES)
    for config, want in (
        (first, [1, 0, 0, 0]),
        (geometric, [1, 0.3, 0.09, 0.027]),
        (linear, [1, 0.75, 0.5, 0.25]),
    ):
        np.testing.assert_allclose([dagger.beta(config, i) for i in range(4)], want)
    assert dagger.beta(linear, 6) == 0


def test_dagger_in_one_round_is_bc():
    task = registry.task("reset_cliff_recoverable", H, n=6, states=6)
    budget = {"labels": 4 * H, "seeds": MANY[:3]}
    (one, a), (other, b) = (
        toys.trained(task, name, "table", *budget.values(), config)
        for name, config in (("dagger", {"rounds": 1, "validate": False}), ("bc", {}))
    )
    np.testing.assert_array_equal(one.policies["last"].params["counts"], other.policies["last"].params["counts"])
    np.testing.assert_array_equal(a.ledger.labels, b.ledger.labels)


# ------------------------------------------------------------------------------------------------ noise_bc
def test_noise_bc_jitters_what_is_seen_and_nothing_else():
    task, seeds, copies, sigma = registry.task("double_integrator", 40), (0, 1), 3, 0.2
    budget = 40 * 25
    result, lab = toys.trained(task, "noise_bc", "linear", budget, seeds, {"sigma": sigma, "copies": copies})
    (data, _), demos, seen = lab.of("fit")[0], lab.demos()[0], []
    for s in range(2):
        shown, fitted = toys.labelled(demos, s), toys.existing(data, s)
        n = len(shown.t)
        assert n == budget
        assert len(fitted.t) == (1 + copies) * n
        toys.same_rows(jax.tree.map(lambda x, n=n: x[:n], fitted), shown)
        sd = np.float64(shown.obs).std(0)
        drawn = []
        for k in range(1, 1 + copies):
            part = jax.tree.map(lambda x, k=k, n=n: x[k * n : (k + 1) * n], fitted)
            np.testing.assert_array_equal(part.action, shown.action)
            np.testing.assert_array_equal(part.t, shown.t)
            drawn.append((np.float64(part.obs) - shown.obs) / (sigma * sd))
        every = np.column_stack(drawn)  # [n, copies * 2]
        for column in every.T:
            assert laws.kstest(column, laws.norm.cdf).pvalue > 1e-3
        assert np.abs(np.corrcoef(every.T) - np.eye(every.shape[1])).max() < 4.5 / np.sqrt(n)
        seen.append(every)
    assert abs(np.corrcoef(seen[0][:, 0], seen[1][:, 0])[0, 1]) < 4.5 / np.sqrt(budget)
    np.testing.assert_array_equal(lab.ledger.labels, [budget] * 2)
    assert (set(result.policies), result.selected) == ({"last"}, "last")


def test_rows_that_do_not_exist_have_no_say_in_the_jitter():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 400, 2)).astype(np.float32) * [1.0, 3.0]
    weight = (np.arange(400) < 300).astype(np.float32)[None]
    data = Data(
        np.zeros((1, 400), np.int32), np.where(weight[..., None] > 0, x, 1e6).astype(np.float32), x[..., :1], weight
    )
    out = noise_bc.jitter(seed_keys("j", (0,)), data, 0.1, 1)
    moved = np.asarray(out.obs)[0, 400:700] - np.asarray(data.obs)[0, :300]
    np.testing.assert_allclose(moved.std(0), 0.1 * x[0, :300].std(0), rtol=0.15)
    assert np.asarray(out.weight)[0].sum() == 600


# ------------------------------------------------------------------------------------------------ noise_injection
NET = {"width": 8, "depth": 1}


def test_noise_injection_executes_noise_of_sigma_and_records_the_clean_action():
    task, budget, sigma, clean = toys.counter(horizon=6, stop=6), 4801, 0.7, 0.25
    result, lab = toys.trained(
        task, "noise_injection", "mse", budget, (0, 3), {"sigma": sigma, "clean": clean}, NET, updates=2
    )
    ((data, _),), (quiet, noisy) = lab.of("fit"), lab.demos()
    np.testing.assert_array_equal(quiet.revealed.sum((1, 2)), 1200)
    np.testing.assert_array_equal(quiet.action, quiet.label)
    pushes = []
    for s in range(2):
        shown, both = [toys.labelled(part, s) for part in (quiet, noisy)], toys.existing(data, s)
        toys.same_rows(both, jax.tree.map(lambda a, b: np.concatenate([a, b]), *shown))
        np.testing.assert_allclose(both.action, toys.expert_of_counter(both.t), atol=1e-5)
        pushes.append(np.float64(noisy.action - noisy.label)[s][noisy.revealed[s]] / sigma)
        for column in pushes[s].T:
            assert laws.kstest(column, laws.norm.cdf).pvalue > 1e-3
        assert abs(np.corrcoef(pushes[s].T)[0, 1]) < 4.5 / np.sqrt(len(pushes[s]))
    assert not np.array_equal(*pushes)
    np.testing.assert_array_equal(lab.ledger.labels, [budget] * 2)
    assert (set(result.policies), result.selected) == ({"last"}, "last")


def test_noise_injection_on_discrete_actions_is_a_random_action_with_probability_sigma():
    task, sigma = registry.task("random_mdp", 7, states=5, actions=3), 0.6
    _, lab = toys.trained(task, "noise_injection", "table", 7 * 400, (0,), {"sigma": sigma, "clean": 0.0})
    (demos,) = lab.demos()  # without a clean share nothing is demonstrated
    seen = demos.revealed[0]
    toys.close_to(np.float64(demos.action != demos.label)[0][seen], sigma * 2 / 3)
    t = np.broadcast_to(np.arange(7), seen.shape)
    np.testing.assert_array_equal(demos.label[0][seen], np.asarray(task.expert.params)[t, demos.obs[0]][seen])


def test_noise_injection_with_nothing_but_clean_labels_is_bc():
    task, given = toys.counter(), ("mse", 301, (0, 3))
    (one, a), (other, b) = (
        toys.trained(task, name, *given, config, NET, updates=20)
        for name, config in (("noise_injection", {"sigma": 0.7, "clean": 1.0}), ("bc", {}))
    )
    jax.tree.map(np.testing.assert_array_equal, one.policies["last"].params, other.policies["last"].params)
    np.testing.assert_array_equal(one.curve["loss"], other.curve["loss"])
    assert str(a.ledger) == str(b.ledger)


def test_noise_injection_refuses_what_is_no_noise_and_no_share():
    for wrong in ({"sigma": -0.1}, {"sigma": float("nan")}, {"sigma": float("inf")}, {"clean": 1.1}, {"clean": -0.1}):
        with pytest.raises(ValueError, match=f"noise_injection.{next(iter(wrong))}"):
            noise_injection.Config(**wrong)
    config = noise_injection.Config(sigma=1.5)
    noise_injection.check(100, toys.counter(), None, config)  # a standard deviation may exceed 1, a probability may not
    with pytest.raises(ValueError, match="discrete"):
        noise_injection.check(100, registry.task("gridworld"), None, config)


# ------------------------------------------------------------------------------------------------ ccil
# A double integrator whose track is so short that some demonstrations leave it: they have dead steps.
def _ccil(episodes=12, seeds=(0, 1), noise=0.0, **config):
    task = registry.task("double_integrator", 20, noise=noise, bound=1.0)
    config = {"dynamics": "true", "max_distance": 0.4, **config}
    result, lab = toys.trained(task, "ccil", "linear", 20 * episodes, seeds, config)
    return task, ccil.Config(**config), result, lab


def _pairs(lab, s, repeats=1):
    """The demonstrated rows with what followed, repeated; and the rows that were generated."""
    demos, data = lab.demos()[0], lab.of("fit")[0][0]
    shown, fitted = toys.labelled(demos, s), toys.existing(data, s)
    n = len(shown.t)
    toys.same_rows(jax.tree.map(lambda x, n=n: x[:n], fitted), shown)
    following = np.concatenate([demos.obs[s, :, 1:], demos.final_obs[s, :, None]], 1)[demos.revealed[s]]
    return shown, np.float64(following), jax.tree.map(lambda x: x[n:], fitted)


def _inverse(task, target, action):
    p = task.env.params
    limit = float(p.limit)
    return (target - np.clip(np.float64(action), -limit, limit) @ np.float64(p.B).T) @ np.linalg.inv(np.float64(p.A)).T


@pytest.mark.parametrize("most", [0.15, 0.05])
def test_backtracked_pairs_lead_to_the_demonstrated_state_by_the_experts_action(most):
    task, config, result, lab = _ccil(max_distance=most)
    assert not lab.demos()[0].alive.all()
    kept = []
    for s in range(2):
        shown, _, made = _pairs(lab, s)
        source = _inverse(task, np.float64(shown.obs), shown.action)
        distance = np.sqrt((((source - shown.obs) / np.float64(shown.obs).std(0)) ** 2).mean(1))
        near = distance < config.max_distance
        np.testing.assert_allclose(made.obs, source[near], atol=2e-4)
        np.testing.assert_array_equal(made.action, shown.action[near])
        np.testing.assert_array_equal(made.t, shown.t[near])
        kept.append(near.mean())
        np.testing.assert_allclose(result.curve["distance"][s, 0], distance[near].mean(), rtol=1e-3)
        np.testing.assert_allclose(result.curve["kept"][s, 0], near.mean(), rtol=1e-6)
    assert 0 < min(kept) < 1
    live = lab.demos()[0].alive.sum((1, 2))
    np.testing.assert_array_equal(lab.ledger.labels, live)


def test_disturbed_pairs_lead_to_the_next_demonstrated_state_by_the_disturbed_action():
    task, config, _, lab = _ccil(label="disturbed", disturbance=0.02, labels_per_state=3, max_distance=9.0)
    drawn = []
    for s in range(2):
        shown, following, made = _pairs(lab, s)
        n = len(shown.t)
        assert len(made.t) == 3 * n  # what lies this near is all kept
        np.testing.assert_allclose(
            np.clip(made.action, -1, 1) @ np.float64(task.env.params.B).T + made.obs @ np.float64(task.env.params.A).T,
            np.tile(following, (3, 1)),
            atol=2e-4,
        )
        drawn.append((made.action - np.tile(shown.action, (3, 1))).reshape(3, n) / config.disturbance)
    for s in range(2):
        assert laws.kstest(drawn[s].ravel(), laws.norm.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(drawn[0][0], drawn[0][1])[0, 1]) < 4.5 / np.sqrt(drawn[0].shape[1])
    n = min(d.shape[1] for d in drawn)
    assert abs(np.corrcoef(drawn[0][0, :n], drawn[1][0, :n])[0, 1]) < 4.5 / np.sqrt(n)


def test_a_learned_model_generates_states_that_nearly_lead_back():
    task, _, result, lab = _ccil(24, (0,), 0.005, dynamics="learned", max_distance=9.0, updates=400)
    shown, following, made = _pairs(lab, 0)
    p = task.env.params
    landed = made.obs @ np.float64(p.A).T + np.clip(made.action, -1, 1) @ np.float64(p.B).T
    np.testing.assert_array_equal(made.action, shown.action)
    off, step = (np.linalg.norm(x, axis=1) for x in (landed - shown.obs, following - shown.obs))
    assert np.median(off / step) < 0.3
    assert result.curve["model_loss"][0, -1] < result.curve["model_loss"][0, 0] / 5


class Stingy(toys.Spy):
    """Sells half of the labels of its demonstrations."""

    def demonstrate(self, *args, **kwargs):
        demos = super().demonstrate(*args, **kwargs)
        bought = demos.revealed & (np.arange(demos.obs.shape[2]) % 2 == 0)
        demos = demos._replace(revealed=bought, label=np.where(bought[..., None], demos.label, 0))
        self.events[-1] = ("demonstrate", demos)
        return demos


@pytest.mark.parametrize("label", ["backtrack", "disturbed"])
def test_pairs_come_from_states_whose_label_was_bought(label):
    task, head = registry.task("double_integrator", 20, noise=0.0, bound=1.0), registry.load("heads", "linear")
    lab = Stingy(task, head.make(task.spec, head.Config()), (0, 1), 240, FitConfig())
    ccil.train(lab, ccil.Config(dynamics="true", label=label, disturbance=0.0, max_distance=9.0))
    for s in range(2):
        shown, following, made = _pairs(lab, s)
        assert len(made.t) == len(shown.t) < 0.7 * lab.demos()[0].alive[s].sum()
        target = np.float64(shown.obs) if label == "backtrack" else following
        np.testing.assert_allclose(made.obs, _inverse(task, target, shown.action), atol=2e-4)
        np.testing.assert_array_equal(made.action, shown.action)


# ------------------------------------------------------------------------------------------------ dialled
def _errors(schedule, eps, coverage="own", episodes=4000, horizon=10):
    task = registry.task("recoverable", horizon, actions=3, expert_action=2)
    lab = Lab(task, None, (0,), 0, FitConfig())
    result = dialled.train(lab, dialled.Config(eps=eps, coverage=coverage, schedule=schedule))
    assert (lab.ledger.labels.tolist(), lab.ledger.env_steps.tolist()) == ([0], [0])
    return roll(task, result.policies["last"], (0,), episodes, beta=0.0).error[0]


def test_when_a_dialled_learner_errs():
    eps, t = 0.06, np.arange(10)
    iid = _errors("iid", eps)
    for step in t:
        toys.close_to(iid[:, step], eps)
    toys.close_to(iid[:, 3] * iid[:, 4], eps**2)
    disjoint = _errors("disjoint", eps)
    assert disjoint.sum(1).max() == 1
    for step in t:
        toys.close_to(disjoint[:, step], eps)
    first = _errors("first", eps)
    assert not first[:, 1:].any()
    toys.close_to(first[:, 0], eps * 10)
    copied = _errors("copy", eps)
    for step in t:
        toys.close_to(copied[:, step], (1 - (1 - 2 * eps) ** (step + 1)) / 2)
    toys.close_to(copied[:, 4] != copied[:, 5], eps)
    assert not _errors("disjoint", 0.0).any()


def test_a_dialled_learner_knows_what_the_expert_visits_and_nothing_more():
    eps, task = 0.1, registry.task("recoverable", 10, actions=3, expert_action=2)
    shown = _errors("iid", eps, coverage="expert")
    learner = dp.erring_policy(np.array([2, 2]), [eps, 1.0], 3)
    exact = dp.expected_mistakes(task.mdp(), learner, np.array([2, 2]), 10)
    for step in range(10):
        toys.close_to(shown[:, step], exact[step])
    assert (np.diff(shown, axis=1) >= 0).all()  # whoever has fallen stays wrong


def test_a_dialled_learner_errs_by_the_worst_action():
    task = dataclasses.replace(registry.task("random_mdp", 6, states=4, actions=4))
    lab = Lab(task, None, (0,), 0, FitConfig())
    policy = dialled.train(lab, dialled.Config(eps=1.0, coverage="own")).policies["last"]
    demos = roll(task, policy, (0,), 2000, beta=0.0)
    expert = np.asarray(task.expert.params)
    worst = np.zeros((6, 4), int)
    for t, q, _ in dp.backward(task.mdp(), expert, 6):
        for s in range(4):
            worst[t, s] = min((a for a in range(4) if a != expert[t, s]), key=lambda a, q=q, s=s: q[s, a])
    assert demos.error.all()
    toys.close_to(demos.reward[0].sum(-1), dp.total_return(task.mdp(), worst, 6))
