"""f-VIM on occupancies: an f-divergence of the learner's steps from the expert's, estimated by a judge, is its (negative) reward.

Unlike behaviour cloning it trains on its own states, and unlike GAIL, which is its Jensen-Shannon case, the divergence is chosen: the
reverse KL keeps to one way of the expert's, the KL covers all. Rewards of the reverse KL and of the total variation can be negative. It
pays for env steps, not for labels.
Paper: Ke et al. 2021, Imitation learning as f-divergence minimization, https://arxiv.org/abs/1905.12888; also Ghasemipour, Zemel & Gu
2019, f-MAX, https://arxiv.org/abs/1911.02256
"""

from __future__ import annotations

from dataclasses import dataclass

from ilbench.names import meant
from ilbench.training import adversarial, variational
from ilbench.training.lab import Lab
from ilbench.types import Trained

NEEDS = ("demonstrations", "sample", "log_prob", "gradients", "one step")
TRY = ("scalar_stable", "gaussian", 200)  # what the contract test runs: task, head, labels
TRY_AT = {
    "f_vim_occupancy.rounds": 2,
    "f_vim_occupancy.episodes": 2,
    "f_vim_occupancy.width": 8,
    "f_vim_occupancy.judge_updates": 5,
    "f_vim_occupancy.value_updates": 5,
    "f_vim_occupancy.policy_updates": 5,
    "fit.updates": 50,
}


@dataclass(frozen=True)
class Config(adversarial.Config):
    """The two players, as of the other adversarial methods, and the divergence."""

    # kl, reverse_kl, jensen_shannon (GAIL) or total_variation, of the expert's steps from one's own
    divergence: str = "reverse_kl"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.divergence not in variational.FORMS:
            near = meant(self.divergence, variational.FORMS)
            allowed = ", ".join(variational.FORMS)
            raise ValueError(
                f"f_vim_occupancy.divergence must be one of {allowed}, got {self.divergence!r}. {near}".rstrip()
            )


def train(lab: Lab, config: Config) -> Trained:
    """Cloning, then rounds of judging and policy steps."""
    env = lab.task.env
    return adversarial.play(lab, config, variational.judge(env.obs, env.action, config.width, config.divergence))
