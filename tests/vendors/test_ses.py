"""Amazon SES: our requests against botocore's model of the service, and against an emulator on loopback (moto)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from activate.deliver.hand_over import Clock, Line
from activate.deliver.http import HttpCarrier
from activate.providers.base import HttpRequest, Outgoing, Provider
from activate.providers.registry import create
from tests.providers.vendors import peer

AT = dt.datetime(2026, 3, 2, 12)
REGION = "eu-central-1"


def provider(**options: Any) -> Provider:
    return create("mine", {"type": "ses", **peer("ses").section, **options})


def message(n: int = 0, content: dict[str, str] | None = None) -> Outgoing:
    mine = peer("ses")
    return Outgoing(f"{n:032x}", f"u{n}", "hello", 1, None, "email", mine.address(n), content or mine.content)


@pytest.mark.parametrize(
    "options", [{}, {"reply_to": "Läden <help@shop.example.com>"}, {"configuration_set": "", "session_token": "x" * 20}]
)
@pytest.mark.parametrize("left_out", ["text", "html", None])
def test_the_request_fits_amazons_own_model_of_the_service(options: dict[str, Any], left_out: str | None) -> None:
    from botocore.session import Session
    from botocore.validate import ParamValidator

    operation = Session().get_service_model("sesv2").operation_model("SendEmail")
    content = {name: text for name, text in peer("ses").content.items() if name != left_out}
    request = provider(**options).build([message(content=content)], AT)
    assert isinstance(request, HttpRequest)
    assert (request.method, request.url.partition(".com")[2]) == (
        operation.http["method"],
        operation.http["requestUri"],
    )
    found = ParamValidator().validate(json.loads(request.body), operation.input_shape)
    assert not found.has_errors(), found.generate_report()
    wrong = ParamValidator().validate({**json.loads(request.body), "Destination": []}, operation.input_shape)
    assert wrong.has_errors()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The emulator's address; it knows one sender."""
    import boto3
    from moto.server import ThreadedMotoServer

    emulator = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    emulator.start()
    host, port = emulator.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
    client = boto3.client("sesv2", region_name=REGION, endpoint_url=address, **keys)
    client.create_email_identity(EmailIdentity="a@shop.example.com")
    try:
        yield address
    finally:
        emulator.stop()


def _hand_over(mine: Provider, *batch: Outgoing) -> tuple[Line, list[Any]]:
    line = Line(mine, Clock(sleep=lambda _: None))
    carrier = HttpCarrier(10)
    outcomes = [one for part in batch for one in line.hand_over(carrier, [part], AT).outcomes]
    carrier.close()
    return line, outcomes


def test_mail_from_a_verified_sender_is_taken(server: str) -> None:
    from moto.ses.models import ses_backends

    line, outcomes = _hand_over(provider(url=server), message(1), message(2))
    assert [outcome.status for outcome in outcomes] == ["accepted", "accepted"]
    assert all(outcome.provider_message_id for outcome in outcomes)
    assert not line.breaker.is_open
    sent = [one for backend in ses_backends.values() for one in backend[REGION].sent_messages]
    assert [one.destinations["ToAddresses"] for one in sent] == [[message(1).address], [message(2).address]]
    assert {one.subject for one in sent} == {"Grüße"}


def test_a_sender_that_is_not_verified_stops_the_provider_and_blames_no_message(server: str) -> None:
    line, outcomes = _hand_over(provider(url=server, **{"from": "Shop <b@elsewhere.example.com>"}), message(1))
    assert line.breaker.is_open
    assert line.breaker.reason == "SES refuses our sender: its address or domain is not verified"
    assert [(one.status, one.error_code) for one in outcomes] == [("failed", "sender_not_verified")]
