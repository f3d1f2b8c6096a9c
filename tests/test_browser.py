"""The site in a real browser: what JavaScript adds, what remains without it, who can read it, and that it asks nobody for anything.

Needs chromium and playwright, which are no dependency: without them a reason is given and nothing is looked at. Where there is a chromium
alone, one page is dumped as it stands after its scripts. The rules of accessibility are axe's.
"""

import itertools
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from test_site import NASTY, _hostile

import ilbench
from ilbench.report import beside
from ilbench.report.site import build, material
from ilbench.report.yardsticks import YARDSTICKS

RESULTS = pathlib.Path(ilbench.__file__).resolve().parent.parent / "results"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BOARD = "suites/quick@2/index.html"
PAGES = {
    "front": "index.html", "board": BOARD, "task": "suites/quick@2/tasks/hopper@1.html", "pairs": "suites/quick@2/compare.html",
    "runs": "suites/quick@2/runs.html", "algorithm": "algorithms/dagger.html", "list": "algorithms/index.html", "about": "about.html",
    "theory": "suites/quick@2/theory.html", "claims": "theory.html",
}  # fmt: skip
OWN = "#choose tbody tr"
SOME = {"exclude": [["main > section:nth-of-type(n+6)"]]}  # sections of a page are alike, and there may be a hundred
SIX = [
    [1, 1.1, 0.9, 1.3, 1.2, 0.8],
    [0.2, 0.1, 0.35, 0.3, 0.15, 0.24],
    [0.9, 1.15, 0.8, 1.25, 1.36, 0.7],
    [0, 0, 0, 0.25, 0.5, 0.125],
    [1, 1, 1, 0.75, 0.5, 0.5],
]  # scores of three rows with few labels, and of the first two with many: half of these differ by 1, which no t interval may judge
WHY = "what JavaScript adds is not seen"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason=f"no chromium or google-chrome: {WHY}")]


@pytest.fixture(scope="module")
def known():
    return material.collect(("quick",), RESULTS, lambda text: None)


@pytest.fixture(scope="module")
def site(known, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    for name, content in build.make(known).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Names that try to come alive, in labels, reasons, commits and file names."""
    folder = tmp_path_factory.mktemp("hostile")
    _hostile(folder / "results", commit=NASTY)
    return build.run(("quick",), folder / "site", folder / "results").folder


@pytest.fixture(scope="module")
def browser():
    play = pytest.importorskip("playwright.sync_api", reason=f"no playwright: {WHY}")
    with play.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, site):
    """Opens a page of the site; at the end of the test no page has complained, asked for an answer, or asked anybody else."""
    wrong, opened = [], []

    def visit(path, folder=None, **how):
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **how)
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("dialog", lambda d: (wrong.append(d.message), d.dismiss()))
        page.on("request", lambda r: None if r.url.startswith(("file://", "data:")) else wrong.append(r.url))
        page.goto(f"file://{folder or site}/{path}")
        return page

    yield visit
    for context in opened:
        context.close()
    assert wrong == []


def _rows(page, rows=OWN):
    return [
        [c.strip() for c in row]
        for row in page.eval_on_selector_all(rows, "x => x.map(r => [...r.cells].map(c => c.innerText))")
    ]


def _copy(page, button):
    page.locator(button).click()
    page.locator(button, has_text="Copied").wait_for()


@pytest.mark.parametrize("name", PAGES)
def test_every_kind_of_page_can_be_read_by_everybody(visit, name):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe_playwright_python: nothing says who can read it"
    )
    page = visit(PAGES[name], color_scheme="dark", viewport={"width": 400, "height": 800})
    for scheme, width, rules in (("dark", 400, None), ("light", 1280, ["color-contrast"])):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        asked = {"preload": False, "resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
        found = axe.Axe().run(page, context=SOME, options=asked).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:120], v["nodes"][0]["failureSummary"][:300]) for v in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = "[...document.querySelectorAll('.scroll')].filter((s) => s.querySelector('caption').offsetWidth > s.clientWidth).length"
        assert page.evaluate(wide) == 0, "captions that begin or end out of sight"
        light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(x => x > 128)")
        assert light == (scheme == "light")


def test_a_click_or_a_key_sorts_and_the_address_remembers(visit):
    page = visit(BOARD)
    head = page.locator("#t1 th", has_text="score")
    means = []
    for way, press in (
        ("descending", head.locator("button").click),
        ("ascending", lambda: page.keyboard.press("Enter")),
    ):
        press()
        assert head.get_attribute("aria-sort") == way
        means.append([float(row[2].split()[0]) for row in _rows(page, "#t1 tbody tr")])
    assert means[0] == sorted(means[0], reverse=True) == means[1][::-1]
    assert len(set(means[0])) > 1
    again = visit(BOARD + page.evaluate("location.hash"))
    assert again.locator("#t1 th", has_text="score").get_attribute("aria-sort") == "ascending"


def test_a_filter_hides_rows_and_columns_and_both_addresses_live_together(visit):
    page = visit(f"{BOARD}#?by=seconds")
    page.get_by_label("Filter rows").fill("hopper@1, dagger")
    assert page.locator("[data-count]").inner_text().startswith("1 of ")
    shown = page.locator("section.table tbody tr:visible")
    assert [page.locator("section.table:visible caption").inner_text().split(",")[0], shown.count()] == ["hopper@1", 1]
    page.locator("summary", has_text="Columns").click()
    page.get_by_label("0-1 cost", exact=True).uncheck()
    assert not page.locator("section.table:visible th:visible", has_text="0-1 cost").count()
    assert page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(2)))") == {
        "by": "seconds", "q": "hopper@1, dagger", "hide": "0-1 cost"
    }  # fmt: skip


@pytest.mark.parametrize(("preset", "by", "tasks"), [
    ("Everything", "score", None), ("Robots", "score", {"hopper@1"}), ("Theory", "score", {"gridworld@1"}),
    ("Long horizon", "score", {"hopper@1", "cartpole@1"}), ("Quick", "seconds", None),
])  # fmt: skip
def test_a_preset_ranks_as_the_boards_do_and_its_link_shows_the_same(visit, known, preset, by, tasks):
    yard = next(y for y in YARDSTICKS if y.id == by)
    want = beside.lines(yard, [c for c in known.suites[0].measured.cells[by] if tasks is None or c.place.task in tasks])
    page = visit(BOARD)
    page.get_by_role("button", name=preset, exact=True).click()
    rows = [row for row in _rows(page) if len(row) > 1]
    assert [row[1] for row in rows] == [line.label for line in want]
    assert [float(row[2].split()[0]) for row in rows] == pytest.approx([line.value for line in want], rel=6e-3)
    assert [row[-2:] for row in rows] == [[f"{line.ran}/{line.of}", str(line.seeds)] for line in want]
    assert [row[0] for row in rows] == [line.rank for line in want]
    assert page.locator("[aria-pressed=true]").inner_text() == preset
    again = _rows(page)
    page.reload()
    assert _rows(page) == again


def test_in_the_page_rows_are_told_apart_by_students_t(visit):
    page, x = visit(BOARD), np.array(SIX)
    page.evaluate(
        """(x) => {
      const root = document.querySelector('[data-choice]'), data = JSON.parse(root.dataset.choice);
      data.rows = ['a', 'b', 'c'].map((name) => ({name, href: ''})); data.tasks = ['t']; data.seeds = [[0, 1, 2, 3, 4, 5]];
      data.places = [{task: 0, fewest: true, most: false}, {task: 0, fewest: false, most: true}];
      data.yards = data.yards.slice(0, 1); data.presets = [];
      data.cells = {score: [...x.slice(0, 3).map((v, i) => [i, 0, 0, v]), [0, 1, 0, x[3]], [1, 1, 0, x[4]]]};
      root.dataset.choice = JSON.stringify(data);
      for (const name of ['by', 'tasks', 'rows', 'presets']) root.querySelector(`[data-${name}]`).replaceChildren();
      return new Promise((done) => {
        const again = document.createElement('script'); again.src = '../../choice.js'; again.onload = done; document.head.append(again);
      });
    }""",
        SIX,
    )

    def said(values, t):
        half = t * values.std(ddof=1) / np.sqrt(6)
        return f"{values.mean():.3f} [{values.mean() - half:.3f}, {values.mean() + half:.3f}]"

    labels = page.locator("[data-labels]")
    labels.select_option("fewest")
    alone, rivals = 2.570582, 3.163381  # Student's t at 5 degrees, .975 and .9875: two rivals
    assert _rows(page) == [
        ["1-2", "a", said(x[0], alone), "", "1/1", "6"],
        ["1-2", "c", said(x[2], alone), said(x[0] - x[2], rivals), "1/1", "6"],
        ["3", "b", said(x[1], alone), said(x[0] - x[1], rivals), "1/1", "6"],
    ]
    labels.select_option("most")
    assert _rows(page) == [
        ["1-2", "b", "0.792", "", "1/1", "6"],
        ["1-2", "a", "0.146", "0.646 (not tested)", "1/1", "6"],
    ]
    assert "Not tested: 1 of the pairs" in page.locator("[data-notes]").inner_text()
    labels.select_option("all")
    a, b = (x[0] + x[3]) / 2, (x[1] + x[4]) / 2
    assert [row[1:3] + row[-2:] for row in _rows(page)[:2]] == [
        ["a", said(a, alone), "2/2", "6"],
        ["b", said(b, alone), "2/2", "6"],
    ]
    assert _rows(page)[2][0].startswith("Below: did not run on all")
    assert _rows(page)[3] == ["", "c", said(x[2], alone), "", "1/2", "6"]


def test_own_tasks_and_rows_stand_in_the_address_and_unknown_ones_are_passed_over(visit):
    page = visit(f"{BOARD}#?task=hopper%401+H%3D1000&task=none&row=bc&row=dagger&by=nothing")
    assert {row[1] for row in _rows(page)} == {"bc", "dagger"}
    assert page.locator("[data-tasks-count]").inner_text() == "1 of 4"
    page.locator("summary", has_text="Algorithms").click()
    page.get_by_label("dagger", exact=True).uncheck()
    assert [row[:2] for row in _rows(page)] == [["1", "bc"]]
    assert "row=bc" in page.url
    assert "dagger" not in page.url
    page.locator("[data-rows] button", has_text="all").click()
    assert len(_rows(page)) > 2
    assert "row=" not in page.url


def test_a_table_is_copied_whole_and_a_link_is_copied(visit):
    page = visit(f"{BOARD}#?q=dagger&hide=seeds")
    _copy(page, "#t1 [data-copy]")
    lines = [line.split("\t") for line in page.evaluate("navigator.clipboard.readText()").strip().split("\n")]
    assert lines[0] == ["rank", "algorithm", "score, mean over seeds and tasks [95 %]", "seeds"]
    assert [len(line) for line in lines] == [4] * len(lines)
    assert {line[1] for line in lines[1:]} >= {"bc", "dagger"}, "rows that are filtered out too"
    _copy(page, "[data-copy=link]")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_no_cell_that_is_copied_is_a_formula_and_numbers_stay_numbers(visit):
    page = visit(BOARD)
    cells = [
        "=1+1", "+a", "-2+3", "@x", " =1", "\t=1", "\r=1", "-1 [=1, 2]", "-1 / 2", "1=1",
        "-", "-0.5", "+3", "-1,200", "-1e-05", "-0.5 [-1, 0]", "-0.5 [-1, more]*", "-0.5*",
    ]  # fmt: skip
    page.evaluate(
        """(cells) => document.querySelector("#t1 tbody").replaceChildren(...cells.map((text) => {
      const row = document.createElement("tr"); row.insertCell().textContent = text; return row; }))""",
        cells,
    )
    _copy(page, "#t1 [data-copy]")
    copied = page.evaluate("navigator.clipboard.readText()").strip().split("\n")[1:]
    inert = ["'=1+1", "'+a", "'-2+3", "'@x", "'=1", "'=1", "'=1", "'-1 [=1, 2]", "'-1 / 2", "1=1"]
    assert copied == [*inert, *cells[len(inert) :]]


def test_from_a_board_to_a_task_an_algorithm_and_back(visit):
    page = visit("index.html")
    for click, heading in (("quick@2", "Leaderboard of quick@2"), ("dagger", "dagger"), ("quick@2", None)):
        page.locator("main a", has_text=re.compile(rf"^{click}$")).first.click()
        assert heading is None or page.locator("h1").inner_text() == heading
    page = visit(BOARD)
    page.locator("h2 a", has_text="hopper@1").click()
    assert page.locator("h1").inner_text() == "hopper@1"
    assert page.locator("caption").count() > 1


def test_without_javascript_every_board_is_there_and_nothing_that_needs_it(visit):
    page = visit(BOARD, java_script_enabled=False)
    tables = (pathlib.Path(page.url.removeprefix("file://"))).read_text().count("<table>")
    assert page.locator("table:visible").count() == tables - 1 > 5
    assert page.locator("noscript p").is_visible()
    assert not page.locator("button:visible, select:visible, input:visible").count()


def test_names_that_try_to_come_alive_are_text(visit, hostile):
    for path in (
        "index.html",
        f"{BOARD}#?row=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&q=%3Cscript%3E",
        "suites/quick@2/compare.html",
    ):
        page = visit(path, folder=hostile)
        assert page.evaluate(
            "[...document.scripts].every(s => /(site|choice)\\.js$/.test(s.src)) && !document.querySelector('img')"
        )
    board = visit(BOARD, folder=hostile)
    assert any("<script>a" in cell for row in _rows(board) for cell in row)
    _copy(board, "#choose [data-copy=table]")
    copied = board.evaluate("navigator.clipboard.readText()")
    assert not [cell for line in copied.split("\n") for cell in line.split("\t") if re.match(r"[=+@]", cell)]
    assert "<script>alert" in visit("suites/quick@2/runs.html", folder=hostile).locator("main").inner_text()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit):
    page = visit(BOARD)
    seen = []
    for _ in range(45):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(e => [e.tagName, e.textContent.trim().slice(0, 20), getComputedStyle(e).outlineStyle])(document.activeElement)"
            )
        )
    assert seen[0][1] == "Skip to the content"
    assert {style for _, _, style in seen} == {"solid"}, seen
    assert {"A", "BUTTON", "SELECT", "SUMMARY", "INPUT"} <= {tag for tag, *_ in seen}
    assert len(set(map(tuple, itertools.islice(seen, 20)))) > 15


def test_a_browser_alone_sorts_filters_and_chooses_as_the_address_says(site):
    address = f"file://{site}/{BOARD}#?q=dagger&sort.t1=2a&hide=seeds&row=bc"
    words = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=3000",
        "--dump-dom",
        address,
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if "<html" not in done.stdout:
        pytest.skip(f"{CHROMIUM} does not start here")
    body = re.search(r'id="t1".*?<tbody>(.*?)</tbody>', done.stdout, re.S)[1]
    rows = re.findall(r"<tr([^>]*)>(.*?)</tr>", body, re.S)
    assert [re.search(r"<a [^>]*>(.*?)</a>", row)[1] for _, row in rows] == ["bc", "dagger"], "from the lowest score up"
    assert ["hidden" in head for head, _ in rows] == [True, False]
    assert 'aria-sort="ascending"' in done.stdout
    assert re.search(r'<th[^>]*data-name="seeds"[^>]*hidden', done.stdout)
    own = re.search(r'data-body="">(.*?)</tbody>', done.stdout, re.S)[1]
    assert re.findall(r"<a [^>]*>(.*?)</a>", own) == ["bc"]
