"""Amazon SNS's signature, its certificate, and a subscription that has to be confirmed."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from activate.ingest.fetch import Fetcher
from activate.ingest.take import take
from activate.sources.base import Captured, Refused, Unreachable
from activate.sources.registry import create
from tests.ingest.shop import EventShop
from tests.ingest.test_listener import ask
from tests.ingest.vectors import (
    CERTIFICATE_AT,
    CERTIFICATES,
    LOSSES,
    NOON,
    SECTIONS,
    certificate,
    signed,
    sns,
    source,
)

CONFIRM_AT = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn&Token=2336412f37"
MESSAGE = {
    "Type": "Notification", "MessageId": "n1", "TopicArn": SECTIONS["ses"]["topic"], "Subject": "Über\nuns",
    "Message": json.dumps(LOSSES["ses"]), "Timestamp": "2026-03-02T12:00:00.000Z",
}  # fmt: skip
SUBSCRIPTION = {
    "Type": "SubscriptionConfirmation", "MessageId": "s1", "TopicArn": SECTIONS["ses"]["topic"], "Token": "2336412f37",
    "Message": "You have chosen to subscribe", "SubscribeURL": CONFIRM_AT, "Timestamp": "2026-03-02T12:00:00.000Z",
}  # fmt: skip


def posted(message: dict[str, Any], at: dt.datetime = NOON) -> Captured:
    return Captured(at, {}, json.dumps(message).encode(), "/events/ses?token=ses-token")


def refusal(message: dict[str, Any], at: dt.datetime = NOON, **options: Any) -> str:
    with pytest.raises(Refused) as told:
        source("ses", **options).verify(posted(message, at))
    return told.value.code


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("message", [MESSAGE, SUBSCRIPTION], ids=["notification", "subscription"])
def test_both_versions_verify_and_nothing_that_is_signed_can_be_altered(version: str, message: dict[str, Any]) -> None:
    whole = sns(message, version)
    source("ses").verify(posted(whole))
    source("ses").verify(posted({**whole, "UnsubscribeURL": "https://private.example"}))  # which is not signed
    for name, value in message.items():
        if name not in ("TopicArn", "Type"):
            assert refusal({**whole, name: value + "x"}) == "bad_signature", name
    assert refusal({**whole, "TopicArn": "arn:aws:sns:eu-central-1:999999999999:mail"}) == "another_topic"
    assert refusal({**whole, "SignatureVersion": "2" if version == "1" else "1"}) == "bad_signature"


def test_a_message_without_a_subject_verifies() -> None:
    source("ses").verify(posted(sns({name: value for name, value in MESSAGE.items() if name != "Subject"})))


@pytest.mark.parametrize("missing", ["Signature", "SignatureVersion", "Type"])
def test_what_is_not_signed_is_refused(missing: str) -> None:
    whole = sns(MESSAGE)
    del whole[missing]
    assert refusal(whole) == "not_signed"


@pytest.mark.parametrize(
    "address",
    [
        None, 7, "", "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-01.pem",
        "https://evil.example/sns.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/SimpleNotificationService-01.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com:444/SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com/../SimpleNotificationService-01.pem",
        "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-01.pem\n",
    ],
)  # fmt: skip
def test_a_certificate_from_elsewhere_is_never_fetched(address: object) -> None:
    def fetch(address: str) -> bytes:
        raise AssertionError("fetched")

    with pytest.raises(Refused, match="bad_certificate_url"):
        create("ses", SECTIONS["ses"], fetch).verify(posted({**sns(MESSAGE), "SigningCertURL": address}))


@pytest.mark.parametrize("suffix", ["", ".cn"])
def test_sns_has_addresses_in_every_region(suffix: str) -> None:
    address = f"https://sns.cn-north-1.amazonaws.com{suffix}/SimpleNotificationService-01.pem"
    made = create("ses", SECTIONS["ses"], {address: CERTIFICATES[CERTIFICATE_AT]}.__getitem__)
    made.verify(posted({**sns(MESSAGE), "SigningCertURL": address}))


def test_another_key_or_a_certificate_that_does_not_hold_is_refused() -> None:
    other = rsa.generate_private_key(65_537, 2_048)
    assert refusal(sns(MESSAGE, key=other)) == "bad_signature"
    for pem, code in (
        (certificate(other), "bad_signature"), (certificate(ec.generate_private_key(ec.SECP256R1())), "bad_certificate"),
        (certificate(begins=NOON - dt.timedelta(days=61)), "bad_certificate"),
        (certificate(begins=NOON + dt.timedelta(seconds=1)), "bad_certificate"), (b"", "bad_signature"), (b"<html>", "bad_signature"),
    ):  # fmt: skip
        with pytest.raises(Refused, match=code):
            create("ses", SECTIONS["ses"], lambda address, pem=pem: pem).verify(posted(sns(MESSAGE)))  # type: ignore[misc]
    assert refusal({**sns(MESSAGE), "Signature": "%%%"}) == "bad_signature"


def test_the_token_is_asked_before_anything_is_fetched() -> None:
    with pytest.raises(Refused, match="bad_token"):
        create("ses", SECTIONS["ses"]).verify(posted(sns(MESSAGE))._replace(url="/events/ses?token=x"))


def test_without_a_way_out_only_token_and_topic_are_checked() -> None:
    unsigned = posted(MESSAGE)
    create("ses", {**SECTIONS["ses"], "signature": False}).verify(unsigned)
    with pytest.raises(Unreachable):
        create("ses", SECTIONS["ses"]).verify(posted(sns(MESSAGE)))


# -- the certificate --------------------------------------------------------------------------------------------------


def test_a_certificate_is_fetched_once() -> None:
    asked: list[str] = []

    def opener(address: str) -> tuple[int, bytes]:
        asked.append(address)
        return 200, CERTIFICATES[CERTIFICATE_AT]

    fetch = Fetcher(opener)
    for _ in range(3):
        create("ses", SECTIONS["ses"], fetch).verify(posted(sns(MESSAGE)))
    assert asked == [CERTIFICATE_AT]


def test_a_certificate_that_cannot_be_had_is_asked_for_again_later() -> None:
    answers: list[Any] = [(403, b""), urllib3.exceptions.ConnectTimeoutError(), (200, CERTIFICATES[CERTIFICATE_AT])]

    def opener(address: str) -> tuple[int, bytes]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    fetch = Fetcher(opener)
    for code in ("http_403", "ConnectTimeoutError"):
        with pytest.raises(Unreachable, match=rf"cannot be fetched \({code}\); try again"):
            fetch(CERTIFICATE_AT)
    assert fetch(CERTIFICATE_AT)


def test_the_listener_asks_sns_to_post_again_while_the_certificate_cannot_be_had(
    local: EventShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = signed("ses", LOSSES["ses"])
    with monkeypatch.context() as patch:
        patch.setattr("activate.ingest.fetch._open", lambda address: (500, b""))
        assert ask(local, "POST", "/events/ses", request)[0] == 503
    assert ask(local, "POST", "/events/ses", request)[0] == 200
    report = local.load_spool()
    assert report is not None
    assert (report.events, report.refused) == (1, 0)


# -- the subscription -------------------------------------------------------------------------------------------------


def test_a_subscription_waits_for_a_person() -> None:
    taken = take(source("ses"), posted(sns(SUBSCRIPTION)))
    assert [(reason, part["SubscribeURL"]) for reason, part in taken.rejected] == [
        ("subscription_to_confirm", CONFIRM_AT)
    ]


@pytest.mark.parametrize(
    ("address", "opened"),
    [
        (CONFIRM_AT, True), ("https://evil.example/?Action=ConfirmSubscription&Token=x", False),
        ("https://sns.eu-central-1.amazonaws.com/?Action=DeleteTopic&Action=ConfirmSubscription", False),
    ],
)  # fmt: skip
def test_a_subscription_is_confirmed_where_that_is_wanted_and_it_is_sns_that_asks(address: str, opened: bool) -> None:
    asked: list[str] = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return CERTIFICATES.get(address, b"")

    message = posted(sns({**SUBSCRIPTION, "SubscribeURL": address}))
    taken = take(create("ses", {**SECTIONS["ses"], "confirm": True}, fetch), message)
    assert asked == [CERTIFICATE_AT, address][: 1 + opened]
    assert [reason for reason, _ in taken.rejected] == [] if opened else ["subscription_to_confirm"]
    asked.clear()
    trusting = create("ses", {**SECTIONS["ses"], "confirm": True, "signature": False}, fetch)
    take(trusting, message)
    assert asked == []  # nobody has signed


def test_the_end_of_a_subscription_is_not_undone() -> None:
    message = sns({**SUBSCRIPTION, "Type": "UnsubscribeConfirmation"})
    taken = take(source("ses", confirm=True), posted(message))
    assert (taken.counts, taken.rejected) == ({"ignored UnsubscribeConfirmation": 1}, [])
