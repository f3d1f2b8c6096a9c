"""Rollouts: random keys, who acts, who errs in 0-1 deployment, one episode, many at once, replay.

Physics is stepped here and nowhere else, but for the RL loop (training/rl.py) and the camera's own episode (render/).
"""
