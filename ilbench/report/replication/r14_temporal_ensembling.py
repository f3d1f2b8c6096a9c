"""Averaging overlapping chunks."""

CLAIM = "Temporal ensembling can hurt: 87.6 % of successes without, 70.8 % with m = .01"
SOURCE = "LeRobot, https://github.com/huggingface/lerobot/pull/319"
WHY = "policy.decay does it; no manipulation task with a success is here"
