"""Any head with a history, chunks or members, or drawn from: the settings `policy.*`, which every algorithm takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ilbench.types import Box, Head, Spec
from ilbench.wrappers.chunked import Execution, chunked, predicted
from ilbench.wrappers.ensemble import ensemble
from ilbench.wrappers.history import history, seen
from ilbench.wrappers.sampled import sampled

NEUTRAL = {"neutral": True}  # at its default a setting changes no number, and no cell states it


@dataclass(frozen=True)
class PolicyConfig:
    """What the policy sees, and how it executes what it predicts."""

    history: int = field(default=1, metadata=NEUTRAL)  # observations that it sees, the last ones
    chunk: int = field(default=1, metadata=NEUTRAL)  # actions that it predicts
    execute: int = field(default=0, metadata=NEUTRAL)  # of them before it predicts again; 0: all
    delay: int = field(default=0, metadata=NEUTRAL)  # steps from an observation to the chunk that it gives
    decay: float | None = field(default=None, metadata=NEUTRAL)  # of a temporal ensemble, per step (ACT: 0.01); none: open loop
    members: int = field(default=1, metadata=NEUTRAL)  # networks of an ensemble
    sample: bool = field(default=False, metadata=NEUTRAL)  # deploys draws from the head's law in the place of what it deploys

    def __post_init__(self) -> None:
        for name, least in (("history", 1), ("chunk", 1), ("execute", 0), ("delay", 0), ("members", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"policy.{name} must be at least {least}, got {getattr(self, name)}")
        if self.chunk == 1 and (self.execute > 1 or self.delay or self.decay is not None):
            raise ValueError("policy.execute, policy.delay and policy.decay are of chunks; give policy.chunk=8, say")
        if self.decay is not None and self.decay < 0:
            raise ValueError(f"policy.decay must be at least 0, got {self.decay}")
        if self.sample and (self.members > 1 or self.decay is not None):
            raise ValueError("policy.sample deploys single draws, policy.members and policy.decay the mean of several: give either")


def wrapped(make: Callable[[Spec], Head], spec: Spec, config: PolicyConfig) -> Head:
    """The head that `make` gives, for the task of `spec`; raises ValueError that names the setting that does not fit it."""
    how = Execution(config.chunk, config.execute, config.delay, config.decay)
    inner = spec
    try:
        inner = predicted(inner, how) if config.chunk > 1 else inner
        inner = seen(inner, config.history) if config.history > 1 else inner
    except ValueError as error:
        raise ValueError(f"policy.{'chunk' if config.chunk > 1 and inner is spec else 'history'}: {error}") from None
    head = make(inner)
    if config.sample:
        try:
            head = sampled(head)
        except ValueError as error:
            raise ValueError(f"policy.sample: {error}") from None
    if config.members > 1:
        head = ensemble(head, config.members, inner.action)
    if config.chunk > 1:
        assert isinstance(inner.obs, Box)
        assert isinstance(spec.action, Box)
        head = chunked(head, how, inner.obs, spec.action)
    if config.history > 1:
        assert isinstance(spec.obs, Box)
        head = history(head, config.history, spec.obs)
    return head


