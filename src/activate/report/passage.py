"""One entry's passage through its campaign, step by step: what each tick answered, what was sent, what comes next."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activate.campaign import Campaign, Step
from activate.report.caps import History
from activate.report.gates import Asked, verdicts
from activate.report.localtime import wait_over
from activate.report.person import Person
from activate.report.phrases import CODES, PHRASES, STATUSES
from activate.report.state import Row
from activate.report.story import Answered, Attempt, EntryStory, Fate, MessageStory, StepStory
from activate.report.text import when

_FATES: dict[str, Fate] = {"send": "sent", "defer": "deferred", "suppress": "suppressed", "withhold": "withheld"}


@dataclass(frozen=True)
class Passage:
    """An entry with all its rows. `campaign` is the version that it follows; None when no definition of it is left."""

    person: Person
    campaign: Campaign | None
    entry: Row
    decisions: Sequence[Row]
    messages: Sequence[Row]
    deliveries: Sequence[Row]
    audits: Sequence[Row]
    history: History
    as_of: dt.datetime


def entry_story(passage: Passage) -> EntryStory:
    """Tell one entry: why the person came in, and every step so far."""
    entry = passage.entry
    over = any(row["ends_entry"] for row in passage.decisions)
    steps = _steps(passage, over)
    context = json.loads(entry["context"]) if entry["context"] else {}
    return EntryStory(
        entry_id=entry["entry_id"],
        occurrence_id=entry["occurrence_id"],
        entered_at=entry["entered_at"],
        seen_at=entry["recorded_at"],
        because=_because(passage),
        variant=entry["variant"],
        control_group=entry["control_group"],
        match_key=entry["match_key"],
        campaign_version=entry["campaign_version"],
        is_open=not over and any(step.fate in ("waiting", "deferred") for step in steps),
        steps=steps,
        notes=tuple(_note(row) for row in passage.audits),
        context=context if isinstance(context, dict) else {"row": context},
    )


def _because(passage: Passage) -> str:
    enter = passage.campaign.enter if passage.campaign else None
    if enter is None or enter.trigger:
        return f"{enter.trigger if enter else 'an occurrence'} {passage.entry['occurrence_id']}"
    return f"{'left' if enter.on == 'exit' else 'entered'} the segment {enter.segment}"


def _note(row: Row) -> str:
    if row["kind"] == "late_exception":
        return (
            f"The exception event {row['evidence']} came to light at {when(row['recorded_at'])}, after the message was "
            "decided: loaded in time, it would have stopped it."
        )
    return f"{row['kind']}: {row['evidence']}, found at {when(row['recorded_at'])}"


def _steps(passage: Passage, over: bool) -> tuple[StepStory, ...]:
    defined = passage.campaign.steps if passage.campaign else ()
    anchor: dt.datetime = passage.entry["entered_at"]
    told: list[StepStory] = []
    last_step = max([len(defined), *(row["step"] for row in passage.decisions)], default=0)
    for number in range(1, last_step + 1):
        answers = [row for row in passage.decisions if row["step"] == number]
        if not answers and (over or number > len(defined)):
            break
        step = defined[number - 1] if number <= len(defined) else None
        told.append(_step(passage, number, step, anchor, answers))
        if not answers or answers[-1]["outcome"] == "defer":
            break
        anchor = answers[-1]["decided_at"]
    return tuple(told)


def _step(passage: Passage, number: int, step: Step | None, anchor: dt.datetime, rows: Sequence[Row]) -> StepStory:
    zone = passage.person.zone(passage.campaign) if passage.campaign else "UTC"
    due_at = rows[-1]["due_at"] if rows and rows[-1]["due_at"] else wait_over(anchor, step.wait, zone) if step else None
    expires_at = _expires_at(passage, step, anchor)
    if not rows:
        text = _waiting(passage, step, due_at)
        return StepStory(number, "waiting", text, None, due_at, expires_at, None, (), (), None)
    last = rows[-1]
    asked = None
    if passage.campaign is not None and expires_at is not None:
        asked = Asked(passage.person, passage.campaign, passage.entry, number, last, expires_at, passage.history)
    message = _message(passage, last["message_id"])
    return StepStory(
        step=number,
        fate=_FATES[last["outcome"]],
        text=_outcome(last, message),
        change=PHRASES[last["reason"]].change or None,
        due_at=due_at,
        expires_at=message.expires_at if message else expires_at,
        retry_at=last["retry_at"] if last["outcome"] == "defer" else None,
        verdicts=verdicts(asked) if asked else (),
        answers=tuple(_answered(row) for row in rows),
        message=message,
    )


def _expires_at(passage: Passage, step: Step | None, anchor: dt.datetime) -> dt.datetime | None:
    if step is None or passage.campaign is None:
        return None
    expires_at = anchor + dt.timedelta(seconds=step.expires_seconds)
    until = passage.campaign.active.until
    return min(expires_at, until) if until else expires_at


def _waiting(passage: Passage, step: Step | None, due_at: dt.datetime | None) -> str:
    if due_at is None:
        return "waits"
    wait = f"wait: {step.wait}" if step else "wait"
    settle = dt.timedelta(seconds=passage.person.project.policy.scan.settle)
    if due_at + settle > passage.as_of:
        return f"due at {when(due_at + settle)} ({wait}); the first tick from then on decides"
    return f"due since {when(due_at + settle)} ({wait}); the next tick decides"


def _outcome(row: Row, message: MessageStory | None) -> str:
    meaning = PHRASES[row["reason"]].meaning
    if row["outcome"] == "send":
        status = message.text if message else "the message's row is missing"
        return f"a message by {row['channel']} was decided at {when(row['decided_at'])}: it {status}"
    if row["outcome"] == "defer":
        again = f"expected to pass at {when(row['retry_at'])}" if row["retry_at"] else "no time is known"
        return f"held back since {when(row['decided_at'])}: {meaning}; asked again at every tick, {again}"
    if row["outcome"] == "withhold":
        return f"held back for good at {when(row['decided_at'])}: {meaning}"
    return f"not sent, decided at {when(row['decided_at'])}: {meaning}"


def _answered(row: Row) -> Answered:
    names = Answered.__dataclass_fields__
    values: dict[str, Any] = {name: row[name] for name in names}
    return Answered(**values)


def _message(passage: Passage, message_id: str | None) -> MessageStory | None:
    row = next((found for found in passage.messages if found["message_id"] == message_id), None)
    if row is None:
        return None
    names = Attempt.__dataclass_fields__
    # A claim and its outcome can carry one instant, so the order is: attempt, then the claim first.
    found = sorted(
        (delivery for delivery in passage.deliveries if delivery["message_id"] == message_id),
        key=lambda delivery: (delivery["attempt"], delivery["status"] != "claimed", delivery["recorded_at"]),
    )
    attempts = tuple(Attempt(**{name: delivery[name] for name in names}) for delivery in found)
    status, text = _status(attempts)
    return MessageStory(
        row["message_id"], row["channel"], row["provider"], row["queued_at"], row["expires_at"], row["send_by"],
        status, text, attempts,
    )  # fmt: skip


def _status(attempts: tuple[Attempt, ...]) -> tuple[str, str]:
    if not attempts:
        return "queued", STATUSES["queued"]
    last = attempts[-1]
    text = f"{STATUSES[last.status]} ({last.provider}, {when(last.recorded_at)})"
    if last.error_code:
        text += f": {CODES.get(last.error_code, last.error_code)}"
    if last.status == "failed":
        text += "; nothing more will be tried" if last.final else "; it will be tried again"
    return last.status, text
