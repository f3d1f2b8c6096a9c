"""`ilbench cite`: works as the docstrings name them, each once, in BibTeX that a hostile docstring cannot break."""

import json
import re

import pytest
import yaml
from test_compare import run

from ilbench import registry
from ilbench.report import cite

SAID = {  # a paragraph: (authors, year, title, url) of each work in it
    "Ross, Gordon & Bagnell 2011, https://arxiv.org/abs/1011.0686": [
        (("Ross", "Gordon", "Bagnell"), "2011", "", "https://arxiv.org/abs/1011.0686")
    ],
    "Pomerleau 1989, ALVINN; its O(eps H^2) cost is Ross & Bagnell 2010, https://a.org/r.html": [
        (("Pomerleau",), "1989", "ALVINN", ""),
        (("Ross", "Bagnell"), "2010", "", "https://a.org/r.html"),
    ],
    "the models of Ross & Bagnell 2010, https://a.org/r.html, and of Kaariainen 2006 (copy)": [
        (("Ross", "Bagnell"), "2010", "", "https://a.org/r.html"),
        (("Kaariainen",), "2006", "", ""),
    ],
    "the NoiseBC baseline of Ke et al. 2024, CCIL: continuity, https://b.org/1 (there uniform)": [
        (("Ke", "others"), "2024", "CCIL: continuity", "https://b.org/1")
    ],
    "Brax, Freeman et al. 2021, https://c.org": [(("Freeman", "others"), "2021", "Brax", "https://c.org")],
    'textbook; Rao and Bernstein 2001, "Naive control", https://d.org': [
        (("Rao", "Bernstein"), "2001", "Naive control", "https://d.org")
    ],
    "our own.": [],
}


@pytest.mark.parametrize("text", SAID)
def test_what_a_paragraph_says(text):
    assert [(r.authors, r.year, r.title, r.url) for r in cite.references(text, "x")] == SAID[text]


def test_a_work_is_one_whoever_names_it():
    a, b, c = (cite.references(t, n)[0] for t, n in (
        ("Ke et al. 2024, CCIL, https://b.org/1", "a"), ("Ke et al. 2024, https://b.org/1", "b"), ("Ke et al. 2024, https://b.org/2", "c")
    ))  # fmt: skip
    one, two = cite.merged([a, b, c])
    assert (one.title, one.of, two.of) == ("CCIL", ("a", "b"), ("c",))
    assert re.findall(r"@misc\{(\w+),", cite.bibtex([one, two])) == ["ilbench", "ke2024a", "ke2024b"]


def test_nothing_in_a_docstring_leaves_its_braces():
    (work,) = cite.references(r"Ke 2024, A} \input{x} % & B, https://b.org/1}{", "x")
    text = cite.bibtex([work])
    bare = re.sub(r"\\[{}%&]|\\textbackslash\{\}", "", text)
    assert "\\" not in bare
    assert "%" not in bare
    assert bare.count("{") == bare.count("}")


def test_every_algorithm_of_a_suite_is_cited(monkeypatch, capsys):
    assert run(monkeypatch, "cite", "quick", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert {"bc", "dagger", "ccil", "hopper"} <= {name for work in shown["works"] for name in work["of"]}
    assert not {"noise_bc", "ant"} & {name for work in shown["works"] for name in work["of"]}
    about = yaml.safe_load(open("CITATION.cff"))  # noqa: SIM115
    assert shown["ilbench"]["title"] == about["title"]
    assert shown["ilbench"]["author"] == about["authors"][0]["name"]
    assert run(monkeypatch, "cite", "quik") == 2
    assert "Did you mean quick" in capsys.readouterr().err
    for e in cite.used(None):  # a year that is said is found
        assert bool(re.search(r"\b(19|20)\d\d\b", e.paper)) == bool(cite.references(e.paper, e.id)), e.paper
    assert len(registry.entries("algorithms")) == len([e for e in cite.used(None) if e.kind == "algorithms"])
