"""Where cloning catches up with occupancy matching."""

CLAIM = "BC reaches GAIL near 25 expert trajectories (IQM .16, .49, 1.03 at 5, 10, 25 against 1.05 to 1.1)"
SOURCE = "Kaixhin/imitation-learning, https://github.com/Kaixhin/imitation-learning, read off a figure"
WHY = "gail runs here, and no suite gives it the million environment steps on a robot that the figure has"
