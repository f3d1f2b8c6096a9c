"""Two stable plants with the same demonstrations: every smooth learner that fits them makes errors grow by at least
log 1.1 per step on one of the two; committing to long enough chunks of actions ends this where the open loop is stable.

    A1 = [[1.1, .15], [-.15, .8]]   A2 = [[-1.1, .15], [-1.5, .8]]   x' = A_i x + u   (open-loop radii .95, .9731)
    K1 = [[-1.1, -.15], [.15, 0]]   K2 = [[1.1, -.15], [1.5, 0]]     experts u = K_i x, closed loops diag(0, .8)

Derivation: K1 e2 = K2 e2, so demonstrations that start on span(e2) stay there and are identical. A learner with
Jacobian K that agrees on e2 has A_i + K lower triangular with entries a_i + k_11 and .8, a_1 - a_2 = 2.2, hence
max_i |a_i + k_11| >= 1.1, attained at k_11 = 0. Chunks of l actions planned with the wrong plant's model multiply
errors by radius(Phi_l) (ilbench/exact/linear_errors.py). Scalar: plant .9, model -.9, feedback .9: 2 * .9^l, below 1 iff
l > log 2 / log(1 / .9) = 6.58. Pair: plant 1 under plant 2's model contracts from l = 75 on, the other way round from
l = 31. An open-loop unstable plant amplifies noise within a chunk: sd = noise sqrt(sum_{k<l} a^{2k}).

Monte Carlo: planned chunks and trained networks through the product's rollouts; the growth rate is that of the distance
between a rollout and its copy with one small kick. Networks: 2 x 64 tanh, 2,000 Adam updates of 256 rows (the suite's
defaults), 10 seeds, 512 rows. The observation normaliser is off: x_1 never varies in the data, and the normaliser's floor
on its standard deviation would multiply an unseen direction by 1,000; the statement is about smooth learners. Networks
predict all actions of a chunk from the state at its start; nothing makes their actions consistent with one model of the
plant, and the theorem on chunks is about learners whose chunks are: hence kind E. What decides is how much the predicted
actions depend on the unseen direction: without weight decay that dependence stays as it was initialised and chunks of 80
still grow; weight decay 1, added after the first run had shown this, shrinks it and they contract. No weight decay helps
single actions: with k_11 = 0 the factors are 1.1 and -1.1.

Source: Simchowitz, Pfrommer, Jadbabaie 2025, https://arxiv.org/abs/2503.09722 (the pitfall); Zhang, Pfrommer, Pan, Matni,
Simchowitz 2025, action chunking; both instances are this project's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench.display.style import COLOURS, GREY, MARKS, legend_below
from ilbench.exact import linear_errors as exact
from ilbench.stats import claims
from ilbench.stats.claims import Claim, Mode, Result

MODES = ("exact", "monte-carlo")
WORDS = ("chunk", "chunks", "chunking", "pitfall")
SEEDS, EPISODES = 10, 4
KICK, SMALL_KICK = 1e-3, 1e-4  # of planned chunks; of networks, whose response saturates
NETS = (1, 8, 80)  # chunk lengths of the trained networks
DECAY = 1.0  # AdamW, per step and unit of learning rate
STARTS, DEMOS = 16, 32  # rows per seed: windows that begin at steps 0 ... 15 of 32 demonstrations
SDS = {1: 0.010, 2: 0.016, 4: 0.027, 8: 0.063, 16: 0.278, 32: 5.15}  # a = 1.2, noise .01
SCALAR = (0.9, -0.9, 0.9)  # plant, model, feedback
WRONG = {1: (exact.PAIR_A[0], exact.PAIR_A[1], exact.PAIR_K[1]), 2: (exact.PAIR_A[1], exact.PAIR_A[0], exact.PAIR_K[0])}


def measure(mode: Mode, say: Callable[[str], None]) -> Result:
    """Exact: radii, thresholds, deviations. Monte Carlo: growth rates of planned chunks and of trained networks."""
    return _exact() if mode == "exact" else _monte_carlo(say)


# ----------------------------------------------------------------------------------------- exact
def _agreeing() -> np.ndarray:
    """max_i radius(A_i + K) over a grid of 6,100 matrices K that agree with both experts on e2."""
    return np.array([
        max(exact.radius(A + np.array([[k, -0.15], [j, 0.0]])) for A in exact.PAIR_A)
        for k in np.linspace(-3, 3, 61)
        for j in np.linspace(-5, 5, 100)
    ])  # fmt: skip


def _pair_claims() -> list[Claim]:
    (A1, A2), (K1, K2) = exact.PAIR_A, exact.PAIR_K
    closed = max(float(np.abs(A + K - np.diag([0, 0.8])).max()) for A, K in ((A1, K1), (A2, K2)))
    worst = _agreeing()
    return [
        claims.equal("pair: both experts' closed loops are diag(0, .8): largest deviation", 0.0, closed, tolerance=1e-15),
        claims.equal("pair: both experts act alike on span(e2): |K1 e2 - K2 e2|", 0.0,
                     float(np.abs(K1[:, 1] - K2[:, 1]).max()), tolerance=0.0),
        claims.at_most("pair: both plants are open-loop stable: max radius < 1", max(map(exact.radius, (A1, A2))), 1 - 1e-3,
                       note=f"{exact.radius(A1):.4f} and {exact.radius(A2):.4f}"),
        claims.equal("pair: min over K agreeing on e2 of max_i log radius(A_i + K) = log 1.1 per step", float(np.log(1.1)),
                     float(np.log(worst.min())), tolerance=1e-9, note=f"{len(worst):,} matrices; attained at k_11 = 0"),
    ]  # fmt: skip


def _chunk_claims() -> list[Claim]:
    found = [
        claims.equal(f"scalar .9 under model -.9: error factor of a chunk of {length} is 2 (.9^{length})", value,
                     exact.radius(exact.chunk_map(*SCALAR, length)), tolerance=5e-5)
        for length, value in ((6, 1.0629), (7, 0.9566))
    ]  # fmt: skip
    found.append(claims.equal("scalar .9 under model -.9: chunks contract from l = 7 on (log 2 / log(1/.9) = 6.58)", 7.0,
                              float(exact.chunk_threshold(*SCALAR)), tolerance=0))  # fmt: skip
    for plant, length in ((1, 75), (2, 31)):
        found.append(claims.equal(
            f"pair, plant {plant} under plant {3 - plant}'s model: chunks contract from l = {length} on", float(length),
            float(exact.chunk_threshold(*WRONG[plant])), tolerance=0))  # fmt: skip
    off = max(abs(exact.open_loop_sd(1.2, 0.01, n) / sd - 1) for n, sd in SDS.items())
    found.append(claims.equal("unstable 1.2, noise .01: sd at the end of a chunk of 1 ... 32 is .010 ... 5.15: relative error",
                              0.0, off, tolerance=0.025, note="six lengths, printed to two or three digits"))  # fmt: skip
    return found


def _exact() -> Result:
    lengths = list(range(1, 121))
    rates = {f"pair, plant {i}": [exact.chunk_rate(*WRONG[i], n) for n in lengths] for i in (1, 2)}
    rates["scalar"] = [exact.chunk_rate(*SCALAR, n) for n in lengths]
    return Result((*_pair_claims(), *_chunk_claims()), {"lengths": lengths, "rates": rates})


# ----------------------------------------------------------------------------------- growth rates
def _growth(task_of: Callable[[int], Any], policy: Any, length: int, stream: str, size: float) -> np.ndarray:
    """Growth per step `[S]` of the distance between a rollout and its copy kicked at the end of the first chunk."""
    from ilbench.theory.instances.nudge import kick, log_rate, nudged, observations

    # The first chunk (of single actions: two) after the kick turns it into the growing direction and is left out.
    lags = length * np.arange(2, 6) if length > 1 else np.arange(3, 14)
    task = task_of(int(lags[-1]) + 1)
    offset = kick(task.horizon, task.env.action.shape[0], length - 1, size)
    x = [observations(task, nudged(policy, SEEDS, o), SEEDS, EPISODES, stream) for o in (offset, 0 * offset)]
    return log_rate(np.linalg.norm(x[0] - x[1], axis=-1), lags)  # x[t] is the state before step t


def _planned_claims(say: Callable[[str], None]) -> list[Claim]:
    from ilbench.theory.instances.chunks import planned, plant

    say("chunks planned with the wrong model: l = 6, 7 (scalar) and 30, 31, 74, 75 (pair)")
    found = []
    cases: list[tuple[str, tuple[Any, Any, Any], int]] = [("scalar", SCALAR, n) for n in (6, 7)]
    cases += [(f"pair, plant {i}", WRONG[i], n) for i, ns in ((1, (74, 75)), (2, (30, 31))) for n in ns]
    for name, (A, model, K), length in cases:
        expert = -np.atleast_2d(A)  # never acts; labels only

        def task_of(_: int, A: Any = A, K: Any = expert) -> Any:
            horizon = 376 if len(K) > 1 else 43  # one compiled program for all lengths
            return plant("planned", A, K, horizon, noise=1e-4, start=[0.1] * len(K))

        rate = _growth(task_of, planned(model, K, length, SEEDS), length, f"t14/{name}/{length}", KICK)
        target = exact.chunk_rate(A, model, K, length)
        sign = "grows" if target > 0 else "shrinks"
        value = np.sign(target) * rate
        found.append(claims.above(
            f"{name}, wrong model, chunks of {length}: the error {sign} (|rate| per step > 0, this sign)", value, 0.0,
            note=f"rate {rate.mean():+.5f}, exact {target:+.5f}; noise 1e-4, one kick"))  # fmt: skip
    return found


def _unstable_claims() -> list[Claim]:
    from ilbench.theory.instances.chunks import planned, plant
    from ilbench.theory.instances.nudge import observations

    task = plant("unstable", 1.2, -1.2, 43, noise=0.01)
    x = observations(task, planned(1.2, -1.2, 32, SEEDS), SEEDS, 400, "t14/unstable")[..., 0]
    found = []
    for length in (8, 32):
        sd = x[:, :, length].std(axis=1, ddof=1)
        target = exact.open_loop_sd(1.2, 0.01, length)
        half = 1.8331 * sd.std(ddof=1) / np.sqrt(SEEDS)  # t, 9 degrees, 90 %
        found.append(claims.equivalent(
            f"unstable 1.2, noise .01, right model: sd after {length} open-loop steps", target, float(sd.mean()),
            (float(sd.mean() - half), float(sd.mean() + half)), 0.05 * target, SEEDS * 400, kind="T",
            note="within 5 %; 10 x 400 chunks"))  # fmt: skip
    return found


# --------------------------------------------------------------------------------- trained networks
def _demonstrations(index: int, horizon: int) -> Any:

    from ilbench.rollouts.behaviours import mixed, same
    from ilbench.rollouts.keys import episode_keys
    from ilbench.rollouts.rollout import rollout
    from ilbench.theory.instances.chunks import plant
    from ilbench.theory.instances.nudge import repeated
    from ilbench.types import COLLECT

    task = plant("pair", exact.PAIR_A[index], exact.PAIR_K[index], horizon, start=[0.0, 1.0])
    behaviour = same(mixed(task.env.action, horizon, beta=1.0), SEEDS)
    keys = episode_keys("t14/demos", range(SEEDS), DEMOS)
    return rollout(
        task.env, task.expert, repeated(task.ask(), SEEDS), behaviour, keys, horizon=horizon, record=COLLECT
    )


def _network(demos: Any, length: int, decay: float) -> tuple[Any, float]:
    """Chunked policy of networks trained on windows of the demonstrations, and their final training loss."""
    from ilbench.heads._networks import NetConfig, network, squared
    from ilbench.rollouts.keys import seed_keys
    from ilbench.theory.instances.chunks import predicted, windows
    from ilbench.training import fit
    from ilbench.types import Box, Data

    head = squared(*network(Box(2), NetConfig(), 2 * length), Box(2 * length), None)
    obs, chunks = windows(demos, length, STARTS)
    shape = obs.shape[:2]
    data = Data(np.zeros(shape, np.int32), obs, chunks, np.ones(shape, np.float32))
    settings = fit.FitConfig(weight_decay=decay)
    params = fit.init(head, seed_keys("init", range(SEEDS)))
    params, _, losses = fit.fit(head, seed_keys("fit0", range(SEEDS)), params, data, settings, 2000)
    return predicted(head, params, length, 2), float(np.asarray(losses)[:, -1].mean())


def _worse_plant(policy: Any, length: int) -> np.ndarray:
    """Growth per step `[S]` on the plant where it is larger."""
    from ilbench.theory.instances.chunks import plant

    def rate(A: Any, K: Any) -> np.ndarray:
        return _growth(
            lambda horizon: plant("pair", A, K, horizon, start=[0.0, 1.0]), policy, length, "t14/networks", SMALL_KICK
        )

    return np.maximum(*(rate(A, K) for A, K in zip(exact.PAIR_A, exact.PAIR_K, strict=True)))


def _network_claims(say: Callable[[str], None]) -> tuple[list[Claim], dict[str, Any]]:
    demos = [_demonstrations(i, STARTS + max(NETS)) for i in (0, 1)]
    apart = max(float(np.abs(a - b).max()) for a, b in zip(demos[0][:3], demos[1][:3], strict=True))
    same = claims.equal("pair, 10 x 32 demonstrations on span(e2): largest difference between the two plants", 0.0, apart,
                        tolerance=0.0, note="states and actions, bit for bit")  # fmt: skip
    found = [dataclasses.replace(same, mode="monte-carlo", n=SEEDS * DEMOS)]
    worse, text = {}, {}
    for key in ((1, 0.0), (1, DECAY), (8, 0.0), (80, 0.0), (80, DECAY)):
        say(f"networks that predict {key[0]} action(s), weight decay {key[1]:g}")
        policy, loss = _network(demos[0], *key)
        w = worse[key] = _worse_plant(policy, key[0])
        text[key] = f"mean {w.mean():+.4f}, range {w.min():+.4f} ... {w.max():+.4f}, training loss {loss:.1g}"
    log = float(np.log(1.1))
    found += [
        claims.above("pair, networks (single actions): growth per step on the worse plant > 0", worse[1, 0.0], 0.0,
                     note=text[1, 0.0]),
        claims.above("pair, networks (single actions): growth per step on the worse plant > log 1.1", worse[1, 0.0], log,
                     note=text[1, 0.0]),
        claims.above(f"pair, networks (single actions, weight decay {DECAY:g}): growth on the worse plant > log 1.1",
                     worse[1, DECAY], log, note=text[1, DECAY]),
        claims.above("pair, networks: chunks of 8 grow slower per step than single actions (difference > 0)",
                     worse[1, 0.0] - worse[8, 0.0], 0.0, kind="E", note=text[8, 0.0]),
        claims.above("pair, networks: chunks of 80 grow slower per step than chunks of 8 (difference > 0)",
                     worse[8, 0.0] - worse[80, 0.0], 0.0, kind="E", note=text[80, 0.0]),
        claims.above("pair, networks: chunks of 80 contract on both plants (decay per step > 0)", -worse[80, 0.0], 0.0, kind="E",
                     note=f"{text[80, 0.0]}; planned chunks contract from 75 on"),
        claims.above(f"pair, networks, weight decay {DECAY:g}: chunks of 80 contract on both plants (decay per step > 0)",
                     -worse[80, DECAY], 0.0, kind="E", note=text[80, DECAY]),
    ]  # fmt: skip
    return found, {"networks": [[n, d, w.tolist()] for (n, d), w in worse.items()]}


def _monte_carlo(say: Callable[[str], None]) -> Result:
    planned = _planned_claims(say)
    unstable = _unstable_claims()
    networks, data = _network_claims(say)
    return Result((*planned, *unstable, *networks), data)


# ------------------------------------------------------------------------------------------ plot
def plot(result: Result, figure: Any) -> None:
    """Growth per step against chunk length: planned with the wrong model (lines), trained networks (one mark per seed)."""
    data = result.data
    figure.set_size_inches(6.8, 4.8)
    axis = figure.subplots()
    for k, (name, rates) in enumerate(data["rates"].items()):
        axis.plot(data["lengths"], rates, color=COLOURS[k], label=f"{name}: planned with the wrong model")
    named = set()
    for length, decay, rates in data.get("networks", []):
        label = f"networks, worse plant, one mark per seed{f', weight decay {decay:g}' if decay else ''}"
        k, shift = (4, 1.08) if decay else (3, 1.0)
        shown = None if label in named else label
        axis.plot([length * shift] * len(rates), rates, MARKS[k - 3], color=COLOURS[k], mfc="none", ms=5, label=shown)
        named.add(label)
    axis.axhline(0, color="black", lw=0.8)
    axis.axhline(np.log(1.1), color=GREY, ls="--", label="log 1.1: single actions cannot do better on both plants")
    for k, length in enumerate((75, 31, 7)):
        axis.axvline(length, color=COLOURS[k], lw=0.8, ls=":")
    axis.set(xscale="log", xlabel="chunk length l (actions; dotted: thresholds 75, 31 and 7)", ylabel="growth of the error per step",
             title="Errors grow under short chunks, shrink once open-loop stability wins")  # fmt: skip
    axis.set_yscale("symlog", linthresh=0.02)
    axis.set_ylim(-0.2, 1.5)
    legend_below(axis, 2)
