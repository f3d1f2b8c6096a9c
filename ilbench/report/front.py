"""What the README says first: three questions answered in a sentence or two each, every number from records, and two short tables.

    records of compounding --> does cloning compound on robots?
    records of repairs     --> which repair, and at which price?
    the checks of the theory, and the sweep of quick --> does it agree with the theory?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ilbench import registry
from ilbench.display.tables import fixed, interval
from ilbench.display.tables import text as render
from ilbench.records.schema import Record
from ilbench.report import checks, compounding_page, diagnosis, leaderboard, overall, selection, theory
from ilbench.report.compounding import Row
from ilbench.running.checks import Ran

WIDTH = 118  # columns of a table in the README
SHOWN = 4  # repairs that are named, the best first
EXAMPLE = "hopper"  # the robot whose row is shown


def _name(task: str) -> str:
    return task.split("@")[0]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _a(r: Row) -> str:
    """A of a row with its limits."""
    assert r.ratio is not None
    return interval(*r.ratio)


def compounds(page: compounding_page.Page) -> str:
    """Whether cloning compounds, over the robots of Brax: how many, from which A to which, and where not."""
    robots = {t for t, e in registry.entries("tasks").items() if "brax" in e.tags}
    said = {_name(s.task): s for s in page.sentences if _name(s.task) in robots}
    shown = diagnosis.primary([r for r in page.rows if r.target == page.target])
    rows = {_name(r.task): r for r in shown if r.algorithm == "bc" and _name(r.task) in said and r.ratio is not None}
    yes = sorted((n for n in rows if "compounds" in said[n].words), key=lambda n: rows[n].ratio.value)  # type: ignore[union-attr]
    no = [n for n in rows if "below" in said[n].words]
    open_ = [n for n in said if n not in yes and n not in no]
    stars, poor = (sum(mark in r.marks for r in rows.values()) for mark in "*!")
    seeds = {r.seeds for r in rows.values()}
    n = str(min(seeds)) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    least, most = yes[0], yes[-1]
    return (
        f"**Does cloning compound on robots?** On {len(yes)} of {len(said)}: one mistake on the expert's states becomes "
        f"A = {_a(rows[least])} ({least}) to {_a(rows[most])} ({most}) on the learner's own; {EXAMPLE} {_a(rows[EXAMPLE])}. "
        f"On {_listed(no)} it does not ({', '.join(_a(rows[x]) for x in no)}); {_listed(open_)} are undecided. "
        f"{n} seeds a robot; {stars} of {len(rows)} fits had not converged by the boards' rule, {poor} are poor on the expert's states."
    )


def repairs(page: compounding_page.Page, records: Sequence[Record], suite: str) -> str:
    """Which repair, at which price: the ranking over most settings with the labels it took, and what noise does to A."""
    groups = leaderboard.shown_groups(records)
    ranking = overall.rankings(groups)[0]
    where = {(s["task"], s["horizon"], s["budget"]) for s in ranking["settings"]}
    rows = [r for r in leaderboard.of(groups).rows if (r["task"], r["horizon"], r["budget"]) in where]
    ranked = [r for r in ranking["rows"] if r["algorithm"] not in ("bc", "constant")][:SHOWN]
    best = [f"`{r['algorithm']}` {fixed(r['score'], *r['score_ci'])} for {_price(r['algorithm'], rows)}" for r in ranked]
    bc = next(r for r in ranking["rows"] if r["algorithm"] == "bc")
    named = {r["algorithm"] for r in ranking["rows"]}
    falling, known = leaderboard.unconverged([r for r in rows if r["algorithm"] in named])
    mended = [_name(s.task) for s in page.sentences if "noise_injection: on the line" in s.words and "compounds" in s.words]
    lessened = [_name(s.task) for s in page.sentences if "noise_injection: less" in s.words and _name(s.task) not in mended]
    asked = [_name(s.task) for s in page.sentences if "dagger: less" in s.words]
    return (
        f"**Which repair, at which price?** Score over the {len(where)} settings of {suite} that all of these ran on, "
        f"{ranked[0]['seeds']} seeds, 0 random, 1 expert: {'; '.join(best)}; `bc` {fixed(bc['score'], *bc['score_ci'])}; "
        f"{falling} of {known} rows there had not converged by the boards' rule. "
        f"On robots noise in the demonstrations brings A down to the line on {_listed(mended)} and lessens it on {_listed(lessened)}; "
        f"`dagger`, at the same few labels, is clearly below `bc` on {_listed(asked) if asked else 'none'}."
    )


def _price(algorithm: str, rows: Sequence[dict[str, Any]]) -> str:
    """Share of the labels that were spent, and takeovers, over the settings."""
    mine = [r for r in rows if r["algorithm"] == algorithm]
    shares = [100 * r["labels"] / r["budget"] for r in mine]
    low, high = f"{min(shares):.0f}", f"{max(shares):.0f}"
    taken = [r["takeovers"] for r in mine]
    said = f"{low if low == high else f'{low} to {high}'} % of the labels"
    return said + (f" and {min(taken):.0f} to {max(taken):,.0f} takeovers" if max(taken) else "")


def agrees(page: compounding_page.Page, rows: Sequence[Any], ran: Sequence[Ran]) -> str:
    """Whether measurement and theory agree: the checks, the closed forms, and the bounds on learners in 0-1 deployment."""
    closed = [r for r in rows if isinstance(r, theory.Row) and r.kind == "closed form"]
    holds = sum(r.verdict == "HOLDS" for r in closed)
    first = next(r for r in closed if r.task.startswith("recoverable") and "BC" in r.algorithm)
    asked = next(r for r in closed if r.task.startswith("recoverable") and "DAgger" in r.algorithm)
    verdicts = checks.counts(ran)
    wrong = [r.short for r in ran if r.failed]
    snapped = [r for r in page.rows if r.target is not None]
    violated = sum(r.b2 == "VIOLATED" or r.b0.startswith("VIOLATED") for r in snapped)
    return (
        f"**Does it agree with the theory?** {holds} of {len(closed)} closed forms hold: where a slip can be undone the cost grows as H to "
        f"the {fixed(*first.slope[:3], places=2)} for training on the expert's states ({first.predicted:.2f} predicted) and to the "
        f"{fixed(*asked.slope[:3], places=2)} for training on one's own ({asked.predicted:.2f}); {first.n} at the largest H. "
        f"Of {len(snapped)} "
        f"learners in 0-1 deployment {violated or 'none'} violate Ross and Bagnell's bounds. {len(ran)} checks with "
        f"{sum(verdicts.values())} claims: {f'{_listed(wrong)} came' if wrong else 'no theorem came'} out against what is proved; "
        f"{verdicts.get('NOT REPLICATED', 0)} empirical claims did not replicate."
    )


def answers(page: compounding_page.Page, repaired: tuple[Sequence[Record], str], rows: Sequence[Any], ran: Sequence[Ran]) -> str:
    """The three answers as a Markdown list."""
    return "\n".join(f"- {said}" for said in (compounds(page), repairs(page, *repaired), agrees(page, rows, ran)))


def board(records: Sequence[Record]) -> str:
    """One table of the leaderboard: what `ilbench leaderboard quick --tasks hopper` says of it."""
    groups = selection.of_tasks(leaderboard.shown_groups(records), EXAMPLE)
    return render(leaderboard.of(groups).tables[-1:], WIDTH)


def closed_forms(rows: Sequence[Any]) -> str:
    """The first table of `ilbench theory quick`, as wide as the README."""
    return render(theory.tables(list(rows))[:1], WIDTH)


def verdict(ran: Ran, pictures: Sequence[str]) -> str:
    """How one check came out, in a line of Markdown, with its picture where there is one."""
    said = ", ".join(f"{n} {v}" for v, n in checks.counts([ran]).items())
    drawn = f"\n\n![{ran.short}](../results/{checks.FOLDER}/{ran.id}.svg)" if f"{ran.id}.svg" in pictures else ""
    return f"`ilbench theory {ran.short}`: {said}. Every claim: [CHECKS.md](../results/{checks.FOLDER}/CHECKS.md).{drawn}"
