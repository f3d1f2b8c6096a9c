"""Interactive imitation at the population: DAgger, Forward training and SMILe with exact state laws, float64.

The learner sees `alias[s]` instead of s and chooses one action per observation, so that it may be unable to imitate.
Loss is the 0-1 imitation loss averaged over the H steps; a state law `[S]` below is the mean of d_t over t.

- DAgger (Ross, Gordon & Bagnell 2011, https://arxiv.org/abs/1011.0686): data under pi_i = beta_i pi* + (1 - beta_i) pihat_i,
  pihat_{i+1} the best of the class on all data so far (follow the leader). Theorem 4.1, for a loss in [0, 1]:
  min_i E_{d_pihat_i} l <= eps_N + gamma_N + (2/N) [n_beta + T sum_{i > n_beta} beta_i], n_beta the last i with
  beta_i > 1/T. It follows from Lemma 4.1, |d_{pi_i} - d_{pihat_i}|_1 <= 2 T beta_i, even without the factor 2, because
  a loss in [0, 1] changes by half the L1 distance.
- Forward training (Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html): one policy per step, trained on the law
  that its predecessors induce: J <= J* + u T eps with eps the mean loss at training, which is the loss when deployed
  (Theorem 2.2 of the paper above).
- SMILe (same paper, as section 2.3 of the one above tells it): pi^n = (1-a)^n pi* + a sum_{j<=n} (1-a)^(j-1) pihat^j, pihat^j
  trained under pi^{j-1}; the expert's share (1-a)^N is removed in the end, and the rest normalised.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ilbench.exact import dp
from ilbench.exact.mdp import MDP, Floats

Ints = NDArray[np.int64]


def mean_law(mdp: MDP, policy: Any, H: int) -> Floats:
    """Mean of d_t over the H steps, `[S]`."""
    return np.mean(list(dp.forward(mdp, policy, H)), axis=0)


def correct_mass(law: Floats, expert: Ints, alias: Ints, A: int) -> Floats:
    """`[O, A]`: mass of the states of each observation on which each action is the expert's."""
    out = np.zeros((int(alias.max()) + 1, A))
    np.add.at(out, (alias, expert), law)
    return out


def leader(law: Floats, expert: Ints, alias: Ints, A: int) -> Ints:
    """The policy `[S]` of least 0-1 loss on a law among those that read `alias`; ties and unseen: the lowest action."""
    mass = correct_mass(law, expert, alias, A)
    best = mass.max(-1, keepdims=True)
    return np.argmax(mass >= best - 1e-12 * np.maximum(best, 1e-300), axis=-1)[alias]


def least_loss(law: Floats, expert: Ints, alias: Ints, A: int) -> float:
    """The 0-1 loss of `leader` on that law of total mass 1."""
    return float(1 - correct_mass(law, expert, alias, A).max(-1).sum())


class Aggregation(NamedTuple):
    """What N rounds of DAgger leave behind."""

    iterates: Ints  # `[N, S]` pihat_1 ... pihat_N
    laws: Floats  # `[N, S]` state laws under pi_i, where the data of round i comes from
    losses: Floats  # `[N]` loss of pihat_i on laws[i]
    eps: float  # least loss in hindsight on the aggregate: eps_N
    gamma: float  # average regret: mean loss - eps_N


def dagger(
    mdp: MDP, expert: Ints, alias: Ints, H: int, rounds: int, *, beta: Any = 0.0, first: Ints | None = None
) -> Aggregation:
    """Follow the leader from `first [S]` (all zeros) with `beta` (scalar or `[N]`); the expert is a table `[S]`."""
    S, A = mdp.R.shape
    betas = np.broadcast_to(np.asarray(beta, np.float64), (rounds,))
    if rounds < 1 or betas.min() < 0 or betas.max() > 1:
        raise ValueError(f"needs rounds >= 1 and beta in [0, 1]; got {rounds}, {betas.min()} ... {betas.max()}")
    now = np.zeros(S, np.int64) if first is None else np.asarray(first, np.int64)
    eye, seen = np.eye(A), {}
    iterates, laws = [], []
    for share in betas:
        key = now.tobytes(), share
        if key not in seen:  # iterates return; their laws need not be computed twice
            seen[key] = mean_law(mdp, share * eye[expert] + (1 - share) * eye[now], H)
        iterates.append(now)
        laws.append(seen[key])
        now = leader(np.sum(laws, axis=0), expert, alias, A)
    chosen, mass = np.array(iterates), np.array(laws)
    losses = (mass * (chosen != expert)).sum(-1)
    eps = least_loss(mass.mean(0), expert, alias, A)
    return Aggregation(chosen, mass, losses, eps, float(losses.mean() - eps))


def forward_training(mdp: MDP, expert: Ints, alias: Ints, H: int) -> tuple[Ints, Floats]:
    """Policies `[H, S]`, each the best on its own state law, and their losses `[H]`."""
    A, d = mdp.R.shape[1], mdp.rho
    policies, losses = [], []
    for _ in range(H):
        policies.append(leader(d, expert, alias, A))
        losses.append(least_loss(d, expert, alias, A))
        d = (d[:, None] * np.eye(A)[policies[-1]]).reshape(-1) @ mdp.P.reshape(-1, len(d))
    return np.array(policies), np.array(losses)


class Smile(NamedTuple):
    """What N rounds of SMILe leave behind."""

    policies: Floats  # `[N + 1, S, A]` pi^0 = pi* ... pi^N
    deployed: Floats  # `[S, A]` pi^N without the expert
    losses: Floats  # `[N]` loss of pihat^j under pi^{j-1}


def smile(mdp: MDP, expert: Ints, alias: Ints, H: int, alpha: float, rounds: int) -> Smile:
    """Stochastic mixing with a share alpha in (0, 1) per round; raises ValueError otherwise."""
    if not 0 < alpha < 1 or rounds < 1:
        raise ValueError(f"needs 0 < alpha < 1 and rounds >= 1, got {alpha} and {rounds}")
    A = mdp.R.shape[1]
    star, policies, losses = np.eye(A)[expert], [np.eye(A)[expert]], []
    for j in range(rounds):
        law = mean_law(mdp, policies[-1], H)
        fitted = np.eye(A)[leader(law, expert, alias, A)]
        losses.append(least_loss(law, expert, alias, A))
        policies.append(policies[-1] + alpha * (1 - alpha) ** j * (fitted - star))
    left = (1 - alpha) ** rounds
    deployed = np.maximum(policies[-1] - left * star, 0)
    return Smile(np.array(policies), deployed / deployed.sum(-1, keepdims=True), np.array(losses))


def smile_schedule(T: int) -> tuple[float, int]:
    """alpha = sqrt 3 / (T^2 sqrt ln T) and N = 2 T^2 (ln T)^{3/2} for T >= 3.

    Up to logarithms the orders that SMILe's theorem asks for, 1 / T^2 and T^2 log T; the constants are a choice, with which
    N >= (2 / alpha) ln T, so that removing the expert costs at most T^2 (1 - alpha)^N <= 1.
    """
    return float(np.sqrt(3) / (T**2 * np.sqrt(np.log(T)))), int(np.ceil(2 * T**2 * np.log(T) ** 1.5))
