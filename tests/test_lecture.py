"""The lecture that runs: items lead to commands and files that exist, numbers come from records, proofs stand beside their checks."""

import ast
import dataclasses
import html.parser
import inspect
import json
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import ilbench
from ilbench import cli, registry
from ilbench.commands import lecture as command
from ilbench.report import checks as stored
from ilbench.report import source
from ilbench.report.lecture import contents, known
from ilbench.report.replication.verdicts import Suites
from ilbench.report.site import lecture as page
from ilbench.report.site import mathml
from ilbench.report.site.book import Book
from ilbench.report.site.material import Material
from ilbench.running import checks
from ilbench.stats.claims import VERDICTS

RESULTS = pathlib.Path(ilbench.__file__).resolve().parent.parent / "results"
ITEMS = [item for _, item in contents.every()]
RUN = [item for item in ITEMS if item.command]


@pytest.fixture(scope="module")
def shipped():
    """What ships, each suite read once."""
    return known.read(str(RESULTS))


@pytest.fixture(scope="module")
def said(shipped):
    return {item.id: contents.said(item, shipped) for item in ITEMS}


def raw(check):
    """A stored check as its file has it."""
    return json.loads((RESULTS / "theory@1" / f"{check}.json").read_text())


# ------------------------------------------------------------------------------------------- items
def test_the_parts_stand_in_the_order_of_the_lecture_and_every_item_has_one_name():
    assert [part for part, _ in contents.parts()][:3] == ["The setting", "Behaviour cloning", "What is wanted"]
    assert len({item.id for item in ITEMS}) == len(ITEMS)
    assert all(bool(item.command) == (item.found is not None) != bool(item.why) for item in ITEMS)
    assert {item.check for item in ITEMS} - {""} == set(registry.entries("checks")), (
        "a check that no item leads to, or none that there is"
    )


@pytest.mark.parametrize("item", RUN, ids=lambda item: item.id)
def test_a_command_parses_and_what_it_names_exists(item):
    made = command.command(item.command, {"quiet": True})
    assert type(made) in cli.COMMANDS.values()
    assert item.seconds > 0
    assert not item.picture or (RESULTS / item.picture).is_file()
    name, *words = item.command.split()
    kinds = {"theory": "checks", "compounding": "suites", "leaderboard": "suites"}
    for word in [w for w in words[:1] if not w.startswith("-")]:
        if name == "theory":
            assert [e.id for e in checks.select([word])] == [item.check]
        elif name == "lecture":
            assert item.shows is not None
            assert word == item.id
        elif name in ("run", *kinds):
            assert word in registry.entries("suites")
        elif name == "evaluate":
            assert word in registry.entries("tasks")
    for option, kind in (("--suite", "suites"), ("--tasks", "tasks"), ("--algorithms", "algorithms")):
        assert option not in words or words[words.index(option) + 1] in registry.entries(kind)


def test_names_words_and_checks_lead_to_items_and_a_misspelt_one_to_the_closest():
    assert [i.id for i in contents.chosen("dagger")] == ["dagger"]
    assert [i.id for i in contents.chosen("Reverse KL")] == ["mode_seeking"]
    assert {i.id for i in contents.chosen("t15")} == {i.id for i in ITEMS if i.check == "t15_divergences_mip"}
    with pytest.raises(ValueError, match=r"no item 'dager' of the lecture\. Did you mean dagger"):
        contents.chosen("dager")


def test_a_fast_item_runs_end_to_end_a_word_of_several_lists_them_and_json_is_clean(capsys):
    def ran(*words):
        assert command.Lecture(*words, results=str(RESULTS), json=True).execute() == 0
        return json.loads(capsys.readouterr().out)

    (check,) = ran("attained")
    assert check["id"] == "t03_bc_bound_attained"
    assert {c["verdict"] for c in check["claims"]} == {"HOLDS", "REFUTED AS EXPECTED"}
    listed = ran("t15")
    assert len(listed) > 3
    assert {row["check"] for row in listed} == {"t15_divergences_mip"}
    assert [row["item"] for row in ran("planning")] == ["planning"], "what does not run is listed, with the reason"
    assert ran("gridworld")["rows"][0][0] == "8.67"


def test_the_gridworld_of_the_slide_is_solved_by_another_program():
    """Values by a loop over cells, states as coordinates; the lecture's digits."""
    grid, exits, walls = (
        {(i, j): 0.0 for i in range(5) for j in range(5)},
        {(2, 2): 1.0, (2, 4): 10.0},
        {(1, 1), (2, 1), (2, 3)},
    )
    exits |= {(4, j): -10.0 for j in range(5)}
    for _ in range(600):
        old = dict(grid)

        def to(i, j, di, dj, old=old):
            return old[(i + di, j + dj)] if (i + di, j + dj) in old and (i + di, j + dj) not in walls else old[(i, j)]

        for i, j in grid:
            q = [
                0.5 * to(i, j, a, b) + 0.25 * to(i, j, b, a) + 0.25 * to(i, j, -b, -a)
                for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))
            ]
            grid[i, j] = exits.get((i, j), 0.99 * max(q))
    shown = contents.chosen("gridworld")[0].shows().rows
    assert [[x for x in row if x != "wall"] for row in shown] == [
        [f"{grid[i, j]:.2f}" for j in range(5) if (i, j) not in walls] for i in range(5)
    ]
    assert shown[0] == ("8.67", "8.93", "9.11", "9.30", "9.42")


# ------------------------------------------------------------------------------------------- numbers
def test_no_sentence_has_a_number_that_was_typed():
    """Digits in the text of a sentence belong to names of mathematics (E_2, H^2, 0-1, 1/(1 - g), step 0, log 2), and to nothing else."""
    named = re.compile(r"D_H\^2|H\^2|0-1|1/\(1 - g\)|H\(H\+1\)/2|log 2|step 0|B[13]|expert:? 1|random 0|O\(eps H\^2\)")
    for _, module in {m.PART: m for m in map(inspect.getmodule, (i.found for i in RUN))}.items():
        for function in [n for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.FunctionDef)]:
            specs = {id(n.format_spec) for n in ast.walk(function) if isinstance(n, ast.FormattedValue)}
            for joined in [n for n in ast.walk(function) if isinstance(n, ast.JoinedStr) and id(n) not in specs]:
                text = "".join(v.value for v in joined.values if isinstance(v, ast.Constant))
                assert not re.search(r"\d", named.sub("", text)), (function.name, text)


def test_sentences_say_what_the_records_say(said):
    """Numbers read from the files by other means than the code that wrote the sentence."""
    claims = {c["statement"]: c for c in raw("t06_dagger_u")["claims"]}
    cliff = next(
        c for s, c in claims.items() if s.startswith("gap <= u T eps_on, cliff, DAgger coverage, eps = 0.0001")
    )
    assert f"{cliff['measured']:.1f} of at most {cliff['predicted']:.1f}" in said["recoverability"]
    growth = next(c for c in raw("t02_bc_closed_form")["claims"] if c["statement"].startswith("cliff, rollouts: slope"))
    lo, hi = growth["interval"]
    assert f"{growth['measured']:.2f} [{lo:.2f}, {hi:.2f}], predicted {growth['predicted']:.2f}" in said["tightrope"]
    lane = [r for r in source.load("repairs", RESULTS).records if (r.cell.task, r.cell.budget, r.cell.head) == ("lane@1", 1000, "mse")]
    scores = {
        name: {r.cell.seed: r.scores["score"] for r in lane if r.cell.algorithm == name} for name in ("bc", "side_view")
    }
    assert len(scores["bc"]) == 10
    assert f"bc {np.mean(list(scores['bc'].values())):.3f} [" in said["side_cameras"]
    apart = np.mean([scores["side_view"][seed] - x for seed, x in scores["bc"].items()])
    assert f"a difference of {apart:.3f} [" in said["side_cameras"]
    table = (RESULTS / "compounding@1" / "COMPOUNDING.md").read_text().split("\n## ")[1]
    assert said["own_states"].startswith(
        f"On {table.count('| compounds (')} of {table.count(chr(10) + '| ') - 1} tasks"
    )
    assert not [
        i for i, text in said.items() if "no record" in text and i not in ("temporal_ensembling", "real_time_chunking")
    ]


def test_a_changed_record_changes_the_sentence_and_a_missing_one_is_said():
    ran = stored.load(RESULTS)
    other = [
        dataclasses.replace(
            r, claims=tuple(dataclasses.replace(c, measured=None if c.measured is None else 7.77) for c in r.claims)
        )
        for r in ran
    ]
    changed = known.Known(other, Suites(lambda suite: []), lambda: None)
    sentence = contents.said(contents.chosen("no_regret")[0], changed)
    assert sentence.count("7.77") == 4
    assert "ilbench theory t07_no_regret" in contents.said(
        contents.chosen("no_regret")[0], known.Known([], Suites(lambda suite: []), lambda: None)
    )
    assert "ilbench run compounding" in contents.said(contents.chosen("own_states")[0], changed)
    with pytest.raises(ValueError, match="say which is meant"):
        known.Known(ran, Suites(lambda suite: []), lambda: None).claim("t07_no_regret", "gamma_N")


# ------------------------------------------------------------------------------------------- proofs and the page
@pytest.mark.parametrize("name", contents.proved())
def test_a_proof_belongs_to_an_item_and_its_steps_to_the_items_check(name, shipped):
    (item,) = contents.chosen(name)
    proof = contents.proof(name)
    for what, check, within in proof.STEPS:
        assert check == item.check
        assert shipped.claim(check, *within).verdict in VERDICTS, what


def test_the_lectures_proof_has_the_steps_of_its_check():
    """Each numbered step says the inequality that the check states under the same number, and what is beside it measures that one."""
    proof = contents.proof("proof")
    quantity = {"1": "P(E_t^c)", "2": "E[l(s_t) 1{E_t}]", "3": "E_{d_t^pihat} l /", "4": "cost / (eps H(H+1)/2)"}
    derivation = re.sub(r"\s+", " ", inspect.getdoc(registry.load("checks", "lecture_proof")))
    steps = {what[1]: within for what, _, within in proof.STEPS if what.startswith("(")}
    for number, measured in quantity.items():
        assert any(measured.removesuffix(" /") in part for part in steps[number]), number
        assert any(p.startswith(f"({number})") for p in proof.PROOF)
    assert "(2) E[l(s_t) 1{E_t}]" in derivation
    assert "(1) P(E_t^c)" in derivation
    assert "(3) E_{d_t^pihat} l" in derivation


class Text(html.parser.HTMLParser):
    """Rows of tables by caption, and all text."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.said, self._caption, self._cell = {}, "", "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in ("td", "th", "caption"):
            self._cell = ""
        if tag == "tr":
            self.rows.setdefault(self._caption, []).append([])

    def handle_endtag(self, tag):
        if tag == "caption":
            self._caption = self._cell
        elif tag in ("td", "th"):
            self.rows[self._caption][-1].append(self._cell)

    def handle_data(self, data):
        self.said += data
        if self._cell is not None:
            self._cell += data


def test_the_page_shows_every_item_and_the_claims_of_every_proof(said):
    material = Material((), tuple(stored.load(RESULTS)), {"t01_pdl_identity.svg": b"<svg/>"}, ())
    book = Book({"menu": [], "source": ""})
    page.write(book, material)
    text = book.files["lecture.html"].decode()
    made = Text(text)
    assert text.count('<article class="item') == len(ITEMS)
    assert said["no_regret"] in made.said.replace("\n", " ")
    assert said["side_cameras"] not in made.said, "this site has no suite"
    assert "no records of it: ilbench run repairs" in made.said
    rows = made.rows["DAgger costs O(u ε H): measured"]
    stored_claims = {c["statement"]: c for c in raw("t06_dagger_u")["claims"]}
    assert rows[2] == ["u on the cliff: all that is left", "512.0", "512.0", "HOLDS"]
    assert float(rows[4][2]) == pytest.approx(
        next(c for s, c in stored_claims.items() if s.startswith("gap <= u T eps_on, cliff, DAgger"))["measured"],
        rel=1e-3,
    )
    assert "$" not in made.said
    assert "\\" not in made.said
    for formula in re.findall(r"<math.*?</math>", text):
        ElementTree.fromstring(formula)
    nothing = Book({"menu": [], "source": ""})
    page.write(nothing, Material((), (), {}, ()))
    assert not nothing.files


@pytest.mark.parametrize(
    ("tex", "made"),
    [
        (r"x_t", "<msub><mi>x</mi><mi>t</mi></msub>"),
        (r"x^2", "<msup><mi>x</mi><mn>2</mn></msup>"),
        (r"x_t^2", "<msubsup><mi>x</mi><mi>t</mi><mn>2</mn></msubsup>"),
        (r"\pi'", '<mrow><mi>π</mi><mo lspace="0" rspace="0">′</mo></mrow>'),
        (r"\frac{a}{2}", "<mfrac><mi>a</mi><mn>2</mn></mfrac>"),
        (r"a < .5", '<mi>a</mi><mo>&lt;</mo><mn>.5</mn>'),
        (
            r"\sum_{t=1}^H",
            '<munderover><mo movablelimits="true" form="prefix" rspace=".17em">∑</mo><mrow><mi>t</mi><mo>=</mo><mn>1</mn></mrow>'
            "<mi>H</mi></munderover>",
        ),
        (r"\text{ at } q", "<mtext>\u00a0at\u00a0</mtext><mi>q</mi>"),
        (r"\hat\pi", '<mover accent="true"><mi>π</mi><mo stretchy="false">^</mo></mover>'),
        (r"\left( x \right)", "<mrow><mo>(</mo><mi>x</mi><mo>)</mo></mrow>"),
    ],
)  # fmt: skip
def test_formulas_become_the_elements_of_mathml(tex, made):
    assert mathml.mathml(tex) == f'<math display="inline"><mrow>{made}</mrow></math>'


def test_lines_are_a_table_and_what_is_unknown_is_named():
    assert mathml.mathml(r"a &= b \\ &\le c", True).count("<mtr>") == 2
    for tex, named in (
        (r"\foo", r"\\foo"),
        ("{a", "'}'"),
        (r"\left( a", "right"),
        ("a_b_c", "two subscripts"),
        ("a & \u20ac", "\u20ac"),
    ):
        with pytest.raises(ValueError, match=named):
            mathml.mathml(tex)
    assert mathml.prose("a < $b$") == 'a &lt; <math display="inline"><mrow><mi>b</mi></mrow></math>'
    with pytest.raises(ValueError, match="lone"):
        mathml.prose("a $b")


# ------------------------------------------------------------------------------------------- words of checks
def test_checks_are_found_by_words_that_no_suite_is_called():
    assert [e.id for e in checks.select(["mode"])] == ["t15_divergences_mip"]
    assert [e.id for e in checks.select(["chunk"])] == ["t14_pitfall_and_chunk"]
    assert {e.id for e in checks.select(["dagger"])} == {"t06_dagger_u", "t10_interaction_value"}
    every = [word for e in registry.entries("checks").values() for word in checks.words(e)]
    assert len(every) > 40
    assert not set(every) & set(registry.entries("suites"))
    assert "certify" not in every
