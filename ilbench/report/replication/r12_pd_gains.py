"""What the gains of a position controller do to cloning."""

CLAIM = (
    "Compliant and overdamped position control is cloned best, stiff "
    "and underdamped worst, and validation loss ranks gains wrongly"
)
SOURCE = "https://arxiv.org/abs/2604.14484"
WHY = "no task here is driven by positions"
