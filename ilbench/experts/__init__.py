"""Experts: loading and checking trained weights; closed-form experts live beside their envs."""
