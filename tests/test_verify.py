"""`ilbench verify`: what comes again, what does not, on which packages; tiers, and what takes them away; the tests by permutation."""

import itertools
import json

import numpy as np
import pytest
from test_compare import run

from ilbench.records import store, verified
from ilbench.records.schema import cell_id, seal, summarise_episodes
from ilbench.report import leaderboard, source
from ilbench.report.site import material
from ilbench.running import runner, verifying
from ilbench.stats.permutation import two_samples

CHEAP = {"tasks": "gridworld", "algorithms": "bc", "quiet": True}
OLD = {"packages": {"jax": "0.4.0"}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six seeds of bc on gridworld with their policies."""
    folder = tmp_path_factory.mktemp("made")
    runner.run("quick", seeds=tuple(range(6)), out=folder, save_policies=True, **CHEAP)
    return folder, store.suites(folder)[0]


@pytest.fixture
def drawn(monkeypatch):
    """Fresh seeds that are the same in every run of the tests: 5 in 100 draws contradict what is true."""
    numbers = itertools.count(1000)
    monkeypatch.setattr(verifying.secrets, "randbelow", lambda n: next(numbers))


def items(made, how, change=lambda r: r):
    """What is to be verified, with a changed record: without the curves that would have told on it."""
    folder, suite = made
    out = []
    for r in store.read_all(folder, suite)[0]:
        i, new = verifying.item(r, folder, how), seal(change(r))
        kept = {k: v for k, v in i.arrays.items() if new.episodes == r.episodes or not k.startswith("prefix_")}
        out.append(i._replace(record=new, arrays=kept))
    return out


def shifted(by, **provenance):
    """A record whose episodes, and what follows from them, are said to be better than they were, perhaps on other packages."""

    def change(r):
        made_by = r.provenance.model_copy(update=provenance)
        if by == 0:
            return r.model_copy(update={"provenance": made_by})
        e = summarise_episodes([x + by for x in r.episodes.returns], r.episodes.costs)
        ends = [r.references[name].mean for name in ("random", "expert")]
        scores = {**r.scores, "return": e.return_mean, "score": (e.return_mean - ends[0]) / (ends[1] - ends[0])}
        return r.model_copy(update={"episodes": e, "scores": scores, "provenance": made_by})

    return change


def verdicts(found):
    return {f.verdict for f in found}


@pytest.mark.parametrize("how", ["evaluate", "train"])
def test_what_is_true_comes_again_and_what_is_not_is_contradicted(how, made, drawn):
    """Bit for bit on these packages, where a thousandth is seen; a shift on others, and at fresh seeds, by a test."""
    assert verdicts(verifying.verify(items(made, how))) == {"same"}
    seen = [i._replace(arrays=made_so.arrays) for i, made_so in zip(items(made, how, shifted(9.0)), items(made, how), strict=True)]
    assert all("its array prefix_return ends" in f.note for f in verifying.verify(seen))
    assert verdicts(verifying.verify(items(made, how, shifted(0.001)))) == {"contradicted"}
    other = verifying.verify(items(made, how, shifted(0.0, **OLD)))
    assert verdicts(other) == {"same"}
    few = verifying.verify(items(made, how, shifted(3.0, **OLD)))
    assert verdicts(few) == {"contradicted"}
    assert all("paired" in f.note and f.p is not None for f in few)
    assert verdicts(verifying.verify(items(made, how), fresh=True)) == {"agrees"}
    assert verdicts(verifying.verify(items(made, how, shifted(30.0)), fresh=True)) == {"contradicted"}


def test_too_few_seeds_are_no_verification(made):
    """Of two seeds nothing is said; a cell that this ilbench makes otherwise is named and costs no other."""
    two = [i for i in items(made, "train", shifted(0.001, **OLD)) if i.record.cell.seed < 2]
    assert verdicts(verifying.verify(two)) == verdicts(verifying.verify(two, fresh=True)) == {"undecided"}
    cell = two[0].record.cell.model_copy(update={"expert": "0" * 64})
    strange = two[0].record.model_copy(update={"cell": cell, "id": cell_id(cell)})
    found = verifying.verify([two[0]._replace(record=strange), verifying.item(*items(made, "evaluate")[3][:2])])
    assert [f.verdict for f in found] == ["impossible", "same"]
    assert "expert differ" in found[0].note
    assert [f.tier for f in found] == [None, "re-evaluated"]


def test_a_p_value_that_could_not_have_been_small_is_no_agreement(made):
    record = items(made, "check")[0].record
    weak = [verifying.Finding(record, "train", None, "", 0.9, 0.03, str(n)) for n in range(2)]
    assert [f.verdict for f in verifying._judged(weak)] == ["undecided"] * 2
    assert [f.verdict for f in verifying._judged(weak[:1])] == ["agrees"]
    pair = [weak[0]._replace(p=0.04, least=0.0, test="one"), weak[0]._replace(p=0.04, least=0.0, test="one")]
    assert [f.verdict for f in verifying._judged(pair)] == ["contradicted"] * 2  # one test of two records counts once
    assert [f.verdict for f in verifying._judged([pair[0], pair[0]._replace(test="two")])] == ["agrees"] * 2


def test_tiers_stand_on_the_board_until_the_record_changes(made, monkeypatch, capsys):
    folder, suite = made
    assert run(monkeypatch, "verify", str(folder), "--json", "--quiet") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["counts"] == {"same": 6}
    assert {r["tier"] for r in said["records"]} == {"re-evaluated"}
    found = source.load(suite, folder)
    row = leaderboard.build(found.records, found.tiers).rows[0]
    assert row["verified"] == {"re-evaluated": 6}
    assert "verified" not in leaderboard.build(found.records).rows[0]
    assert "re-evaluated" in leaderboard.text(leaderboard.build(found.records, found.tiers))
    run(monkeypatch, "leaderboard", suite.split("@")[0], "--results", str(folder), "--json")
    assert json.loads(capsys.readouterr().out)["rows"][0]["verified"] == row["verified"]
    assert material.collect([suite], folder, lambda line: None).suites[0].board.rows[0]["verified"] == row["verified"]
    changed = [seal(found.records[0].model_copy(update={"suite": "other@1"})), *found.records[1:]]
    assert set(verified.standing(verified.read(folder / suite)[0], changed)) == {r.id for r in found.records[1:]}
    assert run(monkeypatch, "verify", found.records[0].id[:8], "--results", str(folder), "--by", "check", "--fresh-seeds") == 2
    capsys.readouterr()


def test_a_later_line_counts_unless_it_only_read(made):
    """checked after reproduced takes nothing away; nor does it mend a contradiction, which another evaluation does."""
    record = items(made, "check")[0].record
    line = verified.Line(id=record.id, digest=record.self_hash, tier="checked", date="2026-01-31", how="", versions={})
    tiers = ("checked", "re-evaluated", "reproduced", "contradicted")
    read, again, trained, bad = (line.model_copy(update={"tier": tier}) for tier in tiers)
    wanted = [(trained, read, "reproduced"), (trained, again, "reproduced"), (read, again, "re-evaluated"),
              (trained, bad, "contradicted"), (bad, read, "contradicted"), (bad, again, "re-evaluated")]  # fmt: skip
    for before, after, tier in wanted:
        assert verified.standing([before, after], [record])[record.id].tier == tier
    assert verified.said({"reproduced": 4}, 4) == "reproduced"
    assert verified.said({"contradicted": 1}, 1) == "of 1: 1 CONTRADICTED"
    assert verified.said({"reproduced": 2, "checked": 2}, 4) == "of 4: 2 reproduced, 2 checked"


def test_lines_are_added_and_what_is_none_is_named(tmp_path):
    line = verified.Line(id="a" * 32, digest="b" * 64, tier="checked", date="2026-01-31", how="", versions={})
    verified.add(tmp_path, [line])
    bad = '{"id": 3}\nnot json\n' + "x" * 5000
    (tmp_path / verified.FILE).write_text((tmp_path / verified.FILE).read_text() + bad)
    verified.add(tmp_path, [line])
    lines, problems = verified.read(tmp_path)
    assert lines == [line, line]
    assert len(problems) == 3


def test_permutation_is_exact_for_small_samples_and_finds_a_shift():
    """Against all 70 splits of 4 + 4; the least p; equal samples."""
    a, b = np.array([1.0, 2.5, 3.0, 7.0]), np.array([0.0, 0.5, 2.0, 2.2])
    both = np.concatenate([a, b])
    means = [abs(both[list(s)].mean() - np.delete(both, s).mean()) for s in itertools.combinations(range(8), 4)]
    exact = np.mean(np.array(means) >= abs(a.mean() - b.mean()) - 1e-12)
    found = two_samples(a, b, resamples=200_000)
    assert found.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 200_000))
    assert (found.mean, found.least) == (pytest.approx(2.2), 2 / 70)
    assert two_samples(a, a).p == 1
    assert two_samples(np.zeros(64), np.ones(64)).p < 1e-4
    assert two_samples(a, np.append(b, 0.1)).least == 1 / 126
