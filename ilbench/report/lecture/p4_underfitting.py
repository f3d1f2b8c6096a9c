"""Underfitting: what a Gaussian makes of two modes, other divergences, richer classes."""

from __future__ import annotations

from ilbench import registry
from ilbench.report.lecture.evidence import Evidence
from ilbench.report.lecture.item import Item

PART = "Underfitting"
CHECK, PICTURE = "t15_divergences_mip", "theory@1/t15_divergences_mip.svg"
FAR = "modes at -1, 1"


def _success(evidence: Evidence, who: str) -> str:
    return evidence.measured(CHECK, FAR, f"success of {who}", digits=4)


def _averaging(evidence: Evidence) -> str:
    trained = evidence.measured(CHECK, FAR, "product's Gaussian head")
    return (
        f"Between two modes the mean succeeds with probability {_success(evidence, 'mean (MSE)')}, a Gaussian of maximum likelihood "
        f"with {_success(evidence, 'Gaussian, forward KL')}; the trained head, drawn from, with {trained}."
    )


def _reverse(evidence: Evidence) -> str:
    gap = evidence.measured(CHECK, "smallest KL(Gaussian || expert)", digits=4)
    return (
        f"Reverse KL picks one mode: success {_success(evidence, 'Gaussian, reverse KL')} against forward KL's "
        f"{_success(evidence, 'Gaussian, forward KL')}, at a divergence of {gap} nats (log 2 predicted: "
        f"{evidence.predicted(CHECK, 'smallest KL(Gaussian || expert)', digits=4)}). With the modes within the tolerance of each other the "
        f"mean is best: {evidence.measured(CHECK, 'success of the mean')}, all others at most "
        f"{evidence.measured(CHECK, 'every other learner')}."
    )


def _variational(evidence: Evidence) -> str:
    matched, cloned = (evidence.claim(CHECK, name, "largest gap / bound") for name in ("occupancy matching gap", "BC gap"))
    return (
        f"On random MDPs matching occupancies stays below its bound, which has one factor 1/(1 - g) less than cloning's: largest ratio "
        f"{evidence.measured(CHECK, 'occupancy matching gap')} ({matched.verdict}), cloning's {evidence.measured(CHECK, 'BC gap')} "
        f"({cloned.verdict})."
    )


def _classes(evidence: Evidence) -> str:
    heads = registry.entries("heads")
    return (
        f"{len(heads)} heads ({', '.join(sorted(heads))}); drawn from, the right mixture succeeds with probability "
        f"{_success(evidence, 'mixture')} where the Gaussian of maximum likelihood has {_success(evidence, 'Gaussian, forward KL')}."
    )


ITEMS = (
    Item(
        "averaging",
        "A bigger network does not help where the family of laws is wrong: a Gaussian fitted by maximum likelihood averages modes.",
        "theory T15 --exact",
        2.0,
        _averaging,
        PICTURE,
        CHECK,
        ("multimodality", "gaussian", "mean of modes"),
    ),
    Item(
        "mode_seeking",
        "Maximum likelihood minimises forward KL, one f-divergence among many; reverse KL seeks a mode.",
        "theory T15 --exact",
        2.0,
        _reverse,
        PICTURE,
        CHECK,
        ("f-divergence", "reverse kl", "forward kl", "mode table"),
    ),
    Item(
        "variational",
        "A divergence from samples alone: minimise over policies what a critic can tell apart, as adversarial imitation does.",
        "theory T15 --exact",
        2.0,
        _variational,
        PICTURE,
        CHECK,
        ("gail", "airl", "adversarial", "critic", "occupancy"),
    ),
    Item(
        "richer_classes",
        "A richer class: mixtures, latent variables, one dimension after the other, diffusion, flow.",
        "list heads",
        1.0,
        _classes,
        words=("mixture", "diffusion", "flow", "autoregressive", "latent variable", "heads"),
    ),
)
