"""ThriftyDAgger: the critic against dynamic programming, limits against NumPy's quantiles, the gate replayed step by step."""

import numpy as np
import toys

from ilbench import registry
from ilbench.algorithms import thrifty_dagger
from ilbench.envs import _tabular
from ilbench.rollouts.gates import apart
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.training import risk
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Data, Demos, Head

SEEDS = (0, 1)
CONFIG = {
    "rounds": 1, "members": 3, "target": 0.2, "probes": 16, "room": 800, "width": 8, "updates": 200, "learning_rate": 1e-2
}  # fmt: skip


def _walk(episodes, horizon=3):
    """Episodes `[1, N, H]` of random actions on three states in a ring, from some of which one may fall."""
    rng, shape = np.random.default_rng(0), (1, episodes, horizon)
    obs, action = np.zeros(shape, np.int32), rng.integers(2, size=shape).astype(np.int32)
    alive, on = np.ones(shape, bool), np.ones((1, episodes), bool)
    state = rng.integers(3, size=(1, episodes)).astype(np.int32)
    for t in range(horizon):
        obs[:, :, t], alive[:, :, t], done = state, on, action[:, :, t]
        falls = np.where(t < horizon - 1, 0.4, 1.0) * ((state == 1) & (done == 1))
        on = on & (rng.random(on.shape) >= falls)
        state = (state + 1 + done) % 3
    return Demos(obs, action, action, action, alive, alive=alive, final_obs=state, final_alive=on)


def test_the_critic_is_the_chance_of_surviving_an_action_and_then_the_learner():
    demos, table = _walk(300), np.int32([[0, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])  # the learner's, by step
    model = _tabular.Model(np.full((3, 2, 3), 1 / 3), np.zeros((3, 2)), np.zeros(3), np.full(3, 1 / 3))
    task = _tabular.build("ring", 1, 3, (), model, [0, 0, 0], (0.0, 1.0))
    head = Head(None, None, lambda params, key, t, memory, obs: (memory, params["table"][t, obs]))
    config = thrifty_dagger.Config(gamma=0.8, room=2000, width=16, updates=3000, learning_rate=1e-2)
    lab, data = Lab(task, head, (0,), 10, FitConfig()), risk.transitions(demos, 3, cut=False)
    params = risk.fitted(lab, config, data, head, {"table": table[None]}, None, 0)
    exact, n = np.zeros((4, 3, 2)), 0
    for t in (2, 1, 0):
        for s, a in np.ndindex(3, 2):
            worth = []
            for e in np.flatnonzero(demos.alive[0, :, t] & (demos.obs[0, :, t] == s) & (demos.action[0, :, t] == a)):
                on = demos.final_alive[0, e] if t == 2 else demos.alive[0, e, t + 1]
                after = (s + 1 + a) % 3
                worth.append(on * (1.0 if t == 2 else 0.8 * exact[t + 1, after, table[t + 1, after]]))
            exact[t, s, a], n = np.mean(worth), n + len(worth)
    assert n == demos.alive.sum()
    t, s, a = (x.reshape(1, -1).astype(np.int32) for x in np.indices((3, 3, 2)))
    _, success = risk.critic(task.env.obs, task.env.action, 3, 16)
    found = np.asarray(risk.chances(success, params, t, s, a)).reshape(3, 3, 2)
    np.testing.assert_allclose(found, exact[:3], atol=0.05)
    assert exact[:3].std() > 0.25


def test_a_fall_is_known_unless_the_budget_ended_there():
    alive = np.array([[[1, 0], [1, 1], [1, 0]]], bool)  # a fall, a success, and the end of the budget or another fall
    x = np.arange(6, dtype=np.int32).reshape(1, 3, 2)
    demos = Demos(x, x, x, x, alive, alive=alive, final_obs=x[:, :, 0], final_alive=np.array([[False, True, True]]))
    for cut, weight in ((True, [1, 0, 1, 1, 0, 0]), (False, [1, 0, 1, 1, 1, 0])):
        data = risk.transitions(demos, 2, cut=cut)
        np.testing.assert_array_equal(data.weight[0], weight)
        there = np.array(weight) > 0
        np.testing.assert_array_equal(data.extra["reward"][0][there], np.array([0, 0, 0, 1, 0, 0])[there])
        np.testing.assert_array_equal(data.extra["on"][0][there], np.array([0, 0, 1, 0, 0, 0])[there])
        assert risk.fell(data)[0]
    assert not risk.fell(risk.transitions(demos._replace(alive=alive & alive.all(2)[:, :, None]), 2, cut=True))[0]


def test_a_tenth_of_what_is_drawn_are_successes_and_the_oldest_is_forgotten():
    x, reward = np.arange(200, dtype=np.int32)[None], np.zeros((2, 200), np.float32)
    reward[0, [3, 150, 199]] = 1  # the other seed has none
    rows = Data(*[np.repeat(x, 2, axis=0)] * 3, np.ones((2, 200), np.float32), None, {"reward": reward})
    got = risk.replayed(rows, 100)
    there, won = got.weight > 0, got.extra["reward"] > 0
    np.testing.assert_allclose((got.weight * won).sum(1) / got.weight.sum(1), [0.1, 0], rtol=1e-6)
    assert set(got.obs[0][won[0]]) == {3, 150, 199}
    assert (won[0].sum(), there[1].sum()) == (9, 90)  # three copies of each
    assert got.obs[0][there[0] & ~won[0]].min() == 108
    assert got.weight[there].max() < 1.2
    less = risk.replayed(rows, 20)
    assert set(less.obs[0][less.extra["reward"][0] > 0]) == {150, 199}


class Watched(toys.Spy):
    """A lab that keeps its own episodes and what gated, too."""

    def rollout(self, *args, **kwargs):
        """Kept."""
        self.alone = super().rollout(*args, **kwargs)
        return self.alone

    def collect(self, *args, **kwargs):
        """Kept."""
        self.rule = kwargs["behaviour"].params["rule"]
        return super().collect(*args, **kwargs)


def _ran(task):
    heads = registry.load("heads", "mse")
    lab = Watched(task, heads.make(task.spec, heads.Config()), SEEDS, 128, FitConfig(updates=40, batch=32))
    return thrifty_dagger.train(lab, thrifty_dagger.Config(**CONFIG)), lab


def _chance(params, s, t, obs, action, horizon):
    """The smaller of the twins at steps of one seed, in NumPy."""
    norm = {k: np.asarray(v)[s] for k, v in params["norm"].items()}
    x = np.concatenate([(obs - norm["mean"]) / norm["std"], action.clip(-10, 10), t[..., None] / horizon], -1)
    found = []
    for name in ("one", "two"):
        y = x
        for i in range(3):
            layer = {k: np.asarray(v)[s] for k, v in params[name][f"Dense_{i}"].items()}
            y = (np.tanh(y) if i else y) @ layer["kernel"] + layer["bias"]
        found.append(1 / (1 + np.exp(-y[..., 0])))
    return np.minimum(*found)


def test_limits_are_quantiles_and_the_gate_opens_where_either_is_crossed():
    task = toys.counter(8, 7)  # episodes end after 7, 8 or 9 steps, as their start says: of 8 a third fall
    result, lab = _ran(task)
    limits, critic, alone, new = lab.rule["limits"], lab.rule["critic"], lab.alone, lab.demos()[1]
    fits = [f[1] for f in lab.of("fit")[: CONFIG["members"]]]

    def seen(demos):
        keys = episode_keys("x", SEEDS, demos.alive.shape[1])
        each = np.stack([replay(lab.policy(f), demos.obs, keys, SEEDS) for f in fits])
        t = np.broadcast_to(np.arange(8.0), demos.alive.shape[1:])
        chance = [_chance(critic, s, t, demos.obs[s], each.mean(0)[s], 8) for s in range(2)]
        return each.mean(0), each.var(0).mean(-1), np.stack(chance)

    done, doubt, chance = seen(alone)
    np.testing.assert_allclose(done[alone.alive], alone.action[alone.alive], atol=1e-5)
    rows = lab.of("fit")[0][0]
    shown = lab.demos()[0]
    off = apart(task.env.action, seen(shown)[0], toys.expert_of_counter(np.arange(8)), np)
    for s in range(2):
        live = alone.alive[s]
        wanted = [
            np.quantile(doubt[s][live], 0.8),
            np.quantile(chance[s][live], 0.2),
            np.quantile(chance[s][live], 0.5),
        ]
        np.testing.assert_allclose([limits.doubt[s], limits.risky[s], limits.sound[s]], wanted, rtol=1e-4)
        np.testing.assert_allclose(limits.near[s], off[s][shown.revealed[s]].mean(), rtol=1e-4)
        assert (rows.weight[s].sum(), shown.revealed[s].sum()) == (64, 64)
    mine, doubt, chance = seen(new)
    far = apart(task.env.action, mine, toys.expert_of_counter(np.arange(8)), np)
    why = np.zeros(3, int)
    for s, n in np.ndindex(new.alive.shape[:2]):
        driving = False
        for t in range(int(new.alive[s, n].sum())):
            novel, risky = doubt[s, n, t] > limits.doubt[s], chance[s, n, t] < limits.risky[s]
            ready = far[s, n, t] <= limits.near[s] and chance[s, n, t] > limits.sound[s]
            why += [novel and not risky and not driving, risky and not novel and not driving, driving and ready]
            driving = not ready if driving else novel or risky
            assert driving == new.actor[s, n, t] == new.revealed[s, n, t], (s, n, t)
    assert (why > 0).all(), why
    np.testing.assert_array_equal(lab.ledger.labels, [128] * 2)
    np.testing.assert_array_equal(result.scalars["fell"], [1, 1])


def test_where_nothing_falls_only_doubt_gates():
    result, lab = _ran(toys.counter(8, 9))
    limits = lab.rule["limits"]
    assert lab.alone.final_alive.all()
    np.testing.assert_array_equal([limits.risky, limits.sound], np.full((2, 2), -np.inf))
    assert (limits.doubt > 0).all()
    np.testing.assert_array_equal(result.scalars["fell"], [0, 0])
