"""What DAgger costs on the Reset Cliff, exactly: expected gap of a table per step after n episodes of its own, no demonstrations.

The table starts empty, answers wrongly where it is empty, and after every episode learns the expert's action at all H
states of it (beta = 0, one episode a round). Goods are drawn afresh from rho, so what the n episodes did before step t
decides only HOW MANY of them stand at b there, B_t, and the n - B_t good draws at step t are independent of the past:

- a good draw falls iff it is the first of its state at this step, so D_t episodes fall, D_t the number of distinct
  states among n - B_t draws;
- where b is absorbing, B_{t+1} = B_t + D_t; where the expert gets up, all but the first visit to b at step t have been
  shown how: B_{t+1} = D_t + 1{B_t > 0}.

So B_t is a Markov chain over t. The deployed table errs at step t with rate e_t, the mass of the states not drawn, and
gets up iff B_t > 0. With p_t the chance that it is fallen, p_{t+1} = (1 - p_t) e_t + p_t 1{b not known at t}, and the
step costs (1 - p_t) e_t + p_t (no reward for a mistake, nor in b). Given B_t, (e_t, B_{t+1}) is independent of p_t, so
E[p_t 1{B_t = B}] obeys a linear recursion. Behaviour cloning is B_t = 0 for ever: n good draws at every step.

Source: derived here; the instance is after Rajaraman et al. 2020, https://arxiv.org/abs/2009.05990.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ilbench.exact.mdp import Floats


class Interaction(NamedTuple):
    """Expectations over training and rollouts, one entry `[H]` for every horizon up to H (cumulative over steps)."""

    gap: Floats  # reward lost
    mistakes: (
        Floats  # steps of the deployed policy where it does not act as the expert; every step in an absorbing b is one
    )
    rows: Floats  # filled rows (t, s) of the table: labels bought by who asks only where the table is empty
    useful: Floats  # labels at good states, of the n H that were bought


def missing_law(draws: int, rare: int, mass: float) -> Floats:
    """P(k rare states and c common ones are missing after n draws), `[draws + 1, rare + 1, 2]` for n = 0 ... draws."""
    common = 1 - rare * mass
    if draws < 0 or rare < 1 or not (mass > 0 and common > 0):
        raise ValueError(f"needs draws >= 0, rare >= 1 and 0 < mass < 1/rare; got {draws}, {rare}, {mass}")
    k = np.arange(rare + 1)[:, None]
    stay = 1 - mass * k - common * np.arange(2)  # the next draw is of a state seen before
    law = np.zeros((draws + 1, rare + 1, 2))
    law[0, rare, 1] = 1.0
    for n in range(draws):
        law[n + 1] = law[n] * stay
        law[n + 1, :-1] += law[n, 1:] * mass * k[1:]
        law[n + 1, :, 0] += law[n, :, 1] * common
    return law


def interaction(n: int, horizon: int, states: int, mass: float, *, recoverable: bool) -> Interaction:
    """DAgger's expectations after n episodes, one a round; `states` - 2 rare good states of `mass`, one common, and b.

    Always-wrong rule for unseen rows. Raises ValueError for fewer than one episode or step, or a mass out of range.
    """
    if n < 1 or horizon < 1:
        raise ValueError(f"needs n >= 1 episodes and horizon >= 1, got {n} and {horizon}")
    rare = states - 2
    law, k, c = missing_law(n, rare, mass), np.arange(rare + 1)[:, None], np.arange(2)
    error, distinct = k * mass + c * (1 - rare * mass), rare - k + 1 - c
    chance, fallen = np.zeros(n + 1), np.zeros(n + 1)  # P(B_t = B) and E[p_t 1{B_t = B}]
    chance[0] = 1.0
    steps = np.zeros((4, horizon))
    for t in range(horizon):
        after, still = np.zeros(n + 1), np.zeros(n + 1)
        for b in np.flatnonzero(chance):
            drawn, known = law[n - b], recoverable and b > 0
            falls = drawn * error * (chance[b] - fallen[b])
            stays = 0.0 if known else fallen[b]
            following = np.minimum(distinct + (int(known) if recoverable else b), n)  # beyond n only with chance 0
            np.add.at(after, following, drawn * chance[b])
            np.add.at(still, following, falls + drawn * stays)
            rows = (drawn * distinct).sum() + (b > 0)
            steps[:, t] += falls.sum() + fallen[b], falls.sum() + stays, chance[b] * rows, chance[b] * (n - b)
        chance, fallen = after, still
    return Interaction(*np.cumsum(steps, axis=1))
