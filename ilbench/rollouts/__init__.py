"""Rollouts: physics is stepped here and nowhere else."""
