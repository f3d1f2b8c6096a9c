"""Implicit rewards from one trajectory."""

CLAIM = "IQ-Learn reaches the expert from one trajectory on Hopper, HalfCheetah, Walker and Ant"
SOURCE = "Garg et al. 2021, https://arxiv.org/abs/2106.12142, table 3"
WHY = "iq_learn is of discrete actions here: the soft value of continuous ones needs an actor"
