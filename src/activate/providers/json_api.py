"""What JSON APIs have in common: where they answer, how a request is made, and how an answer is looked into."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from activate.providers.base import HttpAnswer, HttpRequest
from activate.providers.options import Option
from activate.providers.signing import check_url

USER_AGENT = "dbt-activate"


def api_url(default: str, doc: str = "Where the API answers.") -> Option:
    """The option for an API's address: the vendor's own by default, another region's or a test's server if set."""
    return Option("url", doc, default=default, check=check_url)


def json_request(
    url: str,
    headers: Mapping[str, str],
    body: Any,
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST",
) -> HttpRequest:
    """A request with a JSON body; `headers` come in addition to content type and user agent."""
    named = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": USER_AGENT}
    return HttpRequest(method, url, {**named, **headers}, orjson.dumps(body))


def epoch_wait(answer: HttpAnswer, header: str, at: dt.datetime) -> float | None:
    """Seconds until the Unix time that a header names; None where it names none. `at` is naive UTC."""
    text = answer.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        return None
    return max(0.0, int(text) - at.replace(tzinfo=dt.UTC).timestamp())


def json_answer(answer: HttpAnswer) -> Any:
    """The answer's JSON; None if it is none (an empty body, a proxy's page, half an answer)."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def json_object(answer: HttpAnswer) -> dict[str, Any]:
    """The answer's JSON object; empty if it is none."""
    found = json_answer(answer)
    return found if isinstance(found, dict) else {}
