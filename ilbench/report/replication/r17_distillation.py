"""The variance that an exact divergence saves."""

CLAIM = "On-policy distillation with the analytic reverse KL beats the one-sample estimate (63.9 against 58.8)"
SOURCE = "https://github.com/thinking-machines-lab/tinker-cookbook, pull request 677"
WHY = "on_policy_distillation has both estimators; no suite runs them side by side yet"
