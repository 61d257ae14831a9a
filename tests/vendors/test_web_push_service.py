"""Web push against a service that others wrote (npm web-push-testing): it checks the token and opens the message."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from activate.deliver.hand_over import Clock, Line
from activate.deliver.http import HttpCarrier
from activate.providers.base import Outcome, Outgoing
from activate.providers.jwt import b64url
from activate.providers.registry import create
from tests.providers.vendors import webpush

_FOLDER = Path(os.environ.get("ACTIVATE_WEB_PUSH", Path.home() / ".cache" / "activate-web-push"))
_SERVER = _FOLDER / "node_modules" / "web-push-testing" / "src" / "bin" / "server.js"
_INSTALL = "npm install --prefix ~/.cache/activate-web-push web-push-testing@1.2.2"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    if not _SERVER.exists() or shutil.which("node") is None:
        pytest.skip(f"the push service for tests is not installed; run: {_INSTALL}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(["node", str(_SERVER), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                assert requests.post(f"http://localhost:{port}/status", timeout=5).status_code == 200
                break
            except requests.ConnectionError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _subscribe(service: str) -> dict[str, Any]:
    asked = {"userVisibleOnly": "true", "applicationServerKey": b64url(webpush.point(webpush.vapid_key()))}
    found: dict[str, Any] = requests.post(f"{service}/subscribe", json=asked, timeout=5).json()["data"]
    return found


def _send(subscription: dict[str, Any], **options: str) -> Outcome:
    provider = create("mine", {"type": "webpush", **webpush.Peer().section, "hosts": "localhost", **options})
    content = {"title": "Grüße", "body": "Your cart waits \U0001f44b", "data": '{"cart": 42}'}
    message = Outgoing("1" * 32, "u1", "hello", 1, None, "web_push", json.dumps(subscription), content, ttl_seconds=60)
    assert provider.refuses(message) is None
    carrier = HttpCarrier(10)
    try:
        line = Line(provider, Clock(sleep=lambda _: None))
        return line.hand_over(carrier, [message], dt.datetime(2026, 3, 2, 12)).outcomes[0]
    finally:
        carrier.close()


def test_a_message_is_taken_and_opened(service: str) -> None:
    subscription = _subscribe(service)
    assert _send(subscription).status == "accepted"
    asked = {"clientHash": subscription["clientHash"]}
    got = requests.post(f"{service}/get-notifications", json=asked, timeout=5).json()["data"]["messages"]
    assert [json.loads(one) for one in got] == [
        {
            "title": "Grüße",
            "body": "Your cart waits \U0001f44b",
            "data": {"cart": 42},
            "message_id": "1" * 32,
            "campaign": "hello",
        }
    ]


def test_a_token_of_another_key_is_refused(service: str) -> None:
    """So the service is known to check."""
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert _send(_subscribe(service), private_key=pem).status in ("rejected", "failed")


def test_a_message_for_other_keys_is_refused(service: str) -> None:
    ours, others = _subscribe(service), _subscribe(service)
    assert _send({**ours, "keys": others["keys"]}).status == "rejected"


def test_an_expired_subscription_is_lost(service: str) -> None:
    subscription = _subscribe(service)
    assert requests.post(f"{service}/expire-subscription/{subscription['clientHash']}", timeout=5).status_code == 200
    outcome = _send(subscription)
    assert (outcome.status, outcome.lost) == ("rejected", "unregistered")
