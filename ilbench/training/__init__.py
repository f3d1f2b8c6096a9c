"""Training: networks, the one supervised fit, the lab with its ledger of labels and steps, learnt dynamics, the RL loop.

Gradients of parameters are taken here and nowhere else.
"""
