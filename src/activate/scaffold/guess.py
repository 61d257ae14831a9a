"""Which of a project's models hold the people and the events, judged by names and declared columns alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PROFILE_NAMES = ("profiles", "customers", "users", "people", "persons", "members", "contacts", "accounts")
EVENT_NAMES = ("events", "event_stream", "activity", "tracks", "interactions")
KEYS = ("user_id", "customer_id", "person_id", "profile_id", "member_id", "contact_id", "account_id", "id")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "time_zone": ("time_zone", "timezone", "tz", "iana_time_zone"),
    "email": ("email", "email_address", "primary_email"),
    "email_consent": ("email_consent", "email_opt_in", "accepts_marketing", "marketing_consent", "email_subscribed"),
    "event_id": ("event_id", "id", "event_uuid", "message_id"),
    "event_name": ("event_name", "event", "event_type", "name", "type"),
    "event_time": (
        "occurred_at",
        "event_at",
        "event_time",
        "event_timestamp",
        "timestamp",
        "happened_at",
        "created_at",
    ),
    "event_loaded": ("loaded_at", "_loaded_at", "inserted_at", "received_at", "ingested_at", "_fivetran_synced"),
}


@dataclass(frozen=True)
class Guess:
    """A model and how well it fits; `columns` are those that its yml declares."""

    name: str
    columns: frozenset[str]
    score: int

    def column(self, what: str, default: str | None = None) -> str:
        """The declared column that means `what`; else `default`, else the usual name."""
        names = KEYS if what == "key" else COLUMNS[what]
        return next((name for name in names if name in self.columns), default or names[0])


def guess_profiles(declared: Mapping[str, Sequence[str]]) -> Guess | None:
    """The model that looks most like one row per person, or None."""
    return _best(declared, PROFILE_NAMES, ("email", "time_zone", "email_consent"))


def guess_events(declared: Mapping[str, Sequence[str]]) -> Guess | None:
    """The model that looks most like a stream of events, or None."""
    return _best(declared, EVENT_NAMES, ("event_id", "event_name", "event_time", "event_loaded"))


def _best(declared: Mapping[str, Sequence[str]], names: tuple[str, ...], wanted: tuple[str, ...]) -> Guess | None:
    guesses = []
    for model, columns in declared.items():
        lowered = frozenset(column.lower() for column in columns)
        # A staging model is the shape of its source, not the project's last word on anything.
        finished = not model.startswith(("stg_", "staging_", "base_", "src_", "int_"))
        named = _named(model, names)
        fitting = sum(any(name in lowered for name in COLUMNS[what]) for what in wanted)
        if named and finished:
            guesses.append(Guess(model, lowered, 10 * named + fitting))
    return max(guesses, key=lambda guess: (guess.score, -len(guess.name), guess.name), default=None)


def _named(model: str, names: tuple[str, ...]) -> int:
    """2 for a model called so, 1 for one whose name ends so, such as dim_customers; 0 otherwise."""
    if model in names:
        return 2
    return int(any(model.endswith((f"_{name}", f"_{name[:-1]}")) for name in names))
