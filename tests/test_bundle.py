"""Bundles from others: what is hostile is refused, or left where it is and named; what is honest is read; texts are inert everywhere."""

import gzip
import io
import json
import pickle
import stat
import tarfile
import zipfile

import pytest
from test_compare import run
from test_records import SUITE, record

from ilbench.display import latex, sheets, tables
from ilbench.records import bundle, pack, packing, store
from ilbench.records.schema import seal
from ilbench.report import leaderboard, source, submission
from ilbench.report.site import book

N = 3
GOOD = f"{SUITE}/records/ab/{'ab' * 16}.json"


@pytest.fixture
def honest(tmp_path):
    """A folder of three records, and its files by name."""
    for seed in range(N):
        store.write(tmp_path / "mine", record(seed))
    files = [p for p in sorted((tmp_path / "mine").rglob("*")) if p.is_file()]
    return {str(p.relative_to(tmp_path / "mine")): p.read_bytes() for p in files}


def zipped(members):
    """A zip of (ZipInfo or name, bytes)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in members:
            archive.writestr(info, data)
    return out.getvalue()


def tarred(members, mode="w"):
    """A tar of (TarInfo or name, bytes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for info, data in members:
            member = info if isinstance(info, tarfile.TarInfo) else tarfile.TarInfo(info)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def special(name, kind, to=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def unix(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def checked(tmp_path, data):
    (tmp_path / "bundle").write_bytes(data)
    return submission.check(tmp_path / "bundle")


@pytest.mark.parametrize("make", [zipped, tarred, lambda members: tarred(members, "w:gz")])
@pytest.mark.parametrize("top", ["", "results of mine/"])
def test_an_honest_bundle_is_read_as_its_folder_is(make, top, honest, tmp_path):
    found = checked(tmp_path, make([(top + name, data) for name, data in honest.items()] + [("README.md", b"hello")]))
    folder = submission.check(tmp_path / "mine")
    assert (found.suites, found.wrong) == ({SUITE: N}, [])
    assert found.open == [*folder.open, "1 other files in it are not read"]
    packing.do(tmp_path / "mine", SUITE)
    files = [(f"{SUITE}/{name}", (tmp_path / "mine" / SUITE / name).read_bytes()) for name in (pack.RECORDS, pack.ARRAYS)]
    assert checked(tmp_path, make(files)).suites == {SUITE: N}


NAMES = {
    "../../escape.json": "leads out",
    f"/{GOOD}": "absolute",
    f"C:/{GOOD}": "absolute",
    f"..\\{GOOD}": "leads out",
    GOOD.replace("/", "\\"): "backslashes",
    GOOD.replace("ab/", "\u202eab/", 1): "marks of direction",
    f"{SUITE}/\x1b[31mred.json": "control characters",
    "x" * 600: "512 characters",
    f"{SUITE}/policy.pkl": "runs code",
    f"{SUITE}/weights.PT": "runs code",
    GOOD.replace("/ab/", "/cd/"): "first two digits",
}


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("name", NAMES, ids=[str(n) for n in range(len(NAMES))])
def test_hostile_names_stay_where_they_are_and_are_named(make, name, honest, tmp_path):
    found = checked(tmp_path, make([*honest.items(), (name, b"{}")]))
    assert found.code == 2
    assert found.suites == {SUITE: N}
    assert [NAMES[name] in line for line in found.wrong] == [True]
    assert "\x1b" not in found.wrong[0]
    assert not list(tmp_path.parent.rglob("escape.json"))


KINDS = {
    "a link in a tar": (tarred, special(GOOD, tarfile.SYMTYPE, "/etc/passwd"), "a link"),
    "a hard link in a tar": (tarred, special(GOOD, tarfile.LNKTYPE, "../../etc/passwd"), "a link"),
    "a device in a tar": (tarred, special(GOOD, tarfile.CHRTYPE), "no regular file"),
    "a pipe in a tar": (tarred, special(GOOD, tarfile.FIFOTYPE), "no regular file"),
    "a link in a zip": (zipped, unix(GOOD, stat.S_IFLNK | 0o777), "a link"),
    "a device in a zip": (zipped, unix(GOOD, stat.S_IFCHR | 0o666), "no regular file"),
}


@pytest.mark.parametrize("what", KINDS)
def test_what_is_no_file_is_named(what, honest, tmp_path):
    make, info, said = KINDS[what]
    found = checked(tmp_path, make([*honest.items(), (info, b"/etc/passwd" if make is zipped else b"")]))
    assert found.suites == {SUITE: N}
    assert [said in line for line in found.wrong] == [True]


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_member_of_one_name_is_named_and_the_first_counts(make, honest, tmp_path):
    name = next(iter(honest))
    found = checked(tmp_path, make([*honest.items(), (name, b"{}"), (f"top/{name}", b"{}")]))
    assert found.suites == {SUITE: N}
    assert ["there twice" in line for line in found.wrong] == [True, True]


def overlapping():
    """Two members in a zip's list that are the same bytes: a bomb without a ratio of its own."""
    data = bytearray(zipped([(GOOD, bytes(range(256)) * 16), ("a.md", b"")]))
    at = data.rindex(b"PK\x01\x02")
    data[at + 20 : at + 24] = len(data).to_bytes(4, "little")
    return bytes(data)


def long_header():
    """A tar whose long name has 100,000 characters."""
    return tarred([(tarfile.TarInfo("x" * 100_000), b"")])


BOMBS = {
    "a zip that inflates a thousandfold": (lambda: zipped([("a.txt", bytes(40 << 20))]), "would come out of"),
    "a gzip that inflates a thousandfold": (lambda: gzip.compress(tarred([("a.txt", bytes(40 << 20))])), "come out of"),
    "members on top of one another": (overlapping, "overlap"),
    "a name that fills memory": (long_header, "a header of"),
    "no archive": (lambda: b"hello" * 200, "neither a zip nor"),
    "a pickle for a bundle": (lambda: pickle.dumps([1, 2, 3] * 200), "neither a zip nor"),
    "xz": (lambda: tarred([("a.txt", b"")], "w:xz"), "neither a zip nor"),
    "cut short": (lambda: zipped([(GOOD, b"{}")])[:-30], "without an end"),
    "a tar cut short": (lambda: tarred([(GOOD, b"x" * 5000)])[:2000], "damaged"),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_refused_as_a_whole(what, tmp_path):
    make, said = BOMBS[what]
    found = checked(tmp_path, make())
    assert (found.code, found.suites, found.open) == (2, {}, [])
    assert said in found.wrong[0]


def test_sizes_are_bounded_by_what_comes_out(honest, tmp_path, monkeypatch):
    """A record of a megabyte; a member that states fewer bytes than it has; too many; too much in all; packs of zeros."""
    large = checked(tmp_path, tarred([*honest.items(), (GOOD, bytes(1 << 20))]))
    assert ["allowed are 8,192" in line for line in large.wrong] == [True]
    lying = bytearray(zipped([*honest.items(), (GOOD, bytes(100_000))]))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = lying.rindex(mark) + offset
        lying[at : at + 4] = (10).to_bytes(4, "little")
    assert "11 bytes, stated are 10" in checked(tmp_path, bytes(lying)).wrong[0]
    inner = zipped([(f"{'ab' * 16}.{n:012x}.safetensors", bytes(1 << 20)) for n in range(30)])
    assert "would come out of" in checked(tmp_path, zipped([*honest.items(), (f"{SUITE}/arrays.zip", inner)])).wrong[0]
    zeros = gzip.compress(bytes(40 << 20))
    assert "not a pack of records" in checked(tmp_path, tarred([*honest.items(), (f"{SUITE}/records.jsonl.gz", zeros)])).wrong[0]
    for name, limit, said in (("MAX_FILES", 2, "members"), ("MAX_BUNDLE", 3000, "bytes")):
        with monkeypatch.context() as patched:
            patched.setattr(bundle, name, limit)
            for make in (zipped, lambda members: tarred(members, "w:gz")):
                assert said in checked(tmp_path, make(list(honest.items()))).wrong[0]


def test_bad_records_are_named_one_by_one_and_the_board_still_builds(honest, tmp_path, monkeypatch, capsys):
    """Truncated, of a later schema, NaN, twice with other numbers, and a pickle beside them."""
    folder, names = tmp_path / "mine", list(honest)
    store.write(folder, record(N))
    store.write(folder, record(N + 1))
    packing.do(folder, SUITE, keep=True)
    first, second, third = (folder / name for name in names)
    first.write_bytes(honest[names[0]][:300])
    second.write_bytes(honest[names[1]].replace(b"ilbench.record/1", b"ilbench.record/9"))
    third.write_text(third.read_text().replace('"scores": {', '"scores": {"x":NaN,'))
    changed = store.read(folder, SUITE, record(N).id)
    twice = store.record_path(folder, SUITE, changed.id)
    twice.write_bytes(store.encode(seal(changed.model_copy(update={"cost": changed.cost.model_copy(update={"env_steps": 7})}))))
    (folder / SUITE / "policy.pkl").write_bytes(b"\x80\x04.")
    found = submission.check(folder)
    said = "\n".join(found.wrong)
    for what in ("truncated or not JSON", "upgrade ilbench", "contradict each other", "policy.pkl: a pickle"):
        assert what in said
    assert found.code == 2
    (folder / SUITE / pack.RECORDS).unlink()
    (folder / SUITE / pack.ARRAYS).unlink(missing_ok=True)
    assert run(monkeypatch, "leaderboard", SUITE, "--results", str(folder), "--json") == 0
    shown = capsys.readouterr()
    assert "3 files set aside" in shown.err
    assert json.loads(shown.out)["rows"]


HOSTILE = {
    "</script><img src=x onerror=alert(1)>": "markup",
    "=cmd|' /C calc'!A0": "formula",
    "a\x1b[31m\u202eb": "control characters",
    "\\input{/dev/stdin}": "TeX",
    "[x](javascript:alert(1))": "markup",
    "@SUM(A1)": "formula",
}


@pytest.mark.parametrize("text", HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
def test_hostile_texts_are_named_and_inert_everywhere(text, tmp_path):
    """In a setting, which labels and pages show, and in a device's name."""
    honest = record(0)
    cell = honest.cell.model_copy(update={"config": {**honest.cell.config, "fit.note": text}})
    bad = honest.model_copy(update={"cell": cell, "provenance": honest.provenance.model_copy(update={"device": text})})
    named = submission.lively(seal(bad))
    assert len(named) == 2
    assert all(HOSTILE[text] in line and line.isprintable() for line in named)
    assert submission.lively(seal(honest)) == []
    assert "<img" not in tables.inert(text)
    assert "](" not in tables.inert(text).replace("]\\(", "")
    assert not sheets.inert(text).startswith(("=", "@", "+", "-"))
    assert not book.inert_csv(text).startswith(("=", "@", "+", "-"))
    assert "\\input" not in latex.escaped(text)
    assert tables.shown(text).isprintable()


def test_shipped_records_hold_nothing_lively():
    records = source.load("quick@2", "results").records
    assert not [line for r in records for line in submission.lively(r)]
    assert leaderboard.build(records[:10]).rows
