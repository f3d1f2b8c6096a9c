"""The static site: every link leads somewhere, numbers are those of the Markdown pages, names are inert, what is missing is said."""

import csv
import gzip
import html.parser
import http.client
import importlib.util
import io
import pathlib
import re
import threading
import time
from urllib.parse import unquote

import numpy as np
import PIL.Image
import pytest

import ilbench
from ilbench import registry
from ilbench.commands.report import Report
from ilbench.display.tables import Table
from ilbench.records import store, verified
from ilbench.records.schema import make_record
from ilbench.report import leaderboard, pairs, source
from ilbench.report.site import algorithms, book, build, material, runs, serve

RESULTS = pathlib.Path(ilbench.__file__).resolve().parent.parent / "results"
NASTY = "<script>alert(1)</script>\u202e\"'&"


class Page(html.parser.HTMLParser):
    """Tables by caption, links, anchors, and which elements run or listen."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.links, self.ids, self.lively, self.said = {}, [], set(), [], []
        self._rows, self._cell, self._caption = [], None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given[k] for k in ("href", "src") if k in given]
        self.ids |= {given["id"]} if "id" in given else set()
        self.lively += [k for k in given if k.startswith("on")] + ([given.get("src")] if tag == "script" else [])
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th", "caption"):
            self._cell = ""

    def handle_endtag(self, tag):
        if tag == "caption":
            self._caption = self._cell
        elif tag in ("td", "th"):
            self._rows[-1].append(self._cell)
        elif tag == "table":
            self.tables.setdefault(self._caption, []).append(self._rows)
        if tag in ("td", "th", "caption"):
            self._cell = None

    def handle_data(self, data):
        self.said.append(data)
        if self._cell is not None:
            self._cell += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of everything that ships, and the seconds it took beside declaring suites, which any command of a robot's suite pays."""
    for name in ("brax", "compounding"):
        registry.load("suites", name).suite()
    started = time.process_time()
    built = build.run((), tmp_path_factory.mktemp("site"), RESULTS)
    took = time.process_time() - started  # reading the pages back is the test's own work
    return built, {str(p.relative_to(built.folder)): Page(p.read_text()) for p in built.folder.rglob("*.html")}, took


def test_every_link_leads_to_a_file_and_every_anchor_to_a_place(site):
    built, pages, _ = site
    assert len(pages) > 50
    for name, page in pages.items():
        scripts = ("site.js", "choice.js") if name.count("/") == 2 and name.endswith("index.html") else ("site.js",)
        assert set(page.lively) <= {"../" * name.count("/") + script for script in scripts}, name
        for link in page.links:
            if link.startswith("data:"):
                continue
            assert "://" not in link, "nothing is loaded or linked from elsewhere"
            path, _, anchor = link.partition("#")
            file = ((built.folder / name).parent / unquote(path)).resolve() if path else built.folder / name
            assert file.is_file(), (name, link)
            if anchor:
                assert unquote(anchor) in pages[str(file.relative_to(built.folder.resolve()) if path else name)].ids, (
                    name,
                    link,
                )


def _markdown(text):
    """Tables of a Markdown page as title -> rows of cells, read without the code that wrote it."""
    out = {}
    for part in text.split("\n## ")[1:]:
        lines = part.split("\n")
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("| ")]
        out[_unescaped(lines[0])] = [[_unescaped(cell.strip()) for cell in row] for row in rows]
    return out


def _unescaped(text):
    return html.unescape(re.sub(r"\\([\\|`*])", r"\1", text))


@pytest.mark.parametrize("suite", sorted(p.parent.name for p in RESULTS.glob("*/LEADERBOARD.md")))
def test_the_board_says_what_the_markdown_board_says(site, suite):
    there = site[1][f"suites/{suite}/index.html"].tables
    wanted = _markdown((RESULTS / suite / "LEADERBOARD.md").read_text())
    assert len(wanted) >= 1
    for title, rows in wanted.items():
        assert rows in there[title], title


def test_a_task_has_its_own_tables_and_coverage_counts_every_run(site):
    for name, page in site[1].items():
        if "/tasks/" in name:
            task = pathlib.PurePath(name).name.removesuffix(".html")
            assert len(page.tables) > 1
            own = re.match(r"\w+@\d+", task)[0]  # a task that has two experts has a page for each
            assert all(title.startswith((f"{own}, ", f"{own} (expert ")) for title in page.tables if title != "References")
    (covered,) = site[1]["suites/quick@2/index.html"].tables["Coverage"]
    records = [
        r
        for r in source.load("quick@2", RESULTS).records
        if r.cell.algorithm in ("bc", "dagger") and r.cell.task != "reset_cliff@1"
    ]
    counted = {row[0]: (row[1], int(row[2])) for row in covered[1:]}
    assert {
        a: ("4/4", sum(r.cell.algorithm == a for r in records)) for a in ("bc", "dagger")
    }.items() <= counted.items()


def test_the_rows_in_full_are_those_of_the_board(site):
    built = site[0]
    rows = leaderboard.build(source.load("quick@2", RESULTS).records).rows
    with (built.folder / "suites/quick@2/rows.csv").open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [(float(r["score"]), float(r["score_low"]), float(r["score_high"])) for r in read] == [
        (r["score"], *r["score_ci"]) for r in rows
    ]


def test_the_front_page_answers_with_numbers_and_is_small_and_quick(site):
    built, pages, seconds = site
    text = " ".join(" ".join(pages["index.html"].said).split())
    assert "On 7 of 11 robots" in text
    assert "hopper: A 3.13 [1.32, 6.39] for bc's 7.44 [4.67, 12.7], 30 seeds, 2,000 labels each" in text
    assert "1.99 [1.96, 2.03] measured, 1.98 predicted" in text
    assert "dagger 3393 [2287, more] on 5 of 5 settings, 1.00 env steps a label; bc 1817 [1817, more] on 3 of 5" in text
    newest = [s for s in built.suites if not source.superseded(s) and "+" not in s]
    ranked = {s: leaderboard.build(source.load(s, RESULTS).records).overall for s in newest}
    best = max((s for s in newest if ranked[s]), key=lambda s: ranked[s][0]["of"])
    ranking = ranked[best][0]
    score = {r["algorithm"]: r["score"] for r in ranking["rows"]}
    said = re.search(
        rf"dagger minus bc within the same label budgets, {ranking['of']} settings of {best}: (\S+) \[(\S+), (\S+)\]",
        text,
    )
    low, mean, high = (float(said[i]) for i in (2, 1, 3))
    assert low < mean < high
    assert mean == pytest.approx(score["dagger"] - score["bc"], rel=0.01)
    assert (RESULTS / "compounding@1" / "COMPOUNDING.md").read_text().count(
        "compounds (A = "
    ) == 8  # pendulum is no robot
    loaded = ["index.html", *{link for link in pages["index.html"].links if link.endswith((".css", ".js", ".svg"))}]
    assert sum((built.folder / name).stat().st_size for name in loaded) < 1_000_000
    packs = [pack for pack in RESULTS.glob("*/records.jsonl.gz") if "+tuning" not in pack.parent.name]
    records = sum(gzip.decompress(pack.read_bytes()).count(b"\n") for pack in packs)
    assert seconds < 0.003 * records  # of one core, all pages and the reading of every record


def test_a_board_shows_how_its_settings_were_tuned_and_trials_are_no_suite(site):
    pages = site[1]
    (rows,) = pages["suites/matching@1/index.html"].tables["Tuning for matching@1"]
    assert [row[0] for row in rows[1:]] == ["airl", "gail", "iq_learn", "sqil"]
    assert not [path for path in pages if "+tuning" in path]


def test_the_theory_page_has_every_claim_and_picture(site):
    page = site[1]["theory.html"]
    shipped = sorted(p.stem for p in (RESULTS / "theory@1").glob("*.svg"))
    assert sorted(pathlib.PurePath(link).stem for link in page.links if link.endswith(".svg")) == shipped
    claims = [row for title, found in page.tables.items() if title.startswith("Claims of") for row in found[0][1:]]
    assert len(claims) == sum(
        len(re.findall('"verdict":', p.read_text())) for p in (RESULTS / "theory@1").glob("*.json")
    )
    assert not site[0].aside


def test_the_pictures_in_readme_show_what_the_site_says(site):
    """A picture holds a digest of what it showed; it is small, as wide as the script takes it, and README has it with words."""
    spec = importlib.util.spec_from_file_location("screenshots", RESULTS.parent / "docs" / "screenshots.py")
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)
    assert len(screenshots.SHOTS) == 2
    for shot in screenshots.SHOTS:
        file = RESULTS.parent / "docs" / "images" / shot.name
        with PIL.Image.open(file) as picture:
            assert picture.width == screenshots.WIDTH
            shown = screenshots.state(shot, (site[0].folder / shot.page).read_text())
            assert picture.text["shows"] == shown, "stale: run `make screenshots`"
        assert file.stat().st_size < 120_000
        assert re.search(rf"!\[[^\]]{{20,}}\]\(docs/images/{shot.name}\)", (RESULTS.parent / "README.md").read_text())


# ------------------------------------------------------------------------------------- hostile, damaged, empty
def _hostile(folder, commit=None):
    """Two seeds of a record of quick with names that try to come alive, one that failed, and a file that is no record."""
    kept = [
        r for r in source.load("quick@2", RESULTS).records if r.cell.task == "gridworld@1" and r.cell.algorithm == "bc"
    ][:2]
    for r in kept:
        for name in (NASTY, "=1+1"):
            cell = r.cell.model_copy(update={"config": {**r.cell.config, "bc.name": name}})
            fields = {k: getattr(r, k) for k in ("status", "scores", "episodes", "references", "cost")}
            fields["provenance"] = r.provenance.model_copy(update={"git_sha": commit or r.provenance.git_sha})
            store.write(folder, make_record(cell, "quick@2", **fields), {})
    cell = kept[0].cell.model_copy(update={"seed": 77})
    store.write(folder, make_record(cell, "quick@2", status="failed", reason=NASTY, provenance=kept[0].provenance), {})
    (folder / "quick@2" / "records" / "ab").mkdir(exist_ok=True)
    (folder / "quick@2" / "records" / "ab" / "<img src=x onerror=alert(1)>.json").write_text("{}")


def test_names_reasons_and_damaged_files_are_shown_and_inert(tmp_path, capsys):
    _hostile(tmp_path / "results")
    built = build.run(("quick",), tmp_path / "site", tmp_path / "results")
    pages = {p.name: Page(p.read_text()) for p in (built.folder / "suites/quick@2").glob("*.html")}
    assert all(set(page.lively) <= {"../../site.js", "../../choice.js"} for page in pages.values())
    shown = NASTY.replace("\u202e", r"\u202e")
    assert any(shown in cell for found in pages["runs.html"].tables.values() for row in found[0] for cell in row)
    assert "<script>a" in " ".join(
        cell for rows in pages["index.html"].tables["Coverage"] for row in rows for cell in row
    )
    assert "onerror=alert(1)>.json" in " ".join(pages["index.html"].said)
    assert [a.place for a in built.aside] == ["quick@2/records/ab/<img src=x onerror=alert(1)>.json"]
    assert "set aside" in capsys.readouterr().err
    assert str(tmp_path) not in "".join(p.read_text() for p in built.folder.rglob("*.*"))
    assert "\u202e" not in "".join(p.read_text() for p in built.folder.rglob("*.*"))


def test_no_cell_of_a_file_is_a_formula_and_numbers_stay_numbers():
    table = Table("t", ("=a", "score"), [("=1+1", "-0.5 [-1, 0]"), ("@x", "-"), ("-0.2", "-0.1 [-0.2, 1]*")])
    rows = list(csv.reader(io.StringIO(book.as_csv(*book._split(table)).decode())))
    assert rows == [
        ["'=a", "score", "score low", "score high"], ["'=1+1", "-0.5", "-1", "0"], ["'@x", "-", "", ""],
        ["-0.2", "-0.1*", "-0.2", "1"],
    ]  # fmt: skip
    text = ("=1", "+a", "-2+3", "@x", " =1", "\t=1", "\r=1", "-1 / 2", "-", "-0.5", "+3", "-1,200", "-1e-05", "1=1")
    (read,) = csv.reader(io.StringIO(book.as_csv(text, []).decode()))
    assert read == [
        "'=1", "'+a", "'-2+3", "'@x", "' =1", "\\t=1", "\\r=1", "'-1 / 2", "-", "-0.5", "+3", "-1,200", "-1e-05", "1=1",
    ]  # fmt: skip


def test_what_others_went_over_stands_beside_the_runs(tmp_path):
    """Two of five runs were trained again, one is contradicted, one has changed since, and one nobody has looked at."""
    kept = [r for r in source.load("quick@2", RESULTS).records if r.cell.task == "gridworld@1" and r.cell.algorithm == "bc"][:5]
    for r in kept:
        fields = {k: getattr(r, k) for k in ("status", "scores", "episodes", "references", "cost", "provenance")}
        store.write(tmp_path, make_record(r.cell, "quick@2", **fields), {})
    assert runs._verified(material._suite("quick@2", tmp_path)) is None
    seals = {r.id: r.self_hash for r in source.load("quick@2", tmp_path).records}
    a, b, bad, changed, none = (r.id for r in kept)
    again = {"tier": "reproduced", "date": "2026-01-02", "how": "bits", "versions": {"jax": "0.12.0", "ilbench": "0.1.0", "x": "1"}}
    lines = [verified.Line(id=id, digest=seals[id], **again) for id in (a, b)]
    lines += [verified.Line(id=changed, digest="0" * 64, **again)]
    how = {"tier": "contradicted", "date": "2026-01-03", "how": "<b>.5 is not .4</b>", "versions": {}}
    verified.add(tmp_path / "quick@2", [*lines, verified.Line(id=bad, digest=seals[bad], **how)])
    suite = material._suite("quick@2", tmp_path)
    written = book.Book({"menu": [], "source": ""})
    runs.write(written, suite, material.Material((suite,), (), {}, ()))
    page = Page(written.files["suites/quick@2/runs.html"].decode())
    assert page.tables["Verified"] == [[
        ["runs", "tier", "on", "by"], ["1", "contradicted", "2026-01-03", ""],
        ["2", "reproduced", "2026-01-02", "ilbench 0.1.0, jax 0.12.0"], ["2", "self-reported", "-", "-"],
    ]]  # fmt: skip
    assert f"Contradicted: {bad}: <b>.5 is not .4</b>" in page.said
    rows = csv.DictReader(io.StringIO(written.files["suites/quick@2/all-runs.csv"].decode()))
    assert {row["id"]: (row["tier"], row["verified on"]) for row in rows} == {
        a: ("reproduced", "2026-01-02"), b: ("reproduced", "2026-01-02"), bad: ("contradicted", "2026-01-03"),
        changed: ("self-reported", ""), none: ("self-reported", ""),
    }  # fmt: skip


def test_a_name_may_break_between_its_parts_and_a_sentence_has_room():
    assert book.breaks("my_ccil+a[b=<i>]") == "my_<wbr>ccil+<wbr>a<wbr>[b=<wbr>&lt;i&gt;]"
    columns = (("1", "-"), ("1", "short words"), ("1", "a sentence that is longer than a name"))
    assert [book._kind("x", cells) for cells in columns] == ["num", "", "long"]
    assert book._kind("x [95 %]", ("never reached",)) == "num"


def test_names_that_are_no_file_names_stay_apart():
    assert book.slug("hopper@1") == "hopper@1"
    assert len({book.slug(n) for n in ("a/b", "a:b", "a b", "../a-b", "A-B")}) == 5
    assert not any("/" in book.slug(n) or book.slug(n).startswith(".") for n in ("../../x", "..", "/etc"))


@pytest.mark.parametrize(
    "picture",
    ["<svg onload = 'x'>", "<svg><script>", "<a href='http://x'>", '<image xlink:href="//x"/>', "<!ENTITY a>"],
)
def test_a_picture_that_could_run_or_load_is_left_out(picture):
    with pytest.raises(ValueError, match="could run or load"):
        material.still(picture.encode())


def test_without_records_the_page_says_what_to_run(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert Report((), str(tmp_path / "site"), str(tmp_path / "none")).execute() == 0
    assert "ilbench run quick" in " ".join(Page((tmp_path / "site" / "index.html").read_text()).said)
    assert capsys.readouterr().out.startswith(str(tmp_path / "site" / "index.html"))


def test_a_folder_that_cannot_take_a_site_is_found_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "collect", lambda *a: pytest.fail("read first"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    for place, why in (("file", "no folder"), ("mine", "other files"), ("file/below", "file")):
        with pytest.raises((ValueError, store.StoreError), match=why):
            build.run((), tmp_path / place, tmp_path)
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"


def test_only_what_an_earlier_site_wrote_is_removed(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "kept.txt").write_text("kept")
    site = tmp_path / "site"
    build.run((), site, tmp_path / "none")
    (site / "old.html").write_text("old")
    (site / "notes.txt").write_text("notes")
    (site / build.LISTED).write_text('["old.html", "../kept.txt", "/kept", 3]')
    build.run((), site, tmp_path / "none")
    assert not (site / "old.html").exists()
    assert (site / "notes.txt").exists()
    assert (tmp_path / "kept.txt").exists()


# --------------------------------------------------------------------------------------------- numbers of its own
def test_pairs_are_differences_of_means_and_agree_with_the_board():
    records = source.load("quick@2", RESULTS).records
    board = leaderboard.build(records)
    found = material._suite("quick@2", RESULTS).groups
    each = {(p.a, p.b, p.where): p for p in pairs.each(found)}
    for r in (r for r in board.rows if r["minus_baseline"] is not None and r["algorithm"] == "dagger"):
        p = each["bc", "dagger", f"{r['task']} H={r['horizon']} n={r['budget']}"]
        d = r["minus_baseline"]
        np.testing.assert_allclose([-p.mean, -p.hi, -p.lo], [d["mean"], d["lo"], d["hi"]], atol=1e-9)
    (whole,) = (p for p in pairs.overall(found) if (p.a, p.b) == ("bc", "dagger"))
    scores = {}
    for r in records:
        if r.cell.algorithm in ("bc", "dagger") and r.cell.task.split("@")[0] in (
            "cartpole",
            "gridworld",
            "hopper",
            "pendulum",
        ):
            scores.setdefault((r.cell.algorithm, r.cell.task), {})[r.cell.seed] = r.scores["score"]
    common = set.intersection(*(set(by) for by in scores.values()))
    means = {
        a: np.mean([[by[s] for s in common] for (name, _), by in scores.items() if name == a]) for a in ("bc", "dagger")
    }
    assert whole.settings == 4
    assert whole.seeds == len(common)
    np.testing.assert_allclose(whole.mean, means["bc"] - means["dagger"], atol=1e-12)
    assert whole.lo < whole.mean < whole.hi
    lost = [g._replace(records=g.records[1:]) if (g.task, g.label) == ("gridworld@1", "dagger") else g for g in found]
    (fewer,) = (p for p in pairs.overall(lost) if (p.a, p.b) == ("bc", "dagger"))
    assert fewer.seeds == whole.seeds - 1


def test_settings_are_read_with_their_comments():
    found = {name: rest for name, *rest in algorithms.settings(registry.entry("algorithms", "dagger"))}
    assert found["dagger.rounds"] == ["int", "5", "fits; round 0 is on demonstrations, the others follow a collection"]
    assert algorithms.settings(registry.entry("algorithms", "bc")) == []


# ------------------------------------------------------------------------------------------------------- served, looked at
def test_served_are_files_of_the_folder_and_nothing_else(tmp_path):
    site = tmp_path / "site"
    (site / "empty").mkdir(parents=True)
    (site / "index.html").write_text("here")
    (tmp_path / "secret").write_text("secret")
    (site / "out").symlink_to(tmp_path / "secret")
    with serve.server(site, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        assert running.server_address[0] == "127.0.0.1"
        got = {}
        for path in ("/", "/index.html", "/empty/", "/out", "/../secret", "/%2e%2e/secret"):
            connection = http.client.HTTPConnection(*running.server_address)
            connection.request("GET", path)
            got[path] = connection.getresponse().status
            connection.close()
        running.shutdown()
    assert got == {"/": 200, "/index.html": 200, "/empty/": 404, "/out": 404, "/../secret": 404, "/%2e%2e/secret": 404}
    with pytest.raises(ValueError, match="ilbench report"):
        serve.server(tmp_path, 0)
