"""Cells that were kept come out again: bit for bit on the platform they were made on, nearly elsewhere (tests/golden.py)."""

import json

import golden
import pytest

KEPT = json.loads(golden.PATH.read_text())


@pytest.mark.parametrize("name", [*golden.CELLS, *(pytest.param(n, marks=pytest.mark.slow) for n in golden.SLOW)])
def test_a_kept_cell_comes_out_again(name):
    found = golden.compare(name, KEPT)
    assert not found, "\n".join([*found, "if this change is meant: python -m tests.golden --write, and say why"])


def test_every_algorithm_has_a_kept_cell_and_nothing_else_is_kept():
    from ilbench import registry

    assert set(KEPT["cells"]) == set(golden.CELLS | golden.SLOW)
    kept = {fields["algorithm"] for fields, _ in (golden.CELLS | golden.SLOW).values()}
    assert kept >= {"bc", "dagger", "ccil", "noise_bc", "noise_injection", "dialled"}
    assert kept <= set(registry.entries("algorithms"))
    for cell in KEPT["cells"].values():
        assert all(cell[f"seed {seed}"]["status"] == "ok" for seed in golden.SEEDS)


def test_what_differs_is_named_and_what_is_new_is_not():
    kept = {"labels": 40, "scores": {"score": 0.5, "gap": None}, "returns": [1.0, 2.0]}
    new = {"labels": 40, "scores": {"score": 0.5, "gap": None, "fresh": 1.0}, "returns": [1.0, 2.0]}
    assert golden.differences(kept, new, True, 0.01) == golden.differences(kept, new, False, 0.01) == []
    for change, lines in (
        ({"labels": 41}, (1, 1)),
        ({"returns": [1.0, 2.0000001]}, (1, 0)),
        ({"scores": {"score": 0.505, "gap": None}}, (1, 0)),
        ({"scores": {"score": 0.52, "gap": None}}, (1, 1)),
        ({"scores": {"score": None, "gap": None}}, (1, 1)),
        ({"scores": {"gap": None}}, (1, 1)),
    ):
        for same, count in zip((True, False), lines, strict=True):
            assert len(golden.differences(kept, new | change, same, 0.01)) == count
    assert len(golden.differences({"seed 0": kept}, {}, False, 0.01)) == 1
