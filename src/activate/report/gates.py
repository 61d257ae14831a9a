"""Each gate's verdict about one candidate, worked out again from what is stored, with the figures that it weighed.

The stored decision says which gate decided; the gates before it let the candidate pass, the gates after it were not
asked. The figures are those at the instant of the decision, except for the models' own rows, which have no history:
those are told "as it is now".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activate.campaign import Campaign, MessageGuard
from activate.policy import TimeWindow
from activate.report.caps import Candidate, History
from activate.report.localtime import next_opening, window_at
from activate.report.person import Person
from activate.report.phrases import AT_THE_STEP, PHRASES
from activate.report.state import Row
from activate.report.story import Answer, Verdict
from activate.report.text import local, number, span, when
from activate.tables import APPROVALS
from activate.words import format_limit

Told = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """A candidate at the instant of its decision. `campaign` is the version that the entry follows."""

    person: Person
    campaign: Campaign
    entry: Row
    step: int
    decision: Row
    expires_at: dt.datetime
    history: History

    @property
    def at(self) -> dt.datetime:
        """When it was decided."""
        instant: dt.datetime = self.decision["decided_at"]
        return instant

    @property
    def decided(self) -> str:
        """The gate that decided."""
        return str(self.decision["gate"])

    @property
    def reason(self) -> str:
        """The reason, from the vocabulary."""
        return str(self.decision["reason"])


def verdicts(asked: Asked) -> tuple[Verdict, ...]:
    """Every gate's verdict in the order in which they are asked."""
    if asked.decided not in AT_THE_STEP:  # `restarted` is said from outside, before any gate is asked
        evidence = asked.decision["evidence"]
        told = Verdict(asked.decided, "decided", PHRASES[asked.reason].meaning, {"evidence": evidence})
        return (told, *(Verdict(gate, "not_asked", "") for gate in AT_THE_STEP))
    last = AT_THE_STEP.index(asked.decided)
    found = []
    for place, gate in enumerate(AT_THE_STEP):
        answer: Answer = "passed" if place < last else "decided" if place == last else "not_asked"
        text, facts = _GATES[gate](asked, answer == "decided") if answer != "not_asked" else ("", {})
        found.append(Verdict(gate, answer, text, facts))
    return tuple(found)


def _active(asked: Asked, decided: bool) -> Told:
    until = asked.campaign.active.until
    facts = {"until": until}
    if decided:
        gone = asked.reason == "campaign_removed"
        text = "the campaign's file was gone" if gone or until is None else f"the campaign ended at {when(until)}"
        return text, facts
    return (f"the campaign runs until {when(until)}" if until else "the campaign has no end"), facts


def _exception(asked: Asked, decided: bool) -> Told:
    if decided:
        evidence = asked.decision["evidence"]
        event = asked.person.event(evidence) if evidence else None
        if event is None:
            return f"the event {evidence} happened after the entry (its row is gone since)", {"evidence": evidence}
        text = f"{event['name']} {evidence} happened at {when(event['time'])}, loaded at {when(event['loaded'])}"
        return text, {"evidence": evidence, **event}
    if not asked.campaign.exceptions:
        return "the campaign names no exception events", {}
    names, since = [], []
    for exception in asked.campaign.exceptions:
        names.append(exception.event + (f" with the same {exception.match}" if exception.match else ""))
        event = asked.person.exception_event(exception, asked.entry, asked.at)
        if event is not None:
            since.append(f"{exception.event} {event['id']} has come to light since")
    text = f"no {' and no '.join(names)} from the entry until {when(asked.at)}"
    return "; ".join([text, *since]), {"events": [found.event for found in asked.campaign.exceptions], "since": since}


def _audience(asked: Asked, decided: bool) -> Told:
    audience, enter = asked.campaign.audience, asked.campaign.enter
    if not audience.recheck and not decided:
        return "not asked again at the steps (audience.recheck is false)", {}
    segments = [*audience.in_, *audience.not_in, *([enter.segment] if enter.segment else [])]
    now = {name: asked.person.is_member(name) for name in dict.fromkeys(segments)}
    if not now:
        return "the campaign asks for no segment", {}
    return membership(now), {"member_now": now}


def membership(now: dict[str, bool | None]) -> str:
    """Which segments hold the person: `as the models are now: in vip, not in churned`."""
    words = {True: "in", False: "not in", None: "no such model:"}
    return "as the models are now: " + ", ".join(f"{words[found]} {name}" for name, found in now.items())


def _consent(asked: Asked, decided: bool) -> Told:
    profile = asked.person.profile
    channels = asked.campaign.steps[asked.step - 1].channels if asked.step <= len(asked.campaign.steps) else ()
    reach = [found for name in channels for found in profile.reach if found.channel == name]
    facts: dict[str, Any] = {"profiles": profile.rows, "reach": reach, "channel": asked.decision["channel"]}
    if profile.rows != 1:
        now = f"as the models are now, there are {profile.rows} rows for this key"
    else:
        said = (
            f"{found.channel} {'has an address' if found.has_address else 'has no address'}"
            f"{'' if not found.has_address else ' and consent' if found.has_consent else ' but no consent'}"
            for found in reach
        )
        now = "as the profile is now: " + ", ".join(said)
    if asked.reason == "address_suppressed" and decided:
        now += "; every address with consent was suppressed (table suppressions)"
    return (now if decided else f"{asked.decision['channel'] or 'a channel'} was chosen; {now}"), facts


def _window(asked: Asked, decided: bool) -> Told:
    window = asked.campaign.window(asked.person.project.policy.time_window)
    if window is None:
        exempt = asked.campaign.class_ == "transactional"
        why = "messages are transactional" if exempt else "the rules name no time window"
        return f"no window applies: {why}", {}
    if asked.reason in ("zone_missing", "zone_invalid"):
        name = asked.person.profile.time_zone
        return f"{PHRASES[asked.reason].meaning}{f' ({name!r})' if name else ''}", {"time_zone": name}
    zone = asked.decision["zone"] if decided and asked.decision["zone"] else window_zone(asked, window)
    return _opening(asked, window, zone)


def window_zone(asked: Asked, window: TimeWindow) -> str:
    """The zone in which the window is read: its own, or the person's."""
    return asked.person.zone(asked.campaign) if window.zone == "recipient" else window.zone


def hours(window: TimeWindow, zone: str) -> str:
    """`open 09:00-21:00 Europe/Berlin`, with the weekdays where they are not all seven."""
    days = f" on {', '.join(window.weekdays)}" if len(window.weekdays) < 7 else ""
    return f"open {window.open:%H:%M}-{window.close:%H:%M} {zone}{days}"


def _opening(asked: Asked, window: TimeWindow, zone: str) -> Told:
    opens, held = next_opening(asked.at, window, zone), window_at(asked.at, window, zone)
    facts = {"zone": zone, "local_time": local(asked.at, zone), "open": held is not None, "opens_at": opens}
    if held is not None:
        text = f"{hours(window, zone)}; it was {local(asked.at, zone)} there, open until {local(held[1], zone)}"
        evidence = asked.decision["evidence"] if asked.reason == "superseded" else None
        return f"{text}; the entry {evidence} went instead" if evidence else text, {**facts, "closes_at": held[1]}
    again = f"opens {local(opens, zone)} ({when(opens)})" if opens else "does not open again"
    return f"{hours(window, zone)}; it was {local(asked.at, zone)} there: closed, {again}", facts


def _expiry(asked: Asked, decided: bool) -> Told:
    facts = {"expires_at": asked.expires_at}
    if decided and asked.reason == "expired_in_quiet_hours":
        return f"the step expires at {when(asked.expires_at)}, and the window is closed until then", facts
    left = span(asked.expires_at - asked.at)
    return f"expires at {when(asked.expires_at)}, {left} {'before' if decided else 'after'} the decision", facts


def _caps(asked: Asked, decided: bool) -> Told:
    if asked.campaign.class_ == "transactional":
        return "transactional messages pass frequency caps", {}
    if asked.decision["channel"] is None:
        return "the channel is not recorded, so caps cannot be counted again", {}
    counts = asked.history.count(
        asked.person.project.policy.frequency_caps, candidate(asked), asked.at, asked.person.cap_zone
    )
    facts: dict[str, Any] = {"caps": [count.facts for count in counts]}
    told = "; ".join(count.text for count in counts) or "no frequency cap applies"
    if decided:
        rule, observed = asked.decision["rule"], asked.decision["observed"]
        facts.update(rule=rule, observed=observed, evidence=asked.decision["evidence"])
        ahead = ""
        if asked.decision["evidence"]:
            ahead = f", among them {asked.decision['evidence']} of the same tick, which ranks higher"
            if not asked.history.has(asked.decision["evidence"]):
                ahead += " and was then held back by its campaign's guard"
        return f"{rule} was full: {observed} counted{ahead}; {told}", facts
    return told, facts


def _guard(asked: Asked, decided: bool) -> Told:
    name, run_id = asked.campaign.campaign, asked.decision["run_id"]
    if decided:
        limit, observed = int(asked.decision["evidence"]), asked.decision["observed"]
        text = f"the campaign would have sent {number(observed)} messages in that tick, and its guard allows {number(limit)}"
        return f"{text}: none of them went out", {"limit": limit, "observed": observed}
    # The guard is that of the campaign's file, whichever version the entry follows.
    found = next((each.guard for each in asked.person.project.campaigns if each.campaign == name), None)
    if found is None:
        return "the campaign has no guard", {}
    allowed = format_limit(found.max_messages)
    used = asked.person.state.rows(APPROVALS, name=name, subject="campaign", status="used", run_id=run_id)
    if used and asked.decision["outcome"] == "send":
        most, approval = used[0]["ceiling"], used[0]["approval_id"]
        text = f"there were more messages than its guard allows; the approval {approval} let up to {number(most)} pass"
        return text, {"guard": allowed, "approval_id": approval, "ceiling": most}
    return f"the campaign's guard allows {allowed_text(found)} in a tick", {"guard": allowed}


def allowed_text(guard: MessageGuard) -> str:
    """`10,000 messages`, or `messages to 5% of the profiles`."""
    limit = guard.max_messages
    if isinstance(limit, int):
        return f"{number(limit)} {'message' if limit == 1 else 'messages'}"
    return f"messages to {format_limit(limit)} of the profiles"


def candidate(asked: Asked) -> Candidate:
    """The candidate as caps rank it."""
    due_at = asked.decision["due_at"] or asked.at
    return Candidate(asked.campaign, asked.decision["channel"], due_at, asked.entry["entry_id"])


def _control(asked: Asked, decided: bool) -> Told:
    if not decided:
        return "the person is in no control group", {}
    share = asked.campaign.control
    if asked.reason == "global_control_group":
        share = asked.person.project.policy.global_control
    size = f" ({share * 100:.6g}% of people)" if share else ""
    return f"{PHRASES[asked.reason].meaning}{size}", {"share": share}


def _send(asked: Asked, decided: bool) -> Told:  # noqa: ARG001  # one signature for all gates
    message = asked.decision["message_id"]
    return f"the {asked.decision['channel']} message {message} was queued", {"message_id": message}


_GATES: dict[str, Callable[[Asked, bool], Told]] = {
    "active": _active,
    "exception": _exception,
    "audience": _audience,
    "consent": _consent,
    "window": _window,
    "expiry": _expiry,
    "caps": _caps,
    "guard": _guard,
    "control": _control,
    "send": _send,
}
