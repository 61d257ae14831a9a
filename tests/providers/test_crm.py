"""HubSpot's and Intercom's messages beyond the contract: what is refused before it is sent, and what results mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from activate.providers.base import HttpAnswer, HttpRequest, Outgoing, Provider, Unusable
from activate.providers.registry import PROVIDERS, create
from tests.providers.vendors import peer

CONTACT = "536e564f316c83104c000020"


def made(kind: str, **options: Any) -> Provider:
    return create("mine", {"type": kind, **peer(kind).section, **options})


def message(channel: str, address: str, **content: str) -> Outgoing:
    return Outgoing("f" * 32, "ada", "hello", 1, None, channel, address, content)


def hubspot_says(**told: Any) -> tuple[str, str | None, str | None]:
    body = json.dumps({"statusId": "2Vyj", **told}).encode()
    (outcome,) = made("hubspot").read(HttpAnswer(200, {}, body), [message("email", "dana@example.com")])
    return outcome.status, outcome.error_code, outcome.lost


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"status": "PENDING"}, ("accepted", None, None)),
        ({"status": "PROCESSING"}, ("accepted", None, None)),
        ({"status": "COMPLETE", "sendResult": "SENT"}, ("accepted", None, None)),
        ({"status": "COMPLETE", "sendResult": "IDEMPOTENT_IGNORE"}, ("accepted", None, None)),
        ({"status": "COMPLETE", "sendResult": "THROTTLED"}, ("failed", "throttled", None)),
        ({"status": "CANCELED"}, ("rejected", "canceled", None)),
        ({"status": "CANCELED", "sendResult": "MISSING_CONTENT"}, ("rejected", "missing_content", None)),
        ({"status": "COMPLETE", "sendResult": "PREVIOUSLY_BOUNCED"}, ("rejected", "previously_bounced", "hard_bounce")),
        ({"status": "CANCELED", "sendResult": "ADDRESS_OPTED_OUT"}, ("rejected", "address_opted_out", "opted_out")),
        ({"status": "COMPLETE", "sendResult": "INVALID_TO_ADDRESS"}, ("rejected", "invalid_to_address", None)),
        ({"status": "COMPLETE", "sendResult": "dana@example.com"}, ("unknown", "bad_result", None)),
    ],
)
def test_hubspots_results_are_told_apart(told: dict[str, Any], expected: tuple[str, str | None, str | None]) -> None:
    assert hubspot_says(**told) == expected


@pytest.mark.parametrize("result", ["PORTAL_SUSPENDED", "EMAIL_DISABLED", "INVALID_FROM_ADDRESS", "PORTAL_OVER_LIMIT"])
def test_what_is_about_the_account_blames_no_message(result: str) -> None:
    with pytest.raises(Unusable):
        hubspot_says(status="COMPLETE", sendResult=result)


def test_a_template_may_name_the_email() -> None:
    request = made("hubspot").build([message("email", "dana@example.com", email_id=" 77 ", subject="Hi")], None)  # type: ignore[arg-type]
    assert isinstance(request, HttpRequest)
    body = json.loads(request.body)
    assert (body["emailId"], body["customProperties"]) == (77, {"subject": "Hi"})


def test_an_email_without_an_id_is_refused_before_it_is_sent() -> None:
    section = {key: value for key, value in peer("hubspot").section.items() if key != "email_id"}
    provider = create("mine", {"type": "hubspot", **section})
    assert provider.refuses(message("email", "dana@example.com", subject="Hi")) == "no_email_id"
    assert provider.refuses(message("email", "dana@example.com", email_id="welcome")) == "bad_email_id"
    assert provider.refuses(message("email", "dana@example.com", email_id="77")) is None


@pytest.mark.parametrize(
    ("kind", "options", "channel", "content", "campaign", "told"),
    [
        ("hubspot", {"email_id": 1}, "email", {"subject": "x"}, "transactional", None),
        ("hubspot", {"email_id": 1}, "email", {"subject": "x"}, "marketing", "transactional e-mail"),
        ("hubspot", {}, "email", {"subject": "x"}, "transactional", "names the e-mail"),
        ("intercom", {}, "in_app", {"body": "x"}, "marketing", None),
        ("intercom", {}, "in_app", {"title": "x"}, "marketing", "block `body`"),
        ("intercom", {}, "email", {"subject": "x", "text": "x"}, "marketing", None),
        ("intercom", {}, "email", {"text": "x"}, "marketing", "block `subject`"),
        ("intercom", {}, "email", {"subject": "x"}, "marketing", "`html` or `text`"),
    ],
)
def test_lint_tells_what_does_not_fit(
    kind: str, options: dict[str, Any], channel: str, content: dict[str, str], campaign: str, told: str | None
) -> None:
    found = PROVIDERS[kind].misfits(options, channel, content, campaign)
    assert found == [] if told is None else told in found[0]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (message("in_app", CONTACT, body="x"), None),
        (message("in_app", "dana@example.com", body="x"), "bad_contact_id"),
        (message("in_app", CONTACT, title="x"), "no_body"),
        (message("email", CONTACT, html="x"), "no_subject"),
        (message("email", CONTACT, subject="x"), "no_text"),
        (message("email", CONTACT, subject="x", text="y"), None),
    ],
)
def test_intercom_refuses_what_cannot_be_sent(sent: Outgoing, code: str | None) -> None:
    assert made("intercom").refuses(sent) == code


def test_a_new_contact_that_cannot_be_messaged_yet_is_tried_again() -> None:
    body = json.dumps({"type": "error.list", "errors": [{"code": "not_found", "message": "x"}]}).encode()
    provider, batch = made("intercom"), [message("in_app", CONTACT, body="x")]
    assert provider.read(HttpAnswer(404, {}, body), batch)[0].status == "failed"
    with pytest.raises(Unusable):
        provider.read(HttpAnswer(404, {}, b"<html>"), batch)


def test_an_in_app_message_lets_no_markup_in_but_by_its_body() -> None:
    sent = message("in_app", CONTACT, title="<script>", body="<b>hi</b>", url='https://x.example.com/"onclick=')
    request = made("intercom").build([sent], None)  # type: ignore[arg-type]
    assert isinstance(request, HttpRequest)
    body = json.loads(request.body)["body"]
    assert "<script>" not in body
    assert '"onclick' not in body
    assert "<b>hi</b>" in body
