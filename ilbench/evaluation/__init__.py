"""Evaluation: how a policy is judged."""
