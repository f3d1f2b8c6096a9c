"""Identity that lasts: what is added to a cell, a record or a config later leaves ids and seals of older ones alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib

import pytest
from pydantic import ValidationError, create_model

from ilbench import configs
from ilbench.records import store, table
from ilbench.records.schema import (
    Cell,
    Cost,
    Provenance,
    Record,
    canonical,
    cell_id,
    content_hash,
    make_record,
    neutral,
)

RESULTS = pathlib.Path(__file__).parent.parent / "results"
CELL = {
    "task": "hopper@1", "expert": "00ff00ff", "algorithm": "bc", "head": "mse", "config": {"fit.lr": 1e-3},
    "horizon": 5, "budget": 10, "evaluation": {"episodes": 2}, "seed": 0,
}  # fmt: skip
OTHER = {  # a value other than the default, of every neutral field there is
    Cell: {"versions": {"bc": 2}, "plugins": {"mine": "my-methods==1.2", "mine/table.csv": "ab" * 32}},
    Cost: {"shared_s": 0.5, "takeovers": 1, "takeover_steps": 7, "switches": 2, "model_steps": 9},
    Provenance: {"settings": {"jax_enable_x64": True}, "distributions": {"my-methods": "1.2"}},
}
BASE = {Cell: CELL, Cost: {}, Provenance: {"ilbench": "0", "python": "3"}}
FIELDS = [(model, name) for model, values in OTHER.items() for name in values]


def test_the_table_above_is_complete():
    declared = {(model, name) for model in OTHER for name, f in model.model_fields.items() if f.exclude_if is not None}
    assert declared == set(FIELDS)


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_neutral_fields_are_spelled_only_away_from_their_default(model, name):
    plain = model(**BASE[model])
    assert name not in plain.model_dump()
    assert name not in json.loads(plain.model_dump_json())
    changed = model(**BASE[model], **{name: OTHER[model][name]})
    assert canonical(changed.model_dump()) != canonical(plain.model_dump())
    assert model.model_validate_json(changed.model_dump_json()) == changed
    assert model(**changed.model_dump() | {name: getattr(plain, name)}) == plain


def test_a_neutral_field_of_a_later_version_changes_no_id_and_no_seal():
    later = create_model("Later", __base__=Cell, gates=(int, neutral(4)), lens=(dict[str, str], neutral({})))
    assert cell_id(later(**CELL)) == cell_id(Cell(**CELL)) == cell_id(later(**CELL, gates=4, lens={}))
    assert cell_id(later(**CELL, gates=5)) != cell_id(Cell(**CELL))
    text = json.dumps(CELL, sort_keys=True, separators=(",", ":"))
    assert cell_id(later(**CELL)) == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_version_1_is_no_version():
    assert cell_id(Cell(**CELL, versions={"bc": 1, "mse": 1})) == cell_id(Cell(**CELL))
    assert Cell(**CELL, versions={"bc": 2, "mse": 1}).versions == {"bc": 2}


@pytest.mark.parametrize("change", [{"versions": {"bc": 0}}, {"versions": {"B C": 2}},
                                    {"plugins": {"x": 1}}, {"plugins": {"x": "y" * 201}}])  # fmt: skip
def test_neutral_fields_are_checked(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        Cell(**CELL, **change)


@pytest.mark.parametrize("suite", sorted(p.name for p in RESULTS.glob("*@*") if (p / "LEADERBOARD.md").is_file()))
def test_shipped_records_keep_ids_and_seals(suite):
    """Of the bytes as they lie there, not of what this version makes of them."""
    records, problems = store.read_all(RESULTS, suite)
    assert not problems
    assert len(records) > 100
    for r in records:
        raw = json.loads(store.encode(r))
        sealed = raw.pop("self_hash")
        assert hashlib.sha256(canonical(raw).encode()).hexdigest() == sealed == content_hash(r)
        assert hashlib.sha256(canonical(raw["cell"]).encode()).hexdigest()[:32] == raw["id"] == r.id


def test_a_record_with_everything_comes_back(tmp_path):
    cell = Cell(**CELL, **OTHER[Cell])
    provenance = Provenance(**BASE[Provenance], **OTHER[Provenance])
    made = make_record(cell, "quick@1", status="ok", cost=OTHER[Cost], provenance=provenance)
    store.write(tmp_path, made)
    (back,), problems = store.read_all(tmp_path)
    assert problems == []
    assert isinstance(back, Record)
    assert (back.cell, back.provenance, back.cost) == (cell, provenance, Cost(**OTHER[Cost]))
    row = table.row(back)
    assert (row["versions.bc"], row["cost.switches"]) == (2, 2)
    assert row["plugins.mine"] == "my-methods==1.2"
    assert table.row(make_record(Cell(**CELL), "quick@1", status="ok"))["cost.switches"] == 0


# ---------------------------------------------------------------------------------------- configs
@dataclasses.dataclass(frozen=True)
class Inner:
    a: int = 1
    b: int = dataclasses.field(default=2, metadata={"neutral": True})


@dataclasses.dataclass(frozen=True)
class Config:
    rounds: int = 5
    widths: tuple[int, ...] = (64, 64)
    late: float = dataclasses.field(default=1.0, metadata={"neutral": True})
    listed: tuple[int, ...] = dataclasses.field(default_factory=tuple, metadata={"neutral": True})
    inner: Inner = Inner()


def test_neutral_config_fields_are_spelled_only_away_from_their_default():
    old = {"bc.rounds": 5, "bc.widths": [64, 64], "bc.inner": {"a": 1}}
    assert configs.spelled("bc", Config()) == old
    assert configs.spelled("bc", Config(late=2.0, listed=(1,))) == old | {"bc.late": 2.0, "bc.listed": [1]}
    assert configs.spelled("bc", Config(inner=Inner(b=3)))["bc.inner"] == {"a": 1, "b": 3}
    assert configs.spelled("bc", Config(late=1))["bc.late"] == 1  # another type is another spelling of the number
    assert configs.stated(Config(rounds=6)) == {"rounds": 6, "widths": [64, 64], "inner": {"a": 1}}


def test_a_neutral_config_field_needs_a_default():
    @dataclasses.dataclass(frozen=True)
    class Bad:
        x: int = dataclasses.field(metadata={"neutral": True})

    with pytest.raises(TypeError, match="'x' has no default"):
        configs.spelled("bad", Bad(1))
