"""What Google's two ways to Customer Match have in common: the OAuth exchange, identifiers, consent, error codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from activate.audience import EXTERNAL_ID, Mapped
from activate.destinations.answers import word
from activate.destinations.base import Abilities, Destination
from activate.providers.base import HttpAnswer, HttpRequest, Token, Unusable
from activate.providers.json_api import USER_AGENT, json_object
from activate.providers.options import Option
from activate.providers.signing import check_url

KEYS = ("email", "phone", "user_id")


def digits(value: Any) -> str | None:
    """The check of an id that Google writes with digits only."""
    return None if str(value).isdigit() else "write the digits only, without dashes"


OAUTH = (
    Option("client_id", "The OAuth client's id.", required=True),
    Option("client_secret", "The OAuth client's secret.", required=True, secret=True),
    Option("refresh_token", "A refresh token of a user with access to the account.", required=True, secret=True),
    Option("token_url", "Where the refresh token is exchanged.", default="https://oauth2.googleapis.com/token",
           check=check_url),
)  # fmt: skip
MATCHING = (
    Option("key", "What `identify_by` is: `email`, `phone`, or `user_id` (your own key, for a list made for it).",
           choices=KEYS, default="email"),
    Option("ad_user_data", "Consent to send these people's data to Google for advertising.",
           choices=("granted", "denied")),
    Option("ad_personalization", "Consent to personalised advertising.", choices=("granted", "denied")),
    Option("wait", "How long Google's work on a batch is waited for; what is still under way then counts as accepted.",
           "duration", default=600.0, low=0, high=86_400),
)  # fmt: skip


class CustomerMatch(Destination):
    """A Customer Match list, by either API; `normalised` is what each wants to have done to an identifier."""

    normalised: ClassVar[Mapping[str, str]] = {"email": "email", "phone": "phone"}

    @classmethod
    def abilities_of(cls, options: Mapping[str, Any]) -> Abilities:
        return Abilities(needs_hash=options.get("key", "email") != "user_id")

    @classmethod
    def holds_several(cls, options: Mapping[str, Any]) -> bool:
        del options
        return False

    @classmethod
    def audience_problems(
        cls, options: Mapping[str, Any], identify_by: Mapped, fields: Mapping[str, Mapped]
    ) -> list[str]:
        key = str(options.get("key") or "email")
        problems = []
        if key == "user_id" and identify_by.column != EXTERNAL_ID:
            problems.append("with `key: user_id`, write `identify_by: external_id`")
        how = cls.normalised.get(key)
        if how and identify_by.hash and (identify_by.normalise, identify_by.hash) != (how, "sha256"):
            problems.append(f"{cls.type} matches by `normalise: {how}` and `hash: sha256`; write both in `identify_by`")
        if fields:
            problems.append(
                "Google takes one identifier for each person, which a removal can name again; leave `fields` out, and "
                "keep e-mail addresses and phone numbers in two audiences of the same list"
            )
        return problems

    def token_request(self, at: int) -> HttpRequest:
        del at
        form = {"grant_type": "refresh_token"} | {
            name: self.options[name] for name in ("client_id", "client_secret", "refresh_token")
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": USER_AGENT}
        return HttpRequest("POST", self.options["token_url"], headers, urlencode(form).encode())

    def read_token(self, answer: HttpAnswer) -> Token:
        told = json_object(answer)
        token, seconds = told.get("access_token"), told.get("expires_in")
        if not isinstance(token, str) or not isinstance(seconds, int):
            raise Unusable("no_token", "Google's answer has no access token")
        return Token(token, float(seconds))

    def consent(self) -> dict[str, str]:
        """What is said of consent, as Google's two enumerations write it without their prefix."""
        said = {"adUserData": self.options["ad_user_data"], "adPersonalization": self.options["ad_personalization"]}
        return {name: str(value).upper() for name, value in said.items() if value}


def error_of(told: Mapping[str, Any]) -> str:
    """The first specific code in an error of Google's (google.rpc.Status), as it may be stored."""
    error = told.get("error")
    if not isinstance(error, dict):
        return "refused"
    for found in failures(error):
        return found[1]
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and "reason" in detail:
            return word(detail["reason"])
    return word(error.get("status"))


def failures(status: Mapping[str, Any]) -> Iterator[tuple[int | None, str]]:
    """The errors of a GoogleAdsFailure: the operation's index (None: not about one), and the code."""
    details = status.get("details")
    for detail in details if isinstance(details, list) else []:
        errors = detail.get("errors") if isinstance(detail, dict) else None
        for error in errors if isinstance(errors, list) else []:
            if isinstance(error, dict):
                codes = error.get("errorCode")
                code = word(next(iter(codes.values()), None)) if isinstance(codes, dict) else "refused"
                yield _index(error), code


def _index(error: Mapping[str, Any]) -> int | None:
    location = error.get("location")
    path = location.get("fieldPathElements") if isinstance(location, dict) else None
    for element in path if isinstance(path, list) else []:
        if isinstance(element, dict) and element.get("fieldName") == "operations":
            index = element.get("index", 0)  # a zero is left out of JSON
            return index if isinstance(index, int) and not isinstance(index, bool) else None
    return None
