"""Where cloning catches up with occupancy matching."""

from __future__ import annotations

from ilbench.report.groups import Group
from ilbench.report.replication.verdicts import Line, Suites, above, alike

CLAIM = "BC reaches GAIL near 25 expert trajectories (IQM .16, .49, 1.03 at 5, 10, 25 against 1.05 to 1.1)"
SOURCE = (
    "Kaixhin/imitation-learning, https://github.com/Kaixhin/imitation-learning, read off a figure; conf/config.yaml"
)
DIFFERS = (
    "they keep every 20th step, so that 25 trajectories are some 1,250 labels and the crossing lies between ours; hopper alone, GAIL "
    "by clipped policy steps from a cloned start and at most 1.6 million env steps, they by SAC from nothing and 1 million"
)
SUITES = ("matching",)


def measure(records: Suites) -> list[Line]:
    """Below the crossing GAIL stands above, beyond it the two are alike."""

    def pair(n: int) -> tuple[Group | None, Group | None]:
        cloned = records.one("matching", "hopper", "bc", budget=n, head="gaussian", fit__weight_decay=1e-3)
        return records.one("matching", "hopper", "gail", budget=n, head="gaussian"), cloned

    return [above("hopper, 1,000 labels", *pair(1000)), alike("hopper, 5,000 labels", *pair(5000))]
