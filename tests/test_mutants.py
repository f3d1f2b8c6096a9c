"""The list of mutants is of this code: each changes one place, to something else. That they die is seen by running tests/mutants.py."""

from collections import Counter

import mutants
import pytest

FOUND = mutants.read(mutants.LIST.read_text(encoding="utf-8"))


@pytest.mark.parametrize("mutant", FOUND, ids=lambda m: f"{m.file}: {m.why}")
def test_a_mutant_changes_one_place(mutant):
    assert (mutants.ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.new != mutant.old
    assert (mutants.ROOT / "tests" / f"test_meaning_{mutant.first}.py").is_file()


def test_no_mutant_is_listed_twice():
    assert max(Counter((m.file, m.old, m.new) for m in FOUND).values()) == 1
