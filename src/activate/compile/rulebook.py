"""The rules as small tables, so that one statement decides for every campaign at once.

`tick_steps` has one row per campaign version and step, `tick_doors` one per campaign, `tick_arms` one per variant,
`tick_requirements` one per segment asked about, `tick_exceptions` one per version and exception.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from fractions import Fraction

import pyarrow as pa

from activate.campaign import Campaign, ExceptionEvent, ReEnterAfter, Step
from activate.compile.world import Moment, Version, World
from activate.decision import REASONS, VERDICTS, verdict
from activate.plan import Load
from activate.policy import TimeWindow
from activate.words import parse_duration

_TYPES = {
    "TEXT": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
}
# Greater than any hash, for a share of 100%.
_ABOVE_ALL = "g"


def table(columns: dict[str, str], rows: list[dict[str, object]]) -> pa.Table:
    """Return rows as an Arrow table with these column types (TEXT, BIGINT, BOOLEAN, TIMESTAMP)."""
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
    return pa.Table.from_pylist(rows, schema=schema)


def cut(share: Fraction | float) -> str:
    """Return the text that md5 hex digests are compared with: those below it are the given share of all."""
    scaled = int(Fraction(share) * 2**128)
    return _ABOVE_ALL if scaled >= 2**128 else f"{scaled:032x}"


def steps(world: World, moment: Moment) -> Load:
    """One row per campaign version and step: what the gates need to know."""
    columns = {
        "step_id": "BIGINT", "campaign": "TEXT", "campaign_version": "TEXT", "step": "BIGINT", "is_last": "BOOLEAN",
        "removed": "BOOLEAN",
        "ends_if_suppressed": "BOOLEAN", "campaign_order": "BIGINT", "priority": "BIGINT", "class": "TEXT",
        "is_transactional": "BOOLEAN", "counts": "BOOLEAN", "tags": "TEXT", "until": "TIMESTAMP",
        "wait_seconds": "BIGINT", "due_before": "TIMESTAMP", "wait_id": "TEXT", "expires_seconds": "BIGINT",
        "window_id": "TEXT", "window_zone": "TEXT", "fallback_zone": "TEXT", "suppress_unknown": "BOOLEAN",
        "drop_if_closed": "BOOLEAN", "held_scope": "TEXT", "wait_if_capped": "BOOLEAN", "template": "TEXT",
    }  # fmt: skip
    columns |= {f"channel_{number}": "TEXT" for number in range(most_channels(world))}
    columns |= {f"cap_{number}": "BOOLEAN" for number in range(len(world.caps))}
    rows = [row for version in world.versions for row in _step_rows(world, moment, version)]
    rows = [{"step_id": number} | row for number, row in enumerate(rows)]
    return Load("rules.steps", "The campaigns' steps as rows.", "tick_steps", table(columns, rows))


def most_channels(world: World) -> int:
    """The length of the longest channel list of any step."""
    return max((len(step.channels) for version in world.versions for step in version.definition.steps), default=1)


def _step_rows(world: World, moment: Moment, version: Version) -> Iterator[dict[str, object]]:
    campaign = version.definition
    order = sorted(v.definition.campaign for v in world.versions).index(campaign.campaign)
    window = world.window(campaign)
    for number, step in enumerate(campaign.steps, start=1):
        is_last = number == len(campaign.steps)
        row: dict[str, object] = {
            "campaign": campaign.campaign,
            "campaign_version": version.stored,
            "step": number,
            "is_last": is_last,
            "removed": version.removed,
            "ends_if_suppressed": is_last or campaign.on_suppressed == "exit",
            "campaign_order": order,
            "priority": campaign.priority,
            "class": campaign.class_,
            "is_transactional": campaign.class_ == "transactional",
            "counts": campaign.counts,
            "tags": json.dumps(list(campaign.tags)),
            "until": campaign.active.until,
            "expires_seconds": step.expires_seconds,
            "window_id": world.window_id(campaign),
            "window_zone": _named_zone(window),
            "fallback_zone": world.fallback_zone(campaign),
            "suppress_unknown": window is not None and window.unknown_zone == "suppress",
            "drop_if_closed": window is not None and window.when_closed == "drop",
            "held_scope": None if window is None or window.held == "all" else window.held,
            "wait_if_capped": campaign.when_capped == "wait",
            "template": step.template,
        }
        row |= _wait(moment, step)
        row |= {f"channel_{place}": channel for place, channel in enumerate(step.channels)}
        row |= {f"cap_{place}": _fits(world, place, campaign) for place in range(len(world.caps))}
        yield row


def _named_zone(window: TimeWindow | None) -> str | None:
    return window.zone if window and window.zone != "recipient" else None


def _wait(moment: Moment, step: Step) -> dict[str, object]:
    if step.wait.seconds is None:
        return {"wait_id": str(step.wait)}
    seconds = step.wait.seconds
    return {"wait_seconds": seconds, "due_before": moment.effective - dt.timedelta(seconds=seconds)}


def _fits(world: World, place: int, campaign: Campaign) -> bool:
    """Whether a cap can apply to the campaign's messages; its channel filter is asked once the channel is known."""
    cap = world.caps[place]
    return (
        (cap.campaign is None or cap.campaign == campaign.campaign)
        and (cap.class_ is None or cap.class_ == campaign.class_)
        and (cap.tag is None or cap.tag in campaign.tags)
    )


def doors(world: World, moment: Moment) -> Load:
    """One row per campaign: how it lets people in and how it assigns them."""
    columns = {
        "campaign": "TEXT", "campaign_version": "TEXT", "on_retrigger": "TEXT", "is_journey": "BOOLEAN",
        "re_enter": "TEXT", "eligible_before": "TIMESTAMP", "once_per_tick": "BOOLEAN", "control_salt": "TEXT",
        "control_cut": "TEXT", "global_cut": "TEXT", "variant_salt": "TEXT", "trigger_window": "TEXT",
        "window_zone": "TEXT", "fallback_zone": "TEXT",
    }  # fmt: skip
    share = world.project.policy.global_control
    rows: list[dict[str, object]] = []
    for campaign in world.campaigns:
        again = campaign.re_enter
        after = again.after if isinstance(again, ReEnterAfter) else None
        exempt = share is None or campaign.class_ == "transactional"
        window = world.window(campaign)
        knows_all = window is None or window.unknown_zone != "suppress"
        rows.append(
            {
                "campaign": campaign.campaign,
                "campaign_version": campaign.version,
                "on_retrigger": campaign.on_retrigger,
                "is_journey": campaign.is_journey,
                "re_enter": again if isinstance(again, str) else "after",
                "eligible_before": None if after is None else moment.now - dt.timedelta(seconds=after),
                "once_per_tick": campaign.is_journey and again != "always" and after != 0,
                "control_salt": f"{campaign.campaign}:control|",
                "control_cut": "" if campaign.control is None else cut(campaign.control),
                "global_cut": "" if exempt or share is None else cut(share),
                "variant_salt": f"{campaign.campaign}:variant|",
                "trigger_window": world.trigger_windows.get(campaign.campaign),
                "window_zone": _named_zone(window),
                "fallback_zone": world.fallback_zone(campaign) if knows_all else None,
            }
        )
    return Load("rules.doors", "How each campaign lets people in.", "tick_doors", table(columns, rows))


def arms(world: World, _moment: Moment) -> Load:
    """One row per variant: the range of hashes that it takes."""
    columns = {"campaign": "TEXT", "variant": "TEXT", "from_hash": "TEXT", "below_hash": "TEXT"}
    rows: list[dict[str, object]] = []
    for campaign in world.campaigns:
        whole = sum(variant.weight for variant in campaign.variants)
        before = 0
        for variant in campaign.variants:
            upto = before + variant.weight
            rows.append(
                {
                    "campaign": campaign.campaign,
                    "variant": variant.name,
                    "from_hash": cut(Fraction(before, whole)),
                    "below_hash": cut(Fraction(upto, whole)),
                }
            )
            before = upto
    return Load("rules.arms", "The variants' hash ranges.", "tick_arms", table(columns, rows))


def requirements(world: World, _moment: Moment) -> Load:
    """One row per version, segment and moment: whether the person must (or must not) be in the segment."""
    columns = {
        "campaign": "TEXT", "campaign_version": "TEXT", "at_door": "BOOLEAN", "segment": "TEXT", "must": "BOOLEAN",
        "verdict": "BIGINT", "place": "BIGINT",
    }  # fmt: skip
    rows: list[dict[str, object]] = []
    for version in world.versions:
        campaign = version.definition
        current = any(campaign is here for here in world.campaigns) and version.stored == campaign.version
        for segment, must, reason in _asked(campaign):
            place = 1 if reason == "not_in_audience" else 2
            moments = [True] * (current and place == 1) + [False] * campaign.audience.recheck
            rows += [
                {
                    "campaign": campaign.campaign,
                    "campaign_version": version.stored,
                    "at_door": at_door,
                    "segment": segment,
                    "must": must,
                    "verdict": verdict(reason),
                    "place": place,
                }
                for at_door in moments
            ]
    return Load("rules.requirements", "The segments asked about.", "tick_requirements", table(columns, rows))


def _asked(campaign: Campaign) -> Iterator[tuple[str, bool, str]]:
    yield from ((segment, True, "not_in_audience") for segment in campaign.audience.in_)
    yield from ((segment, False, "not_in_audience") for segment in campaign.audience.not_in)
    if campaign.enter.segment is not None:
        yield campaign.enter.segment, campaign.enter.on == "enter", "left_segment"


def segments(world: World) -> list[str]:
    """The segments that some requirement or entry asks about and that still have a model, sorted."""
    found = {segment for version in world.versions for segment, _, _ in _asked(version.definition)}
    return sorted(segment for segment in found if segment in world.project.models)


def entry_segments(world: World) -> list[str]:
    """The segments whose changes are recorded: those that a campaign's entry names, sorted."""
    return sorted({campaign.enter.segment for campaign in world.campaigns if campaign.enter.segment is not None})


def verdicts(_world: World, _moment: Moment) -> Load:
    """One row per verdict: the vocabulary by number, since numbers are cheaper than words to carry along."""
    columns = {"verdict": "BIGINT", "reason": "TEXT", "outcome": "TEXT", "gate": "TEXT", "ends_always": "BOOLEAN"}
    rows: list[dict[str, object]] = [
        {
            "verdict": number,
            "reason": reason,
            "outcome": outcome,
            "gate": REASONS[reason].gate,
            "ends_always": outcome == "suppress" and REASONS[reason].ends_entry,
        }
        for number, (reason, outcome) in enumerate(VERDICTS)
    ]
    return Load("rules.verdicts", "The vocabulary of outcomes.", "tick_verdicts", table(columns, rows))


def distinct_exceptions(world: World) -> list[ExceptionEvent]:
    """The distinct exceptions of all versions, in a stable order; their place is their id."""
    found = {exception: None for version in world.versions for exception in version.definition.exceptions}
    return sorted(found, key=lambda exception: (exception.event, exception.match or "", exception.where or ""))


def late_exceptions(world: World) -> list[int]:
    """The ids of the exceptions that some campaign's file names: what audits look for."""
    named = {exception for campaign in world.campaigns for exception in campaign.exceptions}
    return [number for number, exception in enumerate(distinct_exceptions(world)) if exception in named]


def _cancelling(world: World) -> Iterator[tuple[Version, ExceptionEvent]]:
    """Each version with each of its exceptions; of versions that only audits ask about, those that are asked anyway."""
    asked = set(distinct_exceptions(world))
    for version in (*world.versions, *world.past_versions):
        yield from ((version, exception) for exception in version.definition.exceptions if exception in asked)


def exceptions(world: World, _moment: Moment) -> Load:
    """One row per version and exception. `secondary` names a match property other than the entries' own."""
    columns = {
        "campaign": "TEXT", "campaign_version": "TEXT", "exception_id": "BIGINT", "needs_match": "BOOLEAN",
        "secondary": "TEXT",
    }  # fmt: skip
    ids = {exception: number for number, exception in enumerate(distinct_exceptions(world))}
    rows: list[dict[str, object]] = [
        {
            "campaign": version.definition.campaign,
            "campaign_version": version.stored,
            "exception_id": ids[exception],
            "needs_match": exception.match is not None,
            "secondary": None if exception.match == version.match_property else exception.match,
        }
        for version, exception in _cancelling(world)
    ]
    return Load("rules.exceptions", "The exceptions as rows.", "tick_exceptions", table(columns, rows))


def secondary_matches(world: World) -> list[str]:
    """The match properties that have to be read from the entry's context, sorted."""
    return sorted(
        {
            exception.match
            for version, exception in _cancelling(world)
            if exception.match is not None and exception.match != version.match_property
        }
    )


def longest_cap(world: World) -> int:
    """How many seconds back any cap looks: the longest rolling period, or the longest local day, week or month."""
    calendar = {"calendar day": "2 days", "calendar week": "9 days", "calendar month": "33 days"}
    spans = [cap.rolling_seconds or parse_duration(calendar[cap.per]) for cap in world.caps]
    return max(spans, default=0)
