"""Underfitting: what a Gaussian makes of two modes, other divergences, richer classes."""

from __future__ import annotations

from ilbench import registry
from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Known

PART = "Underfitting"
CHECK, PICTURE = "t15_divergences_mip", "theory@1/t15_divergences_mip.svg"
FAR = "modes at -1, 1"


def _success(e: Known, who: str) -> str:
    return e.measured(CHECK, FAR, f"success of {who}", digits=4)


def _averaging(e: Known) -> str:
    trained = e.measured(CHECK, FAR, "product's Gaussian head")
    return (
        f"Between two modes the mean succeeds with probability {_success(e, 'mean (MSE)')}, a Gaussian of maximum likelihood "
        f"with {_success(e, 'Gaussian, forward KL')}; the trained head, drawn from, with {trained}."
    )


def _reverse(e: Known) -> str:
    gap = e.measured(CHECK, "smallest KL(Gaussian || expert)", digits=4)
    return (
        f"Reverse KL picks one mode: success {_success(e, 'Gaussian, reverse KL')} against forward KL's "
        f"{_success(e, 'Gaussian, forward KL')}, at a divergence of {gap} nats (log 2 predicted: "
        f"{e.predicted(CHECK, 'smallest KL(Gaussian || expert)', digits=4)}). With the modes within the tolerance of each other the "
        f"mean is best: {e.measured(CHECK, 'success of the mean')}, all others at most "
        f"{e.measured(CHECK, 'every other learner')}."
    )


def _variational(e: Known) -> str:
    matched, cloned = (e.claim(CHECK, name, "largest gap / bound") for name in ("occupancy matching gap", "BC gap"))
    return (
        f"On random MDPs matching occupancies stays below its bound, which has one factor 1/(1 - g) less than cloning's: largest ratio "
        f"{e.measured(CHECK, 'occupancy matching gap')} ({matched.verdict}), cloning's {e.measured(CHECK, 'BC gap')} "
        f"({cloned.verdict})."
    )


def _classes(e: Known) -> str:
    heads = registry.entries("heads")
    return (
        f"{len(heads)} heads ({', '.join(sorted(heads))}); drawn from, the right mixture succeeds with probability "
        f"{_success(e, 'mixture')} where the Gaussian of maximum likelihood has {_success(e, 'Gaussian, forward KL')}."
    )


ITEMS = (
    Item(
        "averaging",
        "A bigger network does not help where the family of laws is wrong: a Gaussian fitted by maximum likelihood averages modes.",
        "theory T15 --exact",
        2.3,
        _averaging,
        PICTURE,
        CHECK,
        ("multimodality", "gaussian", "mean of modes"),
        name="The wrong family: averaging modes",
    ),
    Item(
        "mode_seeking",
        "Maximum likelihood minimises forward KL, one f-divergence among many; reverse KL seeks a mode.",
        "theory T15 --exact",
        2.3,
        _reverse,
        PICTURE,
        CHECK,
        ("f-divergence", "reverse kl", "forward kl", "mode table"),
        name="Other divergences: reverse KL",
    ),
    Item(
        "variational",
        "A divergence from samples alone: minimise over policies what a critic can tell apart, as adversarial imitation does.",
        "theory T15 --exact",
        2.3,
        _variational,
        PICTURE,
        CHECK,
        ("gail", "airl", "adversarial", "critic", "occupancy"),
        name="Variational estimates, adversarial imitation",
    ),
    Item(
        "richer_classes",
        "A richer class: mixtures, latent variables, one dimension after the other, diffusion, flow.",
        "list heads",
        1.7,
        _classes,
        words=("mixture", "diffusion", "flow", "autoregressive", "latent variable", "heads"),
        name="Richer classes",
    ),
)
