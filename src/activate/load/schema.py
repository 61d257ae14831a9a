"""JSON Schemas of the rules files, for editors: made from the same models that read the files."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import SchemaSerializer, core_schema

from activate.audience import EXTERNAL_ID
from activate.audience import Audience as AudienceFile
from activate.campaign import Campaign
from activate.policy import Policy
from activate.request import Request

# By file: the model and what an editor shows as its title.
FILES: dict[str, tuple[type[BaseModel], str]] = {
    "activate": (Policy, "Activate: the project's policy (rules/activate.yml)"),
    "campaign": (Campaign, "Activate: a campaign (rules/campaigns/*.yml)"),
    "audience": (AudienceFile, "Activate: an audience (rules/audiences/*.yml)"),
    "request": (Request, "Activate: a request for a segment (rules/requests/*.yml)"),
}

_PATTERNS = {
    "30 minutes": r"^\s*\d+\s*(second|minute|hour|day|week)s?\s*$",
    "5%": r"^\s*(?!0+(\.0+)?\s*%)\d+(\.\d{1,4})?%\s*$",
    "10%": r"^\s*\d+(\.\d+)?%\s*$",
    "09:00": r"^([01]\d|2[0-3]):[0-5]\d$",
    "in 2 days at 10:00": (
        r"^\s*(\d+\s*(second|minute|hour|day|week)s?"
        r"|[Ii]n\s+\d+\s+days?\s+at\s+\d\d:\d\d|[Nn]ext\s+[A-Za-z]+\s+at\s+\d\d:\d\d)\s*$"
    ),
}

_HAPPENING = {
    "event": "The event's name.",
    "within": "Only so long ago, or less.",
    "since": "Only from this instant on.",
    "where": "What the event's properties have to be, by name.",
}

# What the models do not say themselves, by model and key.
_WORDS: dict[str, dict[str, str]] = {
    "Profiles": {
        "model": "The dbt model with one row per person.",
        "key": "The column that tells people apart; unique and never null.",
        "time_zone": "The column of IANA zone names such as Europe/Berlin.",
    },
    "Events": {
        "model": "The dbt model of events.",
        "id": "The column of the event's id.",
        "key": "The column of the person's key.",
        "name": "The column of the event's name, e.g. purchase.",
        "time": "The column of when it happened (UTC).",
        "loaded": "The column of when it reached the warehouse (UTC); default: `time`.",
    },
    "Channel": {
        "address": "The profile's column of the address; null or empty: cannot be reached.",
        "consent_values": "The texts of the consent column that mean yes.",
        "provider": "Who carries the channel: a name in `providers`.",
    },
    "TimeWindow": {
        "weekdays": "The days on which a window opens; default: all seven.",
        "when_closed": "When a message is due: `wait`: until it opens; `drop`: no message.",
        "triggered_outside": "When the trigger happened while it was closed: `allow`: no matter; `drop`: nobody enters by it.",
    },
    "FrequencyCap": {
        "limit": "At most so many messages in the period; at least 1.",
        "by": "`person`: each person's own messages; `address`: those of all profiles that share the address on `channel`.",
        "channel": "Only messages of this channel.",
        "tag": "Only messages of campaigns with this tag.",
        "campaign": "Only messages of this campaign.",
        "class": "Only messages of this class.",
    },
    "Scan": {"overlap": "How far each tick reads back, by load time, for rows that were committed late."},
    "Delivery": {
        "max_attempts": "How often a message that was definitely not taken is tried.",
        "resend_unknown": "Whether a message that may have been taken is handed over again.",
    },
    "State": {"schema": "The schema of Activate's own tables."},
    "Policy": {
        "profiles": "Where the people are.",
        "events": "Where the events are.",
        "channels": "The ways to reach people, by name.",
        "destinations": "Who holds audiences, by name: a `type` and its options (docs/destinations.md).",
        "providers": "Who carries messages, by name: a `type` and its options (docs/providers.md).",
        "time_window": "When people may be messaged.",
        "frequency_caps": "How many messages a person may get; all that apply must have room.",
        "global_control": "The share of people that marketing never messages, to measure what it does as a whole.",
        "scan": "How triggers are read.",
        "delivery": "How messages are handed over.",
        "state": "Where Activate keeps its own tables.",
    },
    "Active": {
        "from": "The first instant of the campaign's life.",
        "until": "The first instant (UTC) after it; a bare date is its midnight, so that day itself is no longer in it.",
    },
    "Enter": {
        "trigger": "The trigger model whose rows bring people in.",
        "segment": "The segment model whose changes bring people in.",
        "on": "Whether entering or leaving the segment counts.",
    },
    "Audience": {
        "in": "Segments that the person must be in.",
        "not_in": "Segments that the person must not be in.",
    },
    "AudienceFile": {
        "audience": "The audience's name, unique in the project.",
        "description": "What it is for.",
        "owner": "Who answers for it.",
        "segment": "The segment model whose members the destination is to hold.",
        "destination": "Who holds it: a name in `destinations` of rules/activate.yml.",
        "identify_by": "What the destination knows people by: `external_id` (their key), or a column, hashed where the destination asks for it.",
        "fields": "What is sent of each person: the destination's name for it, and a column of the segment or of the profiles.",
        "mode": "`mirror` adds, updates and removes; `upsert` never removes; `add_only` never updates either.",
        "first_run": "`send_all`, or `baseline`: the destination holds everybody already.",
        "on_new_mapping": "When `fields` or `identify_by` change: `ask` (updates are withheld until you say), `rebaseline` or `resend`.",
        "exclude": "Segments whose members are never in the audience, and are taken out of it.",
        "consent": "Only people who can be reached on this channel and agreed to it.",
        "control": "The share of people who are kept out, to measure what the audience does.",
        "split": "Parts of the audience by hash.",
        "priority": "Of several audiences of one `group`, a person is in the one with the highest priority only.",
        "group": "The audiences that share people out; default: those with a `priority` at the same destination.",
        "guard": "What may change at once.",
        "schedule": "A word for `dbt-activate sync --schedule WORD`; without it, every `run` syncs the audience.",
    },
    "Mapped": {
        "column": "A column of the segment, else of the profiles.",
        "value": "A constant.",
        "normalise": "Made uniform before it is sent or hashed (docs/audiences.md says what platforms ask for).",
        "country_code": "What a phone number's leading 0 stands for, e.g. `+49`.",
        "cast": "The type that it is sent as; a row whose value cannot be cast is invalid (docs/audiences.md says what is taken).",
        "hash": "Hashed after it was made uniform; what is a hash already stays as it is.",
    },
    "AudienceGuard": {
        "max_added": "More additions than this are withheld (not at the first run with a share).",
        "max_removed": "More removals than this are withheld.",
        "max_updated": "More updates than this are withheld.",
        "max_suppressed": "More removals because of `exclude` or `consent` than this are withheld (default: never).",
        "fresh": "Withhold everything while dbt's source freshness says that a source of the segment is stale.",
        "tested": "Withhold everything while a dbt test of the segment fails.",
        "max_rejected": "Where the destination refuses a larger share of the rows, the Airflow task fails.",
    },
    "Split": {
        "name": "The split's name, which decides who falls into which arm.",
        "arms": "The arms and their weights.",
        "take": "The arm that this audience takes.",
        "field": "The field that the arm's name is sent in.",
    },
    "ExceptionEvent": {
        "event": "The event's name.",
        "match": "A property that must be equal in the row that brought the person in and in the event.",
    },
    "Variant": {"name": "The arm's name.", "weight": "Its share, relative to the other arms' weights."},
    "Step": {
        "channels": "In the order of preference: the first on which the person can be reached is taken.",
        "template": "The template's name: rules/templates/NAME.CHANNEL.j2, or NAME.VARIANT.CHANNEL.j2.",
    },
    "MessageGuard": {
        "max_messages": "The most messages of one tick: a number, or a percentage of the profiles; with more than that, none "
        "goes out."
    },
    "Goal": {
        "event": "The event's name.",
        "within": "How long after the message it counts.",
        "value": "The event's property to add up.",
    },
    "Campaign": {
        "campaign": "The campaign's name, unique in the project.",
        "description": "What it is for.",
        "owner": "Who answers for it.",
        "class": "`transactional` passes windows and caps.",
        "tags": "Words that frequency caps can name.",
        "active": "When the campaign lives.",
        "enter": "Who enters.",
        "re_enter": "Whether people may enter again: `never`, `always`, or `{after: 7 days}`.",
        "on_retrigger": "What a second trigger does while the first entry still waits.",
        "audience": "Who may enter and stay.",
        "exceptions": "Events that end an entry.",
        "control": "The share of people who get nothing, to measure what the campaign does.",
        "variants": "The arms of an experiment.",
        "steps": "The messages, in order.",
        "when_capped": "`drop`: no message; `wait`: until there is room.",
        "guard": "What keeps a mistake from reaching everybody: too many messages at once are all held back.",
        "on_suppressed": "What becomes of the entry when a step is suppressed.",
        "goal": "What the campaign is for; used by reports.",
    },
    "Request": {
        "request": "The name of the segment, and of its dbt model.",
        "description": "Whom it is about, in a sentence.",
        "owner": "Who answers for it; if dbt has a group of the name, the model belongs to it.",
        "who": "Who fits.",
    },
    "Condition": {
        "all": "Every line must hold.",
        "any": "At least one line must hold.",
        "not": "The line must not hold.",
        "did": "The person did it: at least once, or as often as it says.",
        "did_not": "The person did not do it.",
        "profile": "What fields of the person's profile have to be, by name.",
        "in_segment": "A segment that the person is in.",
        "not_in_segment": "A segment that the person is not in.",
    },
    "Did": {
        **_HAPPENING,
        "sum": "A property to add up; `at_least` and so on then speak of the sum.",
        "exactly": "So many times (with `sum`: the sum is exactly this).",
        "at_least": "So many times or more.",
        "at_most": "So many times or less, but at least once.",
        "more_than": "More times than this.",
        "less_than": "Fewer times than this, but at least once.",
    },
    "DidNot": _HAPPENING,
    "Comparison": {
        "is": "Equal to this; a plain value means the same.",
        "in": "Equal to one of these.",
        "not": "Not this: a value or a comparison; a missing value is not it either.",
        "at_least": "This or more.",
        "at_most": "This or less.",
        "more_than": "More than this.",
        "less_than": "Less than this.",
        "within": "A time so long ago, or less, and not in the future.",
        "missing": "`true`: there is no value; `false`: there is one.",
    },
}


class _ForEditors(GenerateJsonSchema):
    """Shorter than pydantic's own: an optional key is left out rather than null; defaults are as people write them."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        default = found.pop("default", None)
        if default is not None and not isinstance(schema.get("default"), BaseModel):
            is_phrase = found.get("type") == "string" and not isinstance(schema["default"], str)
            found["default"] = SchemaSerializer(schema["schema"]).to_python(schema["default"]) if is_phrase else default
        return found


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas (draft 2020-12) by the name of what they describe."""
    return {name: _schema(model, title) for name, (model, title) in FILES.items()}


def schema_text(name: str) -> str:
    """One schema as the text of its file in `activate/schemas`."""
    return json.dumps(schemas()[name], indent=2, ensure_ascii=False) + "\n"


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    made = model.model_json_schema(by_alias=True, schema_generator=_ForEditors)
    # The campaign's `audience:` and the file of an audience are both called Audience.
    parts = {"AudienceFile" if model is AudienceFile else model.__name__: made, **made.get("$defs", {})}
    for name, part in parts.items():
        for key, words in _WORDS[name].items():
            # Beside a `$ref`, draft 2020-12 lets a description stand; editors show the nearer one.
            part["properties"][key]["description"] = words
    _tighten(made)
    if model is AudienceFile:
        # A column's name alone stands for a mapping of it.
        short = {"anyOf": [{"type": "string", "description": "The column's name."}, {"$ref": "#/$defs/Mapped"}]}
        made["properties"]["fields"]["additionalProperties"] = short
        words = made["properties"]["identify_by"]["description"]
        made["properties"]["identify_by"] = {**short, "default": EXTERNAL_ID, "description": words}
    if model is Campaign:
        after = {"type": "string", "description": "A whole number and a unit.", "pattern": _PATTERNS["30 minutes"]}
        made["properties"]["re_enter"]["anyOf"][1]["properties"]["after"] = after
        parts["Enter"]["oneOf"] = [{"required": ["trigger"]}, {"required": ["segment"]}]
    if model is Request:
        parts["Condition"] |= {"minProperties": 1, "maxProperties": 1}
        parts["Comparison"]["minProperties"] = 1
        _let_plain_values_in(made)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": title}


def _let_plain_values_in(part: Any) -> None:
    """Where a comparison may stand, a plain value may stand for `{is: value}`."""
    for inner in list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else ():
        _let_plain_values_in(inner)
    if isinstance(part, dict) and part.get("$ref") == "#/$defs/Comparison":
        comparison = part.pop("$ref")
        part["anyOf"] = [{"type": ["string", "number", "boolean"]}, {"$ref": comparison}]


def _tighten(part: Any) -> None:
    """Give every phrase its pattern, known by the example that it carries; refuse keys that are not provided for."""
    if isinstance(part, list):
        for inner in part:
            _tighten(inner)
    if not isinstance(part, dict):
        return
    examples = part.get("examples")
    if isinstance(examples, list) and examples and examples[0] in _PATTERNS:
        part["pattern"] = _PATTERNS[examples[0]]
    if "patternProperties" in part or (part.get("type") == "object" and "properties" in part):
        part["additionalProperties"] = False
    for inner in list(part.values()):
        _tighten(inner)
