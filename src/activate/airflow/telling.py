"""What a sync would do and did, as lines of a task's log: counts, reasons and codes; no person's key, no address."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator

from activate.audience_plan import AudiencePlan, AudienceReport
from activate.report.audience_view import in_words
from activate.report.text import plural

Line = tuple[int, str]
"""A level of `logging`, and a sentence."""


def plan_lines(plan: AudiencePlan) -> Iterator[Line]:
    """What will be sent, what is withheld and how to release it, and who cannot be sent or is left out."""
    name, found = plan.audience, plan.figures
    kinds = {"added": found.added, "updated": found.updated, "removed": found.removed,
             "removed for an exclusion or a consent": found.suppressed}  # fmt: skip
    if plan.is_first and plan.baselined:
        kinds.pop("added")
    held = [part.kind for part in plan.withheld]
    if "suppressed" in held:
        held.append("removed for an exclusion or a consent")
    parts = [f"{people:,} {kind}" for kind, people in kinds.items() if people and kind not in held]
    yield logging.INFO, f"{name}: to send: {', '.join(parts) or 'nothing'}; {found.unchanged:,} unchanged"
    if plan.baselined:
        yield logging.INFO, f"{name}: {plan.baselined:,} taken for acknowledged, without being sent"
    for part in plan.withheld:
        told = f"{name}: {part.people:,} {part.kind} withheld: {part.reason}; to release: {part.release}"
        yield logging.WARNING, told
    for reason, count in found.invalid.items():
        yield logging.WARNING, f"{name}: {plural(count, 'row')} cannot be sent: {_worded(reason)}"
    for reason, count in found.left_out.items():
        yield logging.INFO, f"{name}: {plural(count, 'person', 'people')} left out: {_worded(reason)}"
    if found.refused:
        letters = f"{plural(found.refused, 'dead letter')}, not sent again until the row changes"
        yield logging.WARNING, f"{name}: {letters}; to try again: dbt-activate retry --audience {name}"


def report_lines(report: AudienceReport) -> Iterator[Line]:
    """What became of what was sent, by status and by error code, and why it stopped, if it did."""
    name = report.audience
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(report.outcomes.items()) if count)
    if counts:
        counts += f", in {plural(report.requests, 'request')}"
    yield logging.INFO, f"{name} → {report.destination}: {counts or 'nothing sent'}"
    for code, count in sorted(report.codes.items()):
        yield logging.WARNING, f"{name}: {plural(count, 'row')}: {code}"
    if report.error:
        yield logging.WARNING, f"{name}: {report.error}"


def codes(report: AudienceReport) -> str:
    """The error codes with their counts, the commonest first."""
    told = sorted(report.codes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{code}: {count:,}" for code, count in told) or "no code"


def refusal(report: AudienceReport, allowed: float, table: str, now: dt.datetime) -> str:
    """Why a task fails whose destination refused too much, and where to look who it is about."""
    refused = report.outcomes.get("rejected", 0) + report.outcomes.get("failed", 0)
    told = (
        f"{report.audience}: {report.destination} refused {refused:,} of {report.handed_over:,} changes "
        f"({_percent(report.refused_share)}), more than max_rejected allows ({_percent(allowed)}): {codes(report)}. "
        f"Who they are: {table}, audience = '{report.audience}' and recorded_at = '{now:%Y-%m-%d %H:%M:%S.%f}'"
    )
    return f"{told}. Besides, it stopped: {report.error}" if report.error else told


def _worded(reason: str) -> str:
    words = in_words(reason)
    return f"{words} ({reason})" if words != reason else reason


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"
