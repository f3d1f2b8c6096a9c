"""The record in bytes that were found sound, and spelled as ilbench spells records: put together, and not judged again.

    {"cell":{...,"config":C,"evaluation":E,...},...,"provenance":P,"reason":...,"references":R,"schema":...}

C, E, P and R are alike in whole rows of a suite, so each is parsed once and shared by all that hold it; what is left of the line is
parsed by itself. A cut in the wrong place, inside a setting that is called like one of them, leaves a piece or the rest without its
brackets, which is no JSON, or finds no table. Only ilbench/records/index.py knows which bytes these are: of others the types may be wrong
(1 for 1.0).
"""

from __future__ import annotations

from typing import Any, TypeVar

import pydantic
import pydantic_core

from ilbench.records.schema import Cell, Cost, Episodes, Provenance, Record, Reference

M = TypeVar("M", bound=pydantic.BaseModel)
CONFIG, EVALUATION, PROVENANCE, REFERENCES, LIST = range(5)
ALIKE = (
    (CONFIG, b',"config":', b',"evaluation":'),
    (EVALUATION, b',"evaluation":', b',"expert":'),
    (PROVENANCE, b',"provenance":', b',"reason":'),
    (REFERENCES, b',"references":', b',"schema":'),
)
LISTS = (
    (LIST, b',"costs":', b',"n":'),
    (LIST, b',"returns":', b'},"id":'),
)  # of an episode each: most of what a record holds
_MODELS = (Cell, Cost, Episodes, Provenance, Record, Reference)
_DEFAULTS: dict[type, dict[str, Any]] = {
    model: {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    for model in _MODELS
}


class Shelf:
    """What records hold alike, by its bytes; without `lists` records have none of their episodes' returns and costs."""

    def __init__(self, lists: bool = True) -> None:
        self._cuts = ALIKE if lists else (*ALIKE[:2], *LISTS, *ALIKE[2:])
        self._pieces: dict[bytes, Any] = {}
        self._given: dict[tuple[str, ...], set[str]] = {}

    def record(self, line: bytes) -> Record:
        """The record in a line; raises ValueError for one that cannot be cut."""
        rest, last, pieces = [], 0, []
        for kind, begin, end in self._cuts:
            first = line.find(begin, last)
            stop = line.find(end, first + 1)
            if first < last or stop < 0:
                raise ValueError(f"no {begin.decode()} where it is spelled")
            piece = line[first + len(begin) : stop]
            if kind == LIST:
                if piece != b"null" and not (piece.startswith(b"[") and b'"' not in piece and b"{" not in piece):
                    raise ValueError(f"no list of numbers behind {begin.decode()}")
            else:
                if (known := self._pieces.get(piece)) is None:
                    known = self._pieces[piece] = self._made(kind, pydantic_core.from_json(piece))
                pieces.append(known)
            rest.append(line[last:first])
            last = stop
        d = pydantic_core.from_json(b"".join((*rest, line[last:])))
        cell = d["cell"]
        cell["config"], cell["evaluation"], d["provenance"], d["references"] = pieces
        d["cell"], d["cost"] = self._model(Cell, cell), self._model(Cost, d["cost"])
        d["episodes"] = self._model(Episodes, d["episodes"])
        d["schema_"] = d.pop("schema")
        return self._model(Record, d)

    def _made(self, kind: int, value: Any) -> Any:
        if not isinstance(value, dict):  # of a namesake among the versions or plug-ins, which hold no tables
            raise ValueError(f"a {type(value).__name__} where a table is spelled")
        if kind in (CONFIG, EVALUATION):
            return value
        if kind == PROVENANCE:
            return self._model(Provenance, value)
        for reference in value.values():
            if reference["ci"] is not None:
                reference["ci"] = tuple(reference["ci"])
        return {name: self._model(Reference, reference) for name, reference in value.items()}

    def _model(self, model: type[M], values: dict[str, Any]) -> M:
        """A model as parsing makes it: its fields in their order, those that are not spelled at their defaults."""
        names = tuple(values)
        given = self._given.get(names)
        if given is None:
            given = self._given[names] = set(names)
        made = model.__new__(model)
        object.__setattr__(made, "__dict__", {**_DEFAULTS[model], **values})
        object.__setattr__(made, "__pydantic_fields_set__", given)
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made
