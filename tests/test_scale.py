"""Many records: what reading, ranking and the front page may cost a record, and that what is quick says what is slow, bit for bit."""

import gzip
import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import ilbench
from ilbench.records import curves, known, pack, reading
from ilbench.records.index import Index
from ilbench.records.schema import Record, canonical, cell_id, content_hash
from ilbench.stats import intervals, resampling

ROOT = pathlib.Path(ilbench.__file__).resolve().parent.parent
SUITE, COPIES = "quick@2", 12


# --------------------------------------------------------------------------------------------- resamples
def _plain(x, tail=0.0125, resamples=2000):
    """Every resample summed out, as the limits were first written."""
    n = x.shape[1]
    drawn = x[:, np.random.default_rng(0).integers(0, n, (resamples, n, 1))[..., 0]]
    shift, spread = drawn.mean(-1) - x.mean(1)[:, None], drawn.std(-1, ddof=1) / np.sqrt(n)
    pivots = np.where(shift > 0, np.inf, np.where(shift < 0, -np.inf, 0.0))
    np.divide(shift, spread, out=pivots, where=spread > 0)
    return np.quantile(pivots, [tail, 1 - tail], axis=1, method="nearest")


LAWS = {
    "skewed": lambda g, s: np.exp(g.normal(size=s)),
    "rounded": lambda g, s: np.round(g.beta(5, 1, s), 2),
    "rare": lambda g, s: (g.random(s) > 0.05) * 1.0,
    "one apart": lambda g, s: np.where(np.arange(s[1]) == 3, -1e3, 1 / 3 + np.zeros(s)),
    "equal": lambda g, s: np.full(s, 0.1),
    "hardly any spread": lambda g, s: 1e3 + 1e-9 * g.normal(size=s),
    "many alike": lambda g, s: 0.9 + 0.03 * g.normal(size=s) * (g.random(s) < 0.05),
}


@pytest.mark.parametrize("law", LAWS)
def test_limits_from_counts_are_those_of_every_resample(law):
    g = np.random.default_rng(1)
    for n in (8, 10, 31, 100):
        for rows in (1, 2, 9):
            x = LAWS[law](g, (rows, n))
            np.testing.assert_array_equal(resampling.pivot_quantiles(x, 0.0125, 2000), _plain(x))


@pytest.mark.parametrize("law", LAWS)
def test_p_values_from_counts_are_those_of_every_resample(law):
    x = LAWS[law](np.random.default_rng(2), (1, 20))[0]
    x = x - x.mean() + 0.3 * x.std(ddof=1)
    drawn = x[np.random.default_rng(0).integers(0, 20, (20_000, 20, 1))[..., 0]]
    shift, spread = drawn.mean(-1) - x.mean(), drawn.std(-1, ddof=1) / np.sqrt(20)
    least = float(x.mean() / (x.std(ddof=1) / np.sqrt(20))) if np.ptp(x) else 1.0
    beyond = np.count_nonzero((shift >= least * spread) & ((spread > 0) | (shift > 0)))
    assert resampling.share_beyond(x, least, 20_000) == beyond
    if np.ptp(x):
        assert intervals.seed_p(x) == min(1.0, (1 + beyond) / 20_001 / intervals.SKEW)


# ------------------------------------------------------------------------------------------------ records
@pytest.fixture(scope="module")
def lines():
    """The lines of a shipped suite."""
    with gzip.open(ROOT / "results" / SUITE / pack.RECORDS) as stream:
        return stream.read().splitlines()


def test_a_known_line_gives_the_record_that_parsing_gives(lines):
    shelf, bare = known.Shelf(), known.Shelf(lists=False)
    for line in lines[::7]:
        parsed, made = Record.model_validate_json(line), shelf.record(line)
        assert repr(made) == repr(parsed)  # 1 and 1.0 are not spelled alike
        assert canonical(made.model_dump()).encode() == line  # fields in their order, defaults left out
        assert made.model_fields_set == parsed.model_fields_set
        short = parsed.model_copy(
            update={"episodes": parsed.episodes.model_copy(update={"returns": None, "costs": None})}
        )
        assert repr(bare.record(line)) == repr(short)
    assert shelf.record(lines[0]).provenance is shelf.record(lines[0]).provenance


NAMED = ("evaluation", "expert", "costs", "n", "returns", "provenance", "reason", "references", "schema")
VALUES = ({"a": 1, **{name: [1.0, 2.0] for name in NAMED}}, {name: {"a": 1.0} for name in NAMED}, [1.0], "x")
NAMESAKES = [
    *({where: {"a": 1, name: value}} for where in ("config", "evaluation") for name in NAMED for value in VALUES),
    *({"versions": {"a": 2, name: 3, after: 4}} for name, after in itertools.pairwise(NAMED)),
    *({"plugins": {"a": "b", name: "[1]", after: "y"}} for name, after in itertools.pairwise(NAMED)),
]


def test_what_is_called_like_a_part_is_not_taken_for_it(lines):
    """Settings, versions, plug-ins: cut there the line falls apart; what is made of it, if anything, is what parsing gives."""
    first, refused = Record.model_validate_json(lines[0]), 0
    for part in NAMESAKES:
        cell = first.cell.model_copy(update=part)
        line = canonical(first.model_copy(update={"cell": cell, "id": cell_id(cell)}).model_dump()).encode()
        parsed = Record.model_validate_json(line)
        without = {"episodes": parsed.episodes.model_copy(update={"returns": None, "costs": None})}
        for lists, wanted in ((True, parsed), (False, parsed.model_copy(update=without))):
            try:
                made = known.Shelf(lists).record(line)
            except ValueError:
                refused += 1
            else:
                assert repr(made) == repr(wanted), part
    assert 0 < refused < 2 * len(NAMESAKES)


def test_bytes_that_are_spelled_otherwise_are_parsed_in_full(lines, tmp_path):
    """0 for 0.0 under the same seal is sound, and a float all the same, the first time and the next."""
    line = next(x for x in lines if b'"n_failing":0' in x and b'"cost_mean":0.0' in x)
    odd = line.replace(b'"cost_mean":0.0', b'"cost_mean":0')
    first = Index(tmp_path, tmp_path)
    record = reading._judged(odd, first)
    first.save()
    again = Index(tmp_path, tmp_path).record(odd)
    assert again == record
    assert [type(r.episodes.cost_mean) for r in (record, again)] == [float, float]
    assert Index(tmp_path, tmp_path).record(line) is None  # other bytes


def test_curves_are_kept_bit_for_bit_and_only_whole(tmp_path):
    g = np.random.default_rng(0)
    names = [f"{i:064x}" for i in range(5)]
    rows = {n: {"a": g.normal(size=(2, 3 + i % 2)), "b": np.arange(i, dtype=np.int32)} for i, n in enumerate(names)}
    del rows[names[3]]["a"]
    file, key = tmp_path / "x.curves", bytes(64)
    curves.write(file, key, rows)
    found = curves.read(file, key)
    for name in names:
        row = found.row(name)
        assert set(row) == set(rows[name])
        assert ("a" in row) == ("a" in rows[name])
        for key_, value in rows[name].items():
            assert row[key_].dtype == value.dtype
            np.testing.assert_array_equal(row[key_], value)
    assert found.row("f" * 64) is None
    assert curves.read(file, bytes(63) + b"x") is None
    data = file.read_bytes()
    for wrong in (data[:-1], data[:300] + bytes([data[300] ^ 1]) + data[301:], b""):
        file.write_bytes(wrong)
        assert curves.read(file, key) is None


# ------------------------------------------------------------------------------------------------ the cost
PROGRAM = """
import gc, json, pathlib, re, sys, time
from ilbench import registry
from ilbench.report import leaderboard, source
from ilbench.report.site import build, index, material
registry.load("suites", "quick").suite()
started = time.process_time()
found = build.collect(["quick@2"], sys.argv[1], lambda text: None)
book = build.Book({"menu": build._menu(found), "source": build._source(found)})
book.tasks = {(s.name, task) for s in found.suites for task in build.by_task(s)}
index.write(book, found)
status = pathlib.Path("/proc/self/status")  # getrusage would tell the largest that the parent had been
peak = re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.is_file() else None
print(json.dumps({"seconds": time.process_time() - started, "kB": peak and int(peak[1]),
                  "records": len(found.suites[0].found.records), "front": len(book.files["index.html"])}))
"""


def _copies(lines, folder):
    """COPIES of every record under other seeds, sealed, without arrays."""
    folder.mkdir(parents=True)
    out = {}
    for line in lines:
        record = Record.model_validate_json(line).model_copy(update={"sidecar": None})
        for k in range(COPIES):
            cell = record.cell.model_copy(update={"seed": record.cell.seed + 100_000 * k})
            made = record.model_copy(update={"cell": cell, "id": cell_id(cell)})
            out[made.id] = canonical(made.model_copy(update={"self_hash": content_hash(made)}).model_dump()).encode()
    with (
        (folder / pack.RECORDS).open("wb") as stream,
        gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as zipped,
    ):
        zipped.writelines(line + b"\n" for _, line in sorted(out.items()))
    return len(out)


def test_known_records_cost_a_fraction_of_a_millisecond_each(lines, tmp_path):
    """Read, ranked, front page: of one core, beside imports; and as much memory as a hundred thousand leave room for."""
    count = _copies(lines, tmp_path / "results" / SUITE)
    env = {
        **os.environ,
        "ILBENCH_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
    }

    def run():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "results")],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    first, again = run(), run()
    assert first["records"] == again["records"] == count
    assert first["front"] == again["front"]
    print(f"{count} records: {first['seconds']:.1f} s, known {again['seconds']:.1f} s and {again['kB']} kB")
    assert again["seconds"] < 0.0003 * count
    if again["kB"] is not None:
        assert again["kB"] < 400_000
