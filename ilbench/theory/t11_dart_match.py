"""DART: at the noise that equals the learner's error the shift all but vanishes; the Pinsker bound says little of it.

The expert's action is replaced with probability eta while demonstrating; labels stay clean. On the recoverable fall
with a learner that errs .05 in G and .5 in B, L = sum_t l(s_t) and H = 40:
shift(eta) = E_learner L - E_{demonstrator, eta} L. A fallen demonstrator gets up with probability 1 - eta, so its law
of B is eta from the second step on, and the learner's is b_t = b (1 - r^t) with b = .05/.55, r = .45. Hence
shift = .45 (sum_t b_t - (H-1) eta): linear, zero at eta0 = sum_t b_t / (H-1) = .0890.
Moment matching: eta* = mean error of the learner on demonstrations made with eta*, eta* = .05/(1 - .45 (H-1)/H).
Pinsker: |shift| <= H sqrt(KL/2) as 0 <= L <= H, KL = KL(learner's trajectories || demonstrator's)
= sum_t E_learner KL(pihat(.|s_t) || demonstrator(.|s_t)) by the chain rule; with eta = 0 it is infinite.
The price: the noisy demonstrator itself pays eta H.

Source: Laskey, Lee, Fox, Dragan, Goldberg 2017, https://arxiv.org/abs/1703.09327. The bound's form
and constant are derived as above.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ilbench.envs import recoverable
from ilbench.exact import dp
from ilbench.exact.mdp import Floats
from ilbench.stats.claims import Result, at_most, equal

MODES = ("exact",)
WORDS = ("dart", "noise", "noise_injection")
H, ERRORS = 40, (0.05, 0.5)
PERFECT = (0.0, 0.0)
PRINTED = ((0.0, 1.56), (0.05, 0.68), (0.09, 0.018), (0.2, 1.95))  # eta, |shift| of the catalogue
EXPERT = np.zeros(2, int)
CURVE = np.linspace(0, 0.25, 101)


class Shift(NamedTuple):
    """At one noise level."""

    learner: float  # E_learner L
    shift: float  # E_learner L - E_demonstrator L, signed
    demo_error: float  # mean error of the learner on the demonstrator's states
    kl: float  # nats, learner's trajectories against the demonstrator's; inf without noise
    price: float  # cost of the demonstrator


def _kl(p: Floats, q: Floats) -> Floats:
    """KL(p || q) over the last axis, nats; inf where q = 0 < p."""
    safe = np.where(p > 0, p, 1.0)
    with np.errstate(divide="ignore"):
        return (p * (np.log(safe) - np.log(np.where(p > 0, q, 1.0)))).sum(-1)


def at(eta: float, errors: tuple[float, float] = ERRORS, horizon: int = H) -> Shift:
    """Exact numbers of a learner with the given errors in G and B and a demonstrator with noise `eta`."""
    mdp = recoverable.make("recoverable", horizon).mdp()  # type: ignore[misc]
    learner, demo = (dp.erring_policy(EXPERT, e, 2) for e in (np.array(errors), eta))
    own = dp.expected_mistakes(mdp, learner, EXPERT, horizon).sum()
    seen = dp.occupancy(mdp, demo, horizon) @ np.array(errors)
    with np.errstate(invalid="ignore"):
        kl = dp.occupancy(mdp, learner, horizon).sum(0) @ _kl(learner, demo)
    return Shift(
        float(own), float(own - seen.sum()), float(seen.mean()), float(kl), -dp.total_return(mdp, demo, horizon)
    )


def fixed_point(rounds: int = 60) -> float:
    """DART's iteration: start without noise, set eta to the mean error seen on demonstrations, repeat."""
    eta = 0.0
    for _ in range(rounds):
        eta = at(eta).demo_error
    return eta


def pinsker(s: Shift, horizon: int = H) -> float:
    """H sqrt(KL/2)."""
    return float(horizon * np.sqrt(s.kl / 2))


def measure(mode: str, say: Any) -> Result:
    """Exact, H = 40 (and 20, where the bound is below its largest value)."""
    del mode, say
    curve = [at(e) for e in CURVE]
    none, star = at(0.0), fixed_point()
    matched, half = at(star), at(star, horizon=H // 2)
    r, b = ERRORS[1] - ERRORS[0], ERRORS[0] / (1 + ERRORS[0] - ERRORS[1])
    fallen = b * (H - (1 - r**H) / (1 - r))
    formula = float(np.abs([r * (fallen - (H - 1) * e) - s.shift for e, s in zip(CURVE, curve, strict=True)]).max())
    zero = none.shift / (none.shift - at(0.2).shift) * 0.2  # the shift is linear in eta
    perfect = [at(e, PERFECT) for e in CURVE]
    claims = (
        *(
            equal(f"|shift| = {value:g} at eta = {eta:g}, H = 40", value, abs(at(eta).shift), tolerance=tol)
            for (eta, value), tol in zip(PRINTED, (5e-3, 5e-3, 5e-4, 5e-3), strict=True)
        ),
        equal("shift(eta) = .45 (sum_t b_t - (H-1) eta), max difference on 101 eta", 0.0, formula, tolerance=1e-12),
        equal("iterated moment matching ends at eta* = .05/(1 - .45 (H-1)/H)", 0.05 / (1 - r * (H - 1) / H), star,
              tolerance=1e-12),
        at_most("|shift(eta*)| <= .01 E_learner L", abs(matched.shift), 0.01 * matched.learner, slack=0,
                note=f"without noise {none.shift / none.learner:.0%} of the loss is shift"),
        at_most("|eta* - argmin |shift|| <= .01", abs(star - zero), 0.01, slack=0),
        at_most("|shift(eta*)| <= H sqrt(KL/2), H = 40", abs(matched.shift), pinsker(matched), trivial=H,
                note=f"KL = {matched.kl:.3f} nats: the bound exceeds the largest shift possible, H"),
        at_most("|shift(eta*)| <= H sqrt(KL/2), H = 20", abs(half.shift), pinsker(half, H // 2), trivial=H / 2,
                note=f"tightness {abs(half.shift) / pinsker(half, H // 2):.1e}"),
        at_most("|shift(eta)| <= H sqrt(KL/2): largest ratio over eta > 0, H = 40",
                max(abs(s.shift) / pinsker(s) for s in curve[1:]), 1.0),
        equal("without noise KL = inf: exp(-KL) = 0", 0.0, float(np.exp(-none.kl)), tolerance=0),
        equal("a learner without error: KL is smallest without noise (argmin eta = 0, KL = 0)", 0.0,
              float(CURVE[int(np.argmin([s.kl for s in perfect]))]), tolerance=0,
              note="noise helps only a learner that errs"),
        equal("price of the demonstrations = eta* H", star * H, matched.price, tolerance=1e-10),
    )  # fmt: skip
    return Result(
        claims,
        {
            "eta": CURVE.tolist(),
            "shift": [abs(s.shift) for s in curve],
            "price": [s.price for s in curve],
            "pinsker": [pinsker(s) for s in curve[1:]],
            "star": star,
        },
    )


def plot(result: Result, figure: Any) -> None:
    """The U-curve of the shift, the demonstrator's price, and the Pinsker bound with the line above which it is vacuous."""
    from ilbench.display.style import COLOURS, GREY, legend_below

    d = result.data
    left, right = figure.subplots(1, 2)
    left.plot(d["eta"], d["shift"], color=COLOURS[0], label="|shift|")
    left.plot(d["eta"], d["price"], color=COLOURS[1], ls="--", label="price: cost of the demonstrator")
    left.axvline(d["star"], color=GREY, lw=1, ls=":", label=f"moment matching, eta = {d['star']:.4f}")
    left.set_ylabel("expected total over H = 40 steps")
    right.plot(d["eta"][1:], d["pinsker"], color=COLOURS[2], label="Pinsker bound on |shift|")
    right.plot(d["eta"], d["shift"], color=COLOURS[0], label="|shift|")
    right.axhline(H, color=GREY, lw=1, label="vacuous above H")
    right.set_ylabel("same, on a log scale")
    right.set_yscale("log")
    right.set_ylim(bottom=1e-2)
    for axis in (left, right):
        axis.set_xlabel("noise of the demonstrator, eta")
        legend_below(axis, 1)
    figure.suptitle(
        "DART: noise equal to the learner's error removes the shift; the bound does not see it", fontsize=10
    )
