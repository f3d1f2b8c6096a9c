"""Records do not depend on the number of devices: bit for bit, or up to rounding where the programs differ."""

import subprocess
import sys

import numpy as np
import pytest

# 512 episodes fill four blocks of 128 lanes, however many devices take them; 40 are cut differently for each.
SCRIPT = """
import sys, jax, numpy as np, ilbench
devices, out = int(sys.argv[1]), sys.argv[2]
ilbench.setup(devices=devices)
assert jax.device_count() == devices
from ilbench import registry
from ilbench.training import fit
from ilbench.heads import mse
from ilbench.training.deployed import to_policy
from ilbench.types import COLLECT
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.rollout import rollout
from ilbench.rollouts.keys import seed_keys
task = registry.task("hopper")
head = mse.make(task.spec, mse.Config())
policy = to_policy(head, fit.init(head, seed_keys("devices", (0,))))
found = {}
for episodes, horizon in ((512, 60), (40, 60)):
    behaviour = jax.tree.map(lambda x: np.asarray(x)[None], mixed(task.env.action, horizon, beta=0.5, noise=0.1))
    demos = rollout(task.env, task.expert, policy, behaviour, episode_keys("devices", (0,), episodes),
                    horizon=horizon, record=(*COLLECT, "reward"), block=task.block)
    found |= {f"{episodes}/{name}": leaf for name, leaf in demos._asdict().items() if leaf is not None}
np.savez(out, **found)
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    command = [sys.executable, "-c", SCRIPT]
    running = [  # side by side: most of it is compiling, on one core each
        subprocess.Popen([*command, str(n), str(folder / f"{n}.npz")], stderr=subprocess.PIPE, text=True)
        for n in (1, 2, 4)
    ]
    for process in running:
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
    return {devices: dict(np.load(folder / f"{devices}.npz")) for devices in (1, 2, 4)}


def test_equal_blocks_give_identical_records(records):
    names = [name for name in records[2] if name.startswith("512/")]
    assert len(names) == 8
    for name in names:
        np.testing.assert_array_equal(records[4][name], records[2][name], err_msg=name)


@pytest.mark.parametrize(("devices", "episodes"), [(2, 512), (2, 40), (4, 40)])
def test_other_programs_differ_by_rounding_only(records, devices, episodes):
    """One device is compiled without XLA's partitioner, and rounds elsewhere even where its blocks are the same.

    Contacts are chaotic: every number is compared over the first 20 steps, and beyond them the mean return.
    """
    for name in ("obs", "action", "label", "reward"):
        ours, theirs = (records[d][f"{episodes}/{name}"][:, :, :20] for d in (devices, 1))
        np.testing.assert_allclose(ours, theirs, atol=1e-3, err_msg=name)
    ours, theirs = (records[d][f"{episodes}/reward"][0].sum(-1) for d in (devices, 1))
    assert abs(ours.mean() - theirs.mean()) < 2 * theirs.std() / np.sqrt(episodes)
