"""The floor plan: data goes one way, and an idea has one room, to which a newcomer's words lead."""

import ast
import graphlib
import re
import subprocess
import sys
from typing import NamedTuple

import modules
import pytest

from ilbench import registry

# Floors, lowest first, and their rooms: a folder (with what is in it) or a file, and a word on it. A file imports from its own
# room and from lower floors; rooms beside each other do not know one another.
FLOORS = (
    {"exact": "theory in NumPy", "names": "closest matches"},
    {"types": "the words"},
    {"registry": "plug-ins, by name"},
    {"configs": "settings", "plugins": "their parts", "distributions": "laws of actions", "densities": "is one one"},
    {"records": "cells on disk", "stats": "uncertainty", "display": "looks", "compute": "fast and right"},
    {"rollouts": "physics"},
    {"training": "gradients", "wrappers": "in, the same out"},
    {"experts": "weights, read"},
    {"evaluation": "judging"},
    {"envs": "plug-ins", "heads": "plug-ins", "algorithms": "plug-ins", "measures": "plug-ins"},
    {"running": "suites to records", "experts.training": "weights, made"},
    {"theory": "plug-ins that train others"},
    {"report": "records to pages", "bench": "suites, speed"},
    {"render": "see it", "testing": "contracts", "doctor": "is it fit?"},
    {"commands": "one each"},
    {"cli": "all of them"},
    {"__main__": "the process", "": "the door: ilbench.run and its like"},
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
UP: dict[tuple[str, str], str] = {}  # (importer, imported): why an arrow may point up or aside, for now
SHARED = {  # (plug-in, plug-in of its kind): why one may import the other
    ("measures.noise", "measures.returns"): "a noisy score is a score",
    ("bench.horizon", "bench.quick"): "the sweep of quick, longer",
    ("bench.matching", "bench.repairs"): "the same tasks and budgets, with heads that have a law",
}
NO_JAX = ("exact", "names", "registry", "configs", "records", "stats", "display")


# ----------------------------------------------------------------------------------------------- reading
class Arrow(NamedTuple):
    """One module names another: in an import, at any depth, or in a text that is nothing but its name."""

    source: str
    target: str
    for_types: bool  # under TYPE_CHECKING


def _room(module):
    return max((r for r in LEVEL if r == module or (r and module.startswith(f"{r}."))), key=len, default=None)


def _named(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value] if re.fullmatch(r"ilbench(\.\w+)+", node.value) and modules.named(node.value) else []
    return []


def _arrows(name, node, for_types=False):
    for child in ast.iter_child_nodes(node):
        typing = for_types or (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING")
        yield from (Arrow(name, modules.named(dotted), typing) for dotted in _named(child) if modules.named(dotted))
        yield from _arrows(name, child, typing)


ARROWS = {a for name, tree in modules.TREES.items() for a in _arrows(name, tree) if a.target != name}


# ------------------------------------------------------------------------------------------ one way
def test_every_module_has_a_room_and_every_room_a_module():
    assert {_room(name) for name in modules.FILES} == set(LEVEL)


def test_imports_point_to_lower_floors():
    """Imports in functions, names in texts and imports for types alone count like any other."""
    up = {(a.source, a.target) for a in ARROWS if _room(a.source) != _room(a.target) and not _below(a)}
    assert sorted(up) == sorted(UP)


def _below(arrow):
    return LEVEL[_room(arrow.target)] < LEVEL[_room(arrow.source)]


def test_modules_import_in_no_circle():
    graph = {name: {a.target for a in ARROWS if a.source == name and not a.for_types} for name in modules.FILES}
    order = list(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert set(order) == set(modules.FILES)


def test_plug_ins_do_not_know_one_another():
    plugs = {e.module.removeprefix("ilbench.") for kind in registry.KINDS for e in registry.entries(kind).values()}
    among = {(a.source, a.target) for a in ARROWS if {a.source, a.target} <= plugs}
    assert {pair for pair in among if len(set(map(_room, pair))) == 1} == set(SHARED)


def test_the_lower_floors_import_no_jax():
    names = [f"ilbench.{name}" for name in modules.FILES if _room(name) in NO_JAX]
    assert len(names) > 30
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names}]; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    heavy = re.compile(r"(jax|jaxlib|brax|flax|optax)\b")
    lower = {name: tree for name, tree in modules.TREES.items() if _room(name) in NO_JAX}
    assert not [(n, d) for n, tree in lower.items() for node in ast.walk(tree) for d in _named(node) if heavy.match(d)]


# ------------------------------------------------------------------------------------- where an idea is
# A newcomer's words; those between * are looked for in the rooms' docstrings and file names, and lead to one room alone. What is
# meant is a name, or a file, that this room defines and no other.
IDEAS = (
    ("the *words*: what is a Task, what is a Head", "types", "Task"),
    ("which *plug-ins* are there, *entry points* too", "registry", "entries"),
    ("the text of a *--set* becomes a number", "configs", "build_config"),
    ("what a *plug-in* may *leave out*", "plugins", "Algorithm"),
    ("the *law* of an *action*", "distributions", "Categorical"),
    ("*dynamic programming*", "exact", "q_values"),
    ("the *bound* *eps H^2*", "exact", "b0"),
    ("the *id* of a *cell*", "records", "cell_id"),
    ("how a record is *written* to *disk*", "records", "preflight"),
    ("where is an *interval* computed", "stats", "bootstrap_ci"),
    ("the exponent is a *slope*", "stats", "slope_ci"),
    ("a table in *Markdown*", "display", "markdown"),
    ("how much *memory* is *free*", "compute", "available"),
    ("the *compile cache*", "compute", "caches"),
    ("seeds over *devices*, *lanes* over a vector", "compute", "per_seed"),
    ("where is *physics* *stepped*", "rollouts", "rollout"),
    ("where is a *behaviour* defined", "rollouts", "mixed"),
    ("where do *random keys* come from", "rollouts", "episode_keys"),
    ("the *ledger* of *labels*", "training", "Ledger"),
    ("where are *gradients* taken", "training", "FitConfig"),
    ("*noise* on *sensors*", "wrappers", "noisy"),
    ("the *weights* of an *expert*", "experts", "weights"),
    ("what a policy is *judged* by", "evaluation", "Evidence"),
    ("a *certificate* for a policy", "evaluation", "Certificate"),
    ("*references*: what chance and the expert score", "evaluation", "reference_returns"),
    ("the *pendulum* as a *task*", "envs", "pendulum"),
    ("a Gaussian *head* and its *loss*", "heads", "gaussian"),
    ("an *algorithm* that imitates with *noise*", "algorithms", "noise_bc"),
    ("the *return* of a policy, a *measure*", "measures", "returns"),
    ("how a *suite* becomes *cells*", "running", "resolve"),
    ("what an *interrupt* costs", "running", "interrupt"),
    ("who *errs*, and by how much, in 0-1 *deployment*", "rollouts", "SOMEWHERE"),
    ("the *recipe* that an expert is made by", "experts.training", "RECIPES"),
    ("the check of a *theorem*", "theory", "t01_pdl_identity"),
    ("who is better: the *board*", "report", "Board"),
    ("which *suites* exist, one per *file*", "bench", "smoke"),
    ("the *speed benchmark*", "bench", "memory_apart"),
    ("the renderer: how to *see* an *episode*", "render", "gif"),
    ("does my plug-in keep its *contract*", "testing", "check_algorithm"),
    ("is this *installation* fit", "doctor", "examine"),
    ("the *command line*, and the *arguments* it takes", "commands", "Leaderboard"),
)


def _page(room):
    """What a newcomer sees of a room: its name, its docstring, its files' names."""
    files = [path.stem for name, path in modules.FILES.items() if _room(name) == room and path.stem != "__init__"]
    return " ".join([room, ast.get_docstring(modules.TREES[room]) or "", *files]).lower().replace("_", " ")


def _says(page, word):
    """Whether a page has a word or words, in the singular or the plural."""
    return re.search(rf"(?<!\w){re.escape(word.lower().removesuffix('s'))}s?(?!\w)", page) is not None


@pytest.mark.parametrize(("words", "room", "name"), IDEAS, ids=[idea[0] for idea in IDEAS])
def test_the_words_of_an_idea_lead_to_where_it_is(words, room, name):
    asked = re.findall(r"\*(.+?)\*", words)
    assert [r for r in LEVEL if r in modules.FILES and all(_says(_page(r), word) for word in asked)] == [room]
    there = {_room(m) for m, path in modules.FILES.items() if name in modules.defined(m) or name == path.stem}
    assert there == {room}


@pytest.mark.parametrize("room", [r for r in LEVEL if r in modules.FILES])
def test_a_room_says_what_is_in_it(room):
    doc = ast.get_docstring(modules.TREES[room])
    assert re.match(r"\S.{20,}?[.:](\s|$)", doc, re.S), "a first sentence that says what is here"


def test_the_floor_plan_in_words_is_this_one():
    text = (modules.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Floor plan")[1].split("\n## ")[0]
    told = [re.findall(r"[\w./]+", re.split(" {4,}", line)[0]) for line in re.findall(r"^    (\S.*)", text, re.M)]
    floors = [[f"{r.replace('.', '/')}/" if _folder(r) else f"{r}.py" for r in rooms if r] for rooms in FLOORS]
    assert told == floors[::-1]


def _folder(room):
    return modules.FILES[room].stem == "__init__" if room in modules.FILES else False
