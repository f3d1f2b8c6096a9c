"""Noise injected once against asking in rounds, on torque-controlled robots."""

from __future__ import annotations

from ilbench.report.replication.verdicts import Line, Suites, above, alike

CLAIM = (
    "Noise injected into the demonstrations once equals DAgger on HalfCheetah and beats it on Humanoid, where DAgger is below BC; "
    "open-loop chunks hurt; it is best to leave a part of the demonstrations clean"
)
SOURCE = "Zhang, Pfrommer, Pan, Matni, Simchowitz 2025, https://arxiv.org/abs/2507.09061, figures"
DIFFERS = "Brax's spring backend, demonstrations of 1,000 steps (there 300), equal labels (6 and 10 demonstrations), our experts"
SUITES = ("compounding", "replication")


def measure(records: Suites) -> list[Line]:
    """Noise against DAgger, DAgger against BC, chunks against none."""

    def rows(task: str, budget: int) -> list:
        wanted = {"budget": budget, "fit__updates": 20_000}
        return [records.one("compounding", task, name, **wanted) for name in ("noise_injection", "dagger", "bc")]

    cheetah, humanoid = rows("halfcheetah", 6000), rows("humanoid", 10_000)
    out = [
        alike("halfcheetah, 6 demonstrations: noise and DAgger are alike", cheetah[0], cheetah[1]),
        above("humanoid, 10 demonstrations: noise above DAgger", humanoid[0], humanoid[1]),
        above("humanoid, 10 demonstrations: BC above DAgger", humanoid[2], humanoid[1]),
    ]
    plain = records.one("replication", "halfcheetah", "bc", policy__chunk=None)
    for length in (2, 4):
        chunked = records.one("replication", "halfcheetah", "bc", policy__chunk=length)
        out.append(above(f"halfcheetah, 6 demonstrations: BC above open-loop chunks of {length}", plain, chunked))
    for sigma in (0.5, 1.0):
        shares = {
            c: records.one(
                "replication", "halfcheetah", "noise_injection", noise_injection__sigma=sigma, noise_injection__clean=c
            )
            for c in (0.0, 0.5, 0.8)
        }
        for share in (0.0, 0.8):
            said = f"halfcheetah, 6 demonstrations, sigma {sigma}: a half of them clean above {share:g} of them clean"
            out.append(above(said, shares[0.5], shares[share]))
    return out
