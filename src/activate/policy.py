"""The project's policy: rules/activate.yml as a frozen model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from activate.words import WEEKDAYS, Clock, Duration, Share, parse_duration

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Class = Literal["marketing", "transactional"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
CALENDAR = ("calendar day", "calendar week", "calendar month")


class Frozen(BaseModel):
    """Base of all rule models: immutable, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Profiles(Frozen):
    """The dbt model with one row per person."""

    model: str
    key: str
    time_zone: str | None = None


class Events(Frozen):
    """The dbt model of events. Exceptions are looked up here. `loaded` defaults to `time`."""

    model: str
    id: str
    key: str
    name: str
    time: str
    loaded: str | None = None
    properties: str | None = Field(None, description="A JSON column; its keys can be used as match properties.")


class Channel(Frozen):
    """A way to reach a person: the profile's address column, its consent column, and the provider."""

    address: str
    consent: str | None = Field(None, description="A boolean or text column; none: no consent is needed.")
    consent_values: tuple[str, ...] = ("opted_in", "subscribed")
    provider: Name
    registered: str | None = Field(
        None, description="A time column: when the address was registered; later than its loss, it may be used again."
    )


class TimeWindow(Frozen):
    """When people may be messaged: the half-open local interval [open, close); over midnight if close < open."""

    open: Clock
    close: Clock
    weekdays: tuple[Weekday, ...] = WEEKDAYS  # type: ignore[assignment]  # a tuple of str literals
    zone: str = Field("recipient", description="`recipient`, or one IANA zone for everybody.")
    unknown_zone: str = Field(
        "suppress", description="The zone of people whose own is missing or invalid, or `suppress`."
    )
    when_closed: Literal["wait", "drop"] = "wait"
    triggered_outside: Literal["allow", "drop"] = Field(
        "allow", description="What becomes of those who were triggered while it was closed, whenever they are due."
    )
    held: Literal["latest_per_campaign", "latest", "all"] = Field(
        "latest_per_campaign", description="Which of several messages held back by the window goes out when it opens."
    )

    @field_validator("weekdays")
    @classmethod
    def _some_weekday(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one weekday, or leave the key out for all seven")
        return tuple(day for day in WEEKDAYS if day in value)


def _period(value: Any) -> str:
    if isinstance(value, str) and value.strip() in CALENDAR:
        return value.strip()
    try:
        seconds = parse_duration(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is not a period; write a duration such as '7 days', or one of: {', '.join(CALENDAR)}"
        ) from None
    if seconds == 0:
        raise ValueError("a period of zero counts nothing; write a longer one, e.g. '1 day'")
    return str(value).strip()


Period = Annotated[
    str,
    BeforeValidator(_period),
    WithJsonSchema({"type": "string", "examples": ["7 days", *CALENDAR], "description": "Rolling or calendar period."}),
]


class FrequencyCap(Frozen):
    """At most `limit` messages in a period. The filters narrow down both who is held back and what is counted."""

    # Lint says what 0 would do, where the model would only call it too small.
    limit: int = Field(ge=0, json_schema_extra={"minimum": 1})
    per: Period
    by: Literal["person", "address"] = Field(
        "person", description="Whose messages are counted: the person's, or those of all who share the address."
    )
    channel: str | None = None
    tag: str | None = None
    campaign: str | None = None
    class_: Class | None = Field(None, alias="class")

    @model_validator(mode="after")
    def _one_channel(self) -> FrequencyCap:
        if self.by == "address" and self.channel is None:
            raise ValueError("an address belongs to a channel: with `by: address`, name the `channel`")
        return self

    @property
    def rolling_seconds(self) -> int | None:
        """The length of a rolling period in seconds, or None for a calendar period."""
        return None if self.per in CALENDAR else parse_duration(self.per)

    def __str__(self) -> str:
        filters = [f"{key} {value}" for key, value in self.filters.items()]
        whose = " by address" if self.by == "address" else ""
        return f"{self.limit} per {self.per}{whose}" + (f" ({', '.join(filters)})" if filters else "")

    @property
    def filters(self) -> dict[str, str]:
        """The filters that are set, by name."""
        found = {"channel": self.channel, "tag": self.tag, "campaign": self.campaign, "class": self.class_}
        return {key: value for key, value in found.items() if value is not None}


class Scan(Frozen):
    """How triggers are read: by load time, from the last tick less `overlap`."""

    overlap: Duration = 3600
    max_lateness: Duration = Field(86_400, validate_default=False, description="An older occurrence is too late.")
    remember: Duration = Field(
        30 * 86_400, description="How long the id of a refused occurrence is recognised when it comes again."
    )
    settle: Duration = Field(0, description="Extra wait for events still being loaded when a step falls due.")


class Delivery(Frozen):
    """How messages are handed over."""

    max_attempts: int = Field(5, ge=1, le=20)
    resend_unknown: Literal["never", "transactional"] = "never"
    time_limit: Duration | None = Field(
        None,
        description="How long a delivery, or a sync of audiences, may take: then nothing more is begun, and the rest waits for the next.",
    )


class State(Frozen):
    """Where Activate keeps its own tables."""

    schema_: Name = Field("activate", alias="schema")


class Policy(Frozen):
    """rules/activate.yml."""

    profiles: Profiles
    events: Events
    channels: dict[Name, Channel] = Field(min_length=1)
    providers: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    destinations: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    ingest: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, description="Where providers' events come from, by name (docs/ingest.md)."
    )
    time_window: TimeWindow | None = None
    frequency_caps: tuple[FrequencyCap, ...] = ()
    global_control: Share | None = None
    scan: Scan = Scan()
    delivery: Delivery = Delivery()
    state: State = State.model_validate({})
