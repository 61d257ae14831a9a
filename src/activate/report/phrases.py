"""The closed vocabulary in the words of people: what each reason means, and what would have to change.

The tests hold this list equal to the one in docs/rules.md, so a reason without a story cannot come into being.
"""

from __future__ import annotations

from dataclasses import dataclass

from activate.decision import GATES

# The first two gates stand at the door; the others are asked when a step is due.
AT_THE_STEP = GATES[2:]


@dataclass(frozen=True)
class Phrase:
    """`meaning` completes "not sent: …" (or "sent: …"); `change` says what would have led to another answer."""

    meaning: str
    change: str


PHRASES: dict[str, Phrase] = {
    "trigger_too_late": Phrase(
        "what happened was too old when a tick first saw it",
        "Load the trigger's rows sooner, or raise `max_lateness` of the campaign or the policy.",
    ),
    "not_in_audience": Phrase(
        "the campaign's audience does not hold the person",
        "The person must be in every segment of `audience.in` and in none of `audience.not_in`.",
    ),
    "already_waiting": Phrase(
        "an earlier occurrence is still waiting for its first step",
        "Nothing: the earlier one is on its way. `on_retrigger: restart` or `stack` would treat the new one otherwise.",
    ),
    "not_re_eligible": Phrase(
        "the campaign may not reach the person again yet",
        "`re_enter` decides that: a shorter `after`, or `always`, lets people in again sooner.",
    ),
    "restarted": Phrase(
        "a later occurrence took its place",
        "Nothing: the later occurrence is on its way (`on_retrigger: restart`).",
    ),
    "campaign_ended": Phrase(
        "the campaign was over before the step could be sent",
        "A later `active.until`, or a shorter wait.",
    ),
    "campaign_removed": Phrase(
        "the campaign's file was removed",
        "Put the campaign's file back; new occurrences can enter then.",
    ),
    "exception_event": Phrase(
        "an exception event happened first",
        "Nothing: the person did what makes the message pointless. The campaign's `exceptions` list those events.",
    ),
    "left_segment": Phrase(
        "the segment that brought the person in no longer holds",
        "`audience: {recheck: false}` would let the entry go on all the same.",
    ),
    "no_profile": Phrase(
        "the profiles model has no row for the person",
        "The profiles model must have a row with this key.",
    ),
    "duplicate_profile": Phrase(
        "the profiles model has several rows for the person",
        "The profiles model must have one row per key; a unique test in dbt finds the others.",
    ),
    "unreachable": Phrase(
        "there is no address on any channel of the step",
        "The profile needs an address on one of the step's channels, or the step needs another channel.",
    ),
    "no_consent": Phrase(
        "no channel that has an address has consent",
        "The person must give consent on a channel that they can be reached on.",
    ),
    "address_suppressed": Phrase(
        "every address that has consent is suppressed: it does not exist any more, or its owner opted out with the provider",
        "A new address, a later registration (push), or the person's own START or resubscription (table `suppressions`).",
    ),
    "zone_missing": Phrase(
        "the profile has no time zone",
        "Give the profile a time zone, or name one in `time_window.unknown_zone`.",
    ),
    "zone_invalid": Phrase(
        "the profile's time zone is not an IANA name",
        "Write the profile's zone as an IANA name such as Europe/Berlin, or name one in `time_window.unknown_zone`.",
    ),
    "window_closed": Phrase(
        "it was outside the local time window",
        "Wait for the window to open; `when_closed` says whether messages wait or are dropped.",
    ),
    "triggered_outside_window": Phrase(
        "what happened fell outside the local time window",
        "`triggered_outside: allow` lets people in whenever it happens; `when_closed` then says what becomes of messages "
        "that are due at night.",
    ),
    "superseded": Phrase(
        "another message that the window had held back took its place",
        "Nothing: the other one went on. `held: all` would let every one of them go on.",
    ),
    "expired": Phrase(
        "it came too late for the step's expiry",
        "A longer `expires`, or ticks that run more often.",
    ),
    "expired_in_quiet_hours": Phrase(
        "the local window opens only after the step's expiry",
        "A longer `expires`, or a wider time window.",
    ),
    "frequency_cap": Phrase(
        "a frequency cap was full",
        "Fewer other messages, a higher limit, a higher `priority`, or `when_capped: wait`.",
    ),
    "guard_messages": Phrase(
        "the campaign would have sent more messages at once than its guard allows",
        "Look at the campaign first. If so many are right, `dbt-activate approve campaign:NAME --messages N` lets up to N "
        "pass once; a higher `guard.max_messages` lets them pass always.",
    ),
    "control_group": Phrase(
        "the person is in the campaign's control group",
        "Nothing: the assignment is kept for good, so that the campaign's effect can be measured.",
    ),
    "global_control_group": Phrase(
        "the person is in the global control group",
        "Nothing: the assignment is kept for good. Transactional campaigns are exempt.",
    ),
    "ready": Phrase("every gate let it pass", ""),
}

ABSENCES: dict[str, Phrase] = {
    "no_tick": Phrase(
        "no tick has run with this campaign yet",
        "Run a tick. Only what happens after the campaign's launch counts, unless `enter.since` says otherwise.",
    ),
    "campaign_unknown": Phrase(
        "there is no campaign of this name, in the rules or in the state",
        "Check the name: it is the `campaign` of a file in rules/campaigns.",
    ),
    "campaign_gone": Phrase("the campaign's file is gone", "Put the campaign's file back."),
    "no_occurrence": Phrase(
        "the trigger model has no row for the person",
        "The model must have a row with this person's key.",
    ),
    "nothing_new": Phrase("every occurrence in the model has been dealt with", "A new occurrence."),
    "before_launch": Phrase(
        "it happened before the campaign was launched",
        "`enter.since` takes in occurrences from before the launch.",
    ),
    "before_since": Phrase("it happened before `enter.since`", "An earlier `enter.since`."),
    "before_active": Phrase("it happened before the campaign's `active.from`", "An earlier `active.from`."),
    "after_active": Phrase("it happened at or after the campaign's `active.until`", "A later `active.until`."),
    "where_false": Phrase(
        "the campaign's `where` is not true for it",
        "The values must fit `enter.where`; null fits nothing.",
    ),
    "in_future": Phrase("its time lies after the last tick", "The first tick after that time looks at it."),
    "not_loaded": Phrase("it was loaded after the last tick", "The next tick looks at it."),
    "missing_id": Phrase("the row has no id", "The trigger model must give every row an id."),
    "missing_time": Phrase("the row has no time", "The trigger model must give every row a time."),
    "behind_scan": Phrase(
        "its load time lies behind what ticks still read, so it must have come in after they had passed",
        "A longer `scan.overlap`, or a load time in the model that is the real one.",
    ),
    "awaiting_tick": Phrase(
        "nothing speaks against it: the next tick should let it in",
        "Run a tick.",
    ),
    "not_member": Phrase(
        "the segment does not hold the person", "The segment's model must have a row for this person."
    ),
    "member_at_launch": Phrase(
        "the person was in the segment before the campaign was launched",
        "Only people who enter later come in, unless `enter.since` says otherwise.",
    ),
    "never_left": Phrase("the person has not left the segment", "The person enters when they leave the segment."),
    "never_member": Phrase(
        "the person has never been in the segment, so cannot have left it",
        "The person must be in the segment and leave it.",
    ),
}

STATUSES: dict[str, str] = {
    "queued": "waits in the outbox for its delivery",
    "claimed": "was claimed, and its outcome is not recorded yet (a delivery is running, or was killed)",
    "accepted": "was accepted by the provider",
    "rejected": "was rejected by the provider, for good",
    "failed": "was not taken by the provider",
    "unknown": "may or may not have been taken: the provider's answer never came",
    "aborted": "was aborted before it was handed over",
    "expired": "was not handed over in time",
}

CODES: dict[str, str] = {
    "consent_withdrawn": "the person withdrew consent between the decision and the delivery",
    "address_suppressed": "the address was suppressed before it was to be delivered",
    "unreachable": "the address was gone when it was to be delivered",
    "no_profile": "the profile was gone when it was to be delivered",
    "render_error": "the template could not be rendered for this person",
    "template_abort": "the template itself called abort",
    "window_closed": "the local window had closed before it was delivered",
}
