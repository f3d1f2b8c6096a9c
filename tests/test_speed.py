"""The speed table: physics steps are env steps times Brax's frames, and figures from before they were counted still show."""

import json

import pytest

from ilbench.bench import speed
from ilbench.report import speed as report


def _found(**more):
    figures = {"envs": 8, "steps": 10, "block": 8, "rounds": 1, **dict.fromkeys(report.RATES.values(), 1500.0)}
    return {
        "devices": "1 x cpu",
        "robots": {"hopper": figures | dict.fromkeys(report.RATIOS.values(), 1.0) | more},
        "jobs": {},
    }


def test_physics_steps_are_env_steps_times_frames():
    rates, physics, ratios = report.tables(_found(frames=4))
    assert rates.rows[0][4:] == ("1,500",) * 8
    assert physics.rows == [("hopper", "4", *("6,000",) * 8)]
    assert len(ratios.rows[0]) == 6


def test_figures_without_frames_have_no_table_of_physics_steps():
    assert [t.title for t in report.tables(_found())] == ["Env steps per second (1 x cpu)", "Ratios"]


@pytest.mark.parametrize(
    ("name", "frames", "seconds"), [("hopper", 4, 0.008), ("pusher", 50, 0.05), ("swimmer", 4, 0.04)]
)
def test_frames_are_those_that_brax_steps_on_the_tasks_backend(name, frames, seconds):
    from ilbench.envs import _brax
    from ilbench.envs.brax import ROBOTS

    assert speed.frames(name) == frames
    assert float(_brax.robot(name, ROBOTS[name]["backend"]).dt) == pytest.approx(seconds)


def test_larger_jobs_run_only_when_they_are_asked_for(monkeypatch):
    for name in ("dagger", "cartpole", "many", "cells", "memory_apart"):
        monkeypatch.setattr(speed, name, lambda *given, name=name: {name: 1.0})

    def ran(**asked):
        jobs = json.loads(json.dumps(speed.everything((), 1, 1, 1, lambda text: None, **asked)))["jobs"]
        return [key for figures in jobs.values() for key in figures]

    assert ran() == ["dagger", "cartpole", "memory_apart"]
    assert ran(scale=True) == ["dagger", "cartpole", "memory_apart", "many", "cells"]
    assert ran(whole=False, scale=True) == ["many", "cells"]
