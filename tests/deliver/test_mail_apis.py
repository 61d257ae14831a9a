"""E-mail through vendors' APIs, from the outbox to a server that behaves as they document: each mail once, in few requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from post_office import MakeOffice, PostOffice, address, message_id
from tests.providers.vendors.mailgun import delivered, read_form

from activate.providers.base import HttpRequest

SECRET = "a-secret-of-some-length"
SAME = "{% block subject %}Hello {{ profile.first_name }}{% endblock %}{% block text %}Sale!{% endblock %}"


@dataclass
class Vendor:
    """What a vendor's server was asked, and whom it mailed what."""

    kind: str
    bad: set[str] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)
    mailed: list[tuple[str, str, str]] = field(default_factory=list)  # address, message id, subject
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        return self._sendgrid(json.loads(body)) if self.kind == "sendgrid" else self._mailgun(headers, body)

    def _sendgrid(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        people = [(one["to"][0]["email"], one) for one in body["personalizations"]]
        self.sizes.append(len(people))
        errors = [
            {"message": "Does not contain a valid address.", "field": f"personalizations.{at}.to.0.email"}
            for at, (to, _) in enumerate(people)
            if to in self.bad
        ]
        if len({to.lower() for to, _ in people}) < len(people):
            text = "Each unique email address in the personalizations array should only be included once."
            errors.append({"message": text, "field": "personalizations"})
        if errors:
            return 400, {"errors": errors}
        self.mailed += [(to, one["custom_args"]["message_id"], one["subject"]) for to, one in people]
        return 202, {}

    def _mailgun(self, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        form = read_form(HttpRequest("POST", "", {"Content-Type": headers["Content-Type"]}, body))
        self.sizes.append(len(form["to"]))
        if self.bad & set(form["to"]):
            return 400, {"message": "'to' parameter is not a valid address. please check documentation"}
        # Duplicate addresses are ignored.
        self.mailed += [(to, mail["v:message_id"], mail["subject"]) for to, mail in delivered(form).items()]
        return 200, {"id": "<1@mg.example.com>", "message": "Queued. Thank you."}


@contextmanager
def serving(vendor: Vendor) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out by themselves: each answer would wait 40 ms

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with vendor.lock:
                status, told = vendor.answer(self.headers, body)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(params=["sendgrid", "mailgun"])
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return Vendor(request.param)


def _office(make: MakeOffice, vendor: Vendor, url: str, template: str | None = None) -> PostOffice:
    section = {
        "type": vendor.kind, "url": url, "api_key": SECRET, "from": "Shop <a@shop.example.com>",
        **({"domain": "mg.example.com"} if vendor.kind == "mailgun" else {}),
    }  # fmt: skip
    office = make({"mail": section}).people(30)
    if template:
        (office.project.templates / "sale.email.j2").write_text(template)
    return office.queue(range(30), **({"template": "sale"} if template else {}))


def test_who_gets_one_text_shares_a_request_and_each_gets_the_own_subject(
    duckdb_only: MakeOffice, vendor: Vendor
) -> None:
    with serving(vendor) as url:
        assert _office(duckdb_only, vendor, url, SAME).deliver().counts == {"accepted": 30}
    assert vendor.sizes == [30]
    assert sorted(vendor.mailed) == sorted((address(n), message_id(n), f"Hello Ann{n}") for n in range(30))


def test_texts_that_differ_share_a_request_where_the_vendor_can_tell_them_apart(
    duckdb_only: MakeOffice, vendor: Vendor
) -> None:
    with serving(vendor) as url:
        assert _office(duckdb_only, vendor, url).deliver().counts == {"accepted": 30}
    assert len(vendor.sizes) == {"sendgrid": 30, "mailgun": 1}[vendor.kind]
    assert sorted(vendor.mailed) == sorted((address(n), message_id(n), f"Hello Ann{n}") for n in range(30))


def test_one_address_for_two_people_and_one_that_is_refused_cost_nobody_else_anything(
    duckdb_only: MakeOffice, vendor: Vendor
) -> None:
    vendor.bad = {address(7), address(20)}
    with serving(vendor) as url:
        office = _office(duckdb_only, vendor, url, SAME)
        office.sql(f"UPDATE shop.profiles SET email = UPPER('{address(3)}') WHERE user_id IN ('u4', 'u25')")
        assert office.deliver().counts == {"accepted": 28, "rejected": 2}
    mailed = [one for _, one, _ in vendor.mailed]
    assert sorted(mailed) == sorted(message_id(n) for n in range(30) if n not in (7, 20))
    assert len(vendor.sizes) < 20
