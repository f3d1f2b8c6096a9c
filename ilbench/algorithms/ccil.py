"""Corrective labels without asking anybody: states near the data from which a known action leads back to it.

Unlike behaviour cloning it also trains on generated pairs (s_G, a_G) whose outcome, by the true or by a learned
model of the dynamics, is a demonstrated state. Equal expert labels and equal gradient steps.
Paper: Ke et al. 2024, CCIL: continuity-based data augmentation for corrective imitation learning, https://arxiv.org/abs/2310.12972
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute.parallel import per_seed
from ilbench.rollouts.keys import generators
from ilbench.training import continuity, dynamics
from ilbench.training.lab import Lab
from ilbench.training.nets import scale_of
from ilbench.training.rows import compact, concatenate
from ilbench.types import Array, Box, Data, Discrete, Dynamics, Head, Task, Trained

NEWTON_STEPS, NEWTON_TOLERANCE = (
    12,
    1e-4,
)  # the inverse of the true dynamics; the paper allows 50 and the same tolerance
PIECE = 256  # rows whose Jacobians are in memory together
RATE = "<= 2"  # upper rate of the cost in H at fixed eps: O(eps H^2); the learner is never asked about its own states
NEEDS = ("demonstrations", "continuous observations", "one step")
SPACE = {  # what `ilbench tune` tries
    "ccil.label": ("backtrack", "disturbed"),
    "ccil.max_distance": (0.1, 0.3, 1.0),
    "ccil.lipschitz_constant": (2.0, 4.0),
}
TRY = ("scalar_stable", "linear", 300)  # what the contract test runs: task, head, labels
CHOICES = {
    "dynamics": ("learned", "true"),
    "label": ("backtrack", "disturbed"),
    "lipschitz": ("spectral", "none", *continuity.KINDS),
    "keep": ("distance", "lipschitz"),
}


@dataclass(frozen=True)
class Config:
    """Where labels come from and which are kept."""

    dynamics: str = "learned"  # learned: a residual model of the observations; true: the task's own, inverted exactly
    label: str = "backtrack"  # backtrack: s_G = s* - f(s*, a*), a_G = a*; disturbed: a_G = a* + disturbance N(0, I)
    labels_per_state: int = (
        1  # generated pairs per demonstrated state (the paper: 1 for backtrack, 10-20 for disturbed)
    )
    disturbance: float = 1e-3  # sd of the disturbed action, in units of the action (the paper: 1e-5 to 1e-4)
    max_distance: float = 0.3  # keep ||s_G - s*|| below this, root mean square over features in standard deviations
    # What keeps the learned model continuous: spectral, a limit on the norm of every layer; soft_sampling or soft_jac, a penalty on
    # slopes above L; slack, rows with a jump are let go and there is no L; none. ilbench/training/continuity.py has the formulas.
    lipschitz: str = "spectral"
    # L of the normalised net: of every layer if spectral, else of the whole of it (the paper: 2 to 4 on robots).
    lipschitz_constant: float = 2.0
    width: int = 128  # units of the model's two hidden layers (the paper: 512)
    updates: int = 1000  # gradient steps of the model; not the policy's, which equal behaviour cloning's
    batch: int = 256  # rows per step of the model
    learning_rate: float = 1e-3  # Adam, cosine to 0
    weight_decay: float = 1e-5  # the paper's
    # Of soft_sampling and soft_jac, per squared error (the paper: 5e-4 to .5 of another penalty; here as much as the error itself).
    penalty: float = field(default=1.0, metadata={"neutral": True})
    # Of soft_sampling: sd of the disturbance, in mean absolute deviations of the inputs (the paper: 3e-4 in units of the observation).
    probe: float = field(default=0.1, metadata={"neutral": True})
    # Of slack: squared error, in squared mean absolute deviations of the change, above which a row is let go (the authors' default;
    # too little where the data mostly rest, for motion is then many deviations away: 10 on pendulum).
    slack_weight: float = field(default=1.0, metadata={"neutral": True})
    # distance: labels nearer than max_distance. lipschitz: those with the least local_L * distance from their pair, both of the
    # normalised net, which is what its error may have grown by; max_distance is not read then.
    keep: str = field(default="distance", metadata={"neutral": True})
    # Share of the labels that keep=lipschitz keeps (the authors' code: .1 to 1, of the map to the next state in its own units).
    quantile: float = field(default=0.5, metadata={"neutral": True})

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"ccil.{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name in (
            "labels_per_state",
            "max_distance",
            "lipschitz_constant",
            "width",
            "updates",
            "batch",
            "learning_rate",
            "penalty",
            "probe",
            "slack_weight",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"ccil.{name} must be positive, got {getattr(self, name)}")
        if self.disturbance < 0:
            raise ValueError(f"ccil.disturbance is a standard deviation and cannot be negative, got {self.disturbance}")
        if not 0 < self.quantile <= 1:
            raise ValueError(f"ccil.quantile is a share of the labels and must lie in (0, 1], got {self.quantile}")
        if self.dynamics == "true":
            # Spectral and none, which such cells have always spelled, change nothing there.
            for name, idle in (("lipschitz", self.lipschitz in continuity.KINDS), ("keep", self.keep == "lipschitz")):
                if idle:
                    raise ValueError(
                        f"ccil.{name}={getattr(self, name)} speaks of a learned model, and ccil.dynamics=true learns none: its labels "
                        f"are exact however far they are; take ccil.dynamics=learned, or leave ccil.{name} out"
                    )


def rows_per_label(config: Config) -> int:
    """The expert's label and the corrective ones made from it: what a run's memory is foreseen by."""
    return 1 + config.labels_per_state


def skip(task: Task, head: Head) -> str | None:
    """Needs observations that are vectors."""
    vectors = isinstance(task.env.obs, Box) and len(task.env.obs.shape) == 1 and task.env.obs.dtype == "float32"
    return None if vectors else "corrective labels are made of vectors, and these observations are images"


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for true dynamics that the task does not give, and for disturbed discrete actions."""
    if config.dynamics == "true" and (task.dynamics is None or task.dynamics.from_obs is None):
        raise ValueError(f"ccil.dynamics=true: {task.name} gives no invertible dynamics; take ccil.dynamics=learned")
    if config.label == "disturbed" and isinstance(task.env.action, Discrete):
        raise ValueError(f"ccil.label=disturbed: {task.name} has discrete actions; take ccil.label=backtrack")


def invert(dyn: Dynamics, params: Any, target: Array, action: Array) -> tuple[Array, Array]:
    """x `[d]` with step(x, action) = target `[d]` by Newton's method, and whether it was found `[]`."""

    def miss(x: Array) -> Array:
        return dyn.step_vec(params, x, action) - target

    def newton(_: Any, x: Array) -> Array:
        jacobian = jax.jacfwd(miss)(x) + 1e-6 * jnp.eye(target.shape[0], dtype=target.dtype)
        return x - jnp.linalg.solve(jacobian, miss(x))

    x = jax.lax.fori_loop(0, NEWTON_STEPS, newton, target - miss(target))
    found = jnp.max(jnp.abs(miss(x))) < NEWTON_TOLERANCE * (1.0 + jnp.max(jnp.abs(target)))
    return jnp.where(found, x, target), found


def _true_one(env_params: Any, item: Any, *, dyn: Dynamics) -> tuple[Array, Array]:
    obs, action = item
    assert dyn.from_obs is not None

    def one(o: Array, a: Array) -> tuple[Array, Array]:
        assert dyn.from_obs is not None
        x, found = invert(dyn, env_params, dyn.from_obs(env_params, o), a)
        return dyn.observe(env_params, x), found

    return jax.vmap(one)(obs, action)


def _learned_one(shared: Any, item: Any, *, sizes: tuple[int, ...]) -> Array:
    model, obs, action = item
    return obs - jax.vmap(lambda o, a: dynamics.residual(model, o, a, sizes))(obs, action)


def _repeat(x: np.ndarray, times: int) -> np.ndarray:
    return np.tile(x, (1, times, *([1] * (x.ndim - 2))))


def _foreseen_one(shared: Any, item: Any, *, sizes: tuple[int, ...]) -> Array:
    model, at, label, obs = item
    # In pieces: a Jacobian of every row at once would fill the memory.
    return jax.lax.map(lambda x: continuity.foreseen(model, x[0], x[1], obs.shape[-1], sizes), (at, label), batch_size=PIECE)


def _model(lab: Lab, config: Config, seen: dynamics.Transitions, sizes: tuple[int, ...]) -> tuple[Any, np.ndarray]:
    """The learned model, parameters `[S, ...]` that hold their limit, and its losses."""
    widths = np.shape(seen.obs)[-1], np.shape(seen.action)[-1]
    if config.lipschitz in continuity.KINDS:
        weight = config.slack_weight if config.lipschitz == "slack" else config.penalty
        pairs = continuity.data(seen, config.lipschitz_constant, weight, config.probe)
        model = continuity.model(*widths, sizes, config.lipschitz)
    else:
        pairs = dynamics.data(seen, config.lipschitz_constant if config.lipschitz == "spectral" else None)
        model = dynamics.model(*widths, sizes)
    trained, losses = lab.train(
        model, pairs, name="dynamics", updates=config.updates,
        batch=config.batch, learning_rate=config.learning_rate, weight_decay=config.weight_decay,
    )  # fmt: skip
    return dynamics.settled(trained), losses


def least(values: np.ndarray, exists: np.ndarray, share: float) -> np.ndarray:
    """Which of `values [S, R]` are at or below the `share`-quantile of their own seed's existing, finite ones."""
    there = exists & np.isfinite(values)
    limit = [np.quantile(v[w], share) if w.any() else 0.0 for v, w in zip(values, there, strict=True)]
    return there & (values <= np.array(limit)[:, None])


def corrective_labels(
    lab: Lab, task: Task, config: Config, seen: dynamics.Transitions, data: Data
) -> tuple[Data, dict[str, Any]]:
    """Generated rows `[S, K*R, ...]` with weight 0 where they were filtered, and what is reported."""
    k, sizes, discrete = config.labels_per_state, (config.width, config.width), isinstance(task.env.action, Discrete)
    at, done, label = (_repeat(np.asarray(x), k) for x in (seen.obs, seen.action, data.action))
    start, anchor = at, at  # where the model is read, and the state that the label is near
    vectors = done  # the label's action
    if config.label == "disturbed":
        rng = generators(lab.keys("disturbed"))
        noise = np.stack([r.standard_normal(vectors.shape[1:]) for r in rng]).astype(np.float32)
        vectors = vectors + np.float32(config.disturbance) * noise
        label, start = vectors, _repeat(np.asarray(seen.next_obs), k)
    report: dict[str, Any] = {}
    found, model = np.ones(at.shape[:2], bool), None
    if config.dynamics == "true":
        assert task.dynamics is not None
        generated, found = per_seed(_true_one, dyn=task.dynamics)(
            task.env.params, (start, label if discrete else vectors)
        )
    else:
        model, report["model_loss"] = _model(lab, config, seen, sizes)
        generated = per_seed(_learned_one, sizes=sizes)((), (model, start, vectors))
    generated = np.asarray(generated)
    exists = _repeat(np.asarray(data.weight), k) > 0
    std = np.stack(
        [x[w > 0].std(0) if (w > 0).any() else np.ones(x.shape[1]) for x, w in zip(seen.obs, data.weight, strict=True)]
    )
    distance = np.sqrt(np.mean(((generated - anchor) / scale_of(std)[:, None]) ** 2, axis=-1))
    if config.keep == "lipschitz":
        pair, made = (np.concatenate(x, axis=-1) for x in ((at, done), (generated, vectors)))
        off = np.asarray(per_seed(_foreseen_one, sizes=sizes)((), (model, pair, made, at)))
        keep = least(off, exists, config.quantile)
        report["foreseen"] = np.array([[x[w].mean() if w.any() else 0.0] for x, w in zip(off, keep, strict=True)])
    else:
        keep = exists & np.asarray(found) & np.isfinite(distance) & (distance < config.max_distance)
    report["kept"] = keep.sum(1, keepdims=True) / np.maximum(exists.sum(1, keepdims=True), 1)
    report["distance"] = np.array([[d[w].mean() if w.any() else 0.0] for d, w in zip(distance, keep, strict=True)])
    generated = np.where(keep[..., None], generated, anchor).astype(np.float32)
    return Data(
        _repeat(np.asarray(data.t), k), generated, label.astype(data.action.dtype), keep.astype(np.float32)
    ), report


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrations, generated pairs, one fit on both; every row that was kept is drawn equally often."""
    task = lab.task
    demos = lab.demonstrate()
    seen = dynamics.transitions(demos, task.env.action.n if isinstance(task.env.action, Discrete) else None)
    data, seen = lab.rows(demos, lab.budget), compact(seen, lab.budget, np.asarray(demos.revealed).reshape(len(lab.seeds), -1))
    extra, report = corrective_labels(lab, task, config, seen, data)
    params, losses = lab.fit(concatenate([data, extra]))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses, **report})
