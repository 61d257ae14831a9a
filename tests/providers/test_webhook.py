"""The webhook provider: signature, keys, and single results."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from typing import Any

import pytest

from activate.destinations.registry import create as create_destination
from activate.providers.base import HttpAnswer, Outgoing, Provider, Unusable
from activate.providers.registry import create

AT = dt.datetime(2026, 3, 2, 12)


def _provider(secret: str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", **options: Any) -> Provider:
    return create("mine", {"type": "webhook", "url": "https://example.com/x", "secret": secret, **options})


def _message(number: int = 1, **changes: Any) -> Outgoing:
    made = Outgoing(
        f"{number:032x}", "u1", "c", 1, "b", "push", "token", {"body": "x"}, tags=("a", "b"), ttl_seconds=60
    )
    return made._replace(**changes)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The specification's own example: secret, id, timestamp and payload of its reference libraries' tests."""
    provider = _provider()
    request = provider.build([_message()], AT)
    request = type(request)(request.method, request.url, {**request.headers, "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek"},
                            b'{"test": 2432232314}')  # fmt: skip
    signed = provider.sign(request, 1614265330)
    assert signed.headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signed.headers["webhook-timestamp"] == "1614265330"


def test_bodies_go_out_in_gzip_only_where_the_service_is_said_to_take_it() -> None:
    assert not _provider().compresses
    assert _provider(compress=True).compresses
    hook = {"type": "webhook", "url": "https://example.com/x", "secret": "a" * 24}
    assert not create_destination("crm", hook).abilities.compresses
    assert create_destination("crm", {**hook, "compress": "true"}).abilities.compresses


def test_a_plain_text_secret_signs_as_it_is() -> None:
    provider = _provider("a plain text secret")
    request = provider.sign(provider.build([_message()], AT), 1_700_000_000)
    content = f"{request.headers['webhook-id']}.1700000000.".encode() + request.body
    expected = base64.b64encode(hmac.new(b"a plain text secret", content, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"


def test_the_key_is_of_the_batch_and_each_item_has_its_own() -> None:
    provider = _provider()
    one, two, both = (provider.build(batch, AT) for batch in ([_message(1)], [_message(2)], [_message(1), _message(2)]))
    assert len({request.headers["Idempotency-Key"] for request in (one, two, both)}) == 3
    assert [item["message_id"] for item in json.loads(both.body)["messages"]] == [f"{1:032x}", f"{2:032x}"]
    changed = provider.build([_message(1, content={"body": "y"})], AT)
    assert changed.headers["Idempotency-Key"] == one.headers["Idempotency-Key"]


@pytest.mark.parametrize("text", ['"', "\\", "\n\t\x00\x1f", "ü€😀", "</script>", "\u2028", "a" * 10_000, ""])
def test_every_text_is_written_as_json(text: str) -> None:
    message = _message(user_id=text, address=text, content={"body": text, text or "k": "v"}, variant=None)
    (item,) = json.loads(_provider().build([message], AT).body)["messages"]
    assert (item["user_id"], item["address"], item["content"]["body"], item["variant"]) == (text, text, text, None)
    assert (item["tags"], item["class"], item["ttl_seconds"]) == (["a", "b"], "marketing", 60)


def test_half_a_character_is_no_text() -> None:
    """It has no form in UTF-8; the message that has it is rejected, and its batch goes on (tests/deliver)."""
    with pytest.raises(TypeError):
        _provider().build([_message(content={"body": "\ud800"})], AT)


def _read(body: Any, status: int = 200) -> dict[str, tuple[str, str | None, str | None]]:
    batch = [_message(1), _message(2)]
    outcomes = _provider().read(HttpAnswer(status, {}, json.dumps(body).encode()), batch)
    return {str(int(one.message_id, 16)): (one.status, one.error_code, one.provider_message_id) for one in outcomes}


def test_single_results_are_read() -> None:
    told = [
        {"message_id": f"{1:032x}", "status": "rejected", "error_code": "gone", "provider_message_id": "p1"},
        {"message_id": f"{9:032x}", "status": "rejected"},
    ]
    assert _read({"results": told}) == {"1": ("rejected", "gone", "p1"), "2": ("accepted", None, None)}
    assert _read({"results": [{"message_id": f"{2:032x}", "status": "delivered?"}]})["2"][:2] == (
        "unknown",
        "bad_result",
    )
    assert _read({"results": [{"message_id": f"{2:032x}"}]})["2"][0] == "unknown"
    assert _read({"results": [{"message_id": [1], "status": "rejected"}]})["2"][0] == "accepted"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "rejected"), (408, "failed"), (409, "rejected"), (413, "rejected"), (429, "failed"), (500, "failed"),
     (501, "failed"), (502, "unknown"), (503, "failed"), (504, "unknown"), (520, "unknown"), (524, "unknown")],
)  # fmt: skip
def test_statuses_mean_what_the_reference_says(status: int, outcome: str) -> None:
    assert _read({}, status) == {"1": (outcome, f"http_{status}", None), "2": (outcome, f"http_{status}", None)}


@pytest.mark.parametrize("status", [301, 302, 307, 401, 402, 403, 404, 405, 407, 410])
def test_a_refusal_of_the_endpoint_blames_no_message(status: int) -> None:
    with pytest.raises(Unusable, match=str(status)):
        _read({}, status)
