"""What every provider must do. Parametrized over the registry, so that registering a provider enrols it.

Each provider type has a peer in tests/providers/vendors that answers as the vendor documents it; without one the type
fails here.
"""

from __future__ import annotations

import datetime as dt
import socket
from typing import Any

import pytest

from activate.deliver.carry import InDoubt
from activate.deliver.hand_over import Clock, Line
from activate.errors import SettingsError
from activate.providers.base import (
    Answer,
    FileRequest,
    HttpAnswer,
    HttpRequest,
    MailAnswer,
    MailRequest,
    Outgoing,
    Provider,
    Request,
    RowsRequest,
    Unusable,
)
from activate.providers.registry import PROVIDERS, check, create
from tests.providers.vendors import SECRET, PeerLike, TokenPeer, peer

AT = dt.datetime(2026, 3, 2, 12)


class Case:
    """A provider and its peer."""

    def __init__(self, kind: str) -> None:
        self.peer: PeerLike = peer(kind)
        self.provider: Provider = create("mine", {"type": kind, **self.peer.section})

    def batch(self, size: int = 3) -> list[Outgoing]:
        return [
            Outgoing(f"{n:032x}", f"user {n}", "hello", 1, None, self.peer.channel, self.peer.address(n),
                     dict(self.peer.content), ttl_seconds=3600)
            for n in range(min(size, self.provider.limits.batch))
        ]  # fmt: skip

    def request(self, batch: list[Outgoing]) -> Request:
        """The request as it is posted."""
        request = self.provider.build(batch, AT)
        if isinstance(request, HttpRequest):
            if (asked := self.provider.token_request(1_772_452_800)) is not None:
                teller: TokenPeer = self.peer  # type: ignore[assignment]
                request = self.provider.authorize(request, self.provider.read_token(teller.token(asked)).value)
            request = self.provider.sign(request, 1_772_452_800)
        return request


_DEVIATIONS = {
    ("webpush", "test_the_same_batch_makes_the_same_request"):
        "each message is encrypted under a key and a salt of its own (RFC 8291, 3.1; RFC 8188, 2.1)",
    ("webpush", "test_refused_credentials_blame_no_message"):
        "one subscription that was made for another key is answered so, and must not stop the others",
}  # fmt: skip


@pytest.fixture(params=list(PROVIDERS))
def case(request: pytest.FixtureRequest) -> Case:
    if reason := _DEVIATIONS.get((request.param, request.node.originalname)):
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    return Case(request.param)


def test_the_same_batch_makes_the_same_request(case: Case) -> None:
    assert case.provider.build(case.batch(), AT) == case.provider.build(case.batch(), AT)


def test_a_request_shows_neither_address_nor_content_nor_secret(case: Case) -> None:
    batch = case.batch()
    shown = repr(case.request(batch)) + repr(batch) + repr(case.provider)
    for hidden in (SECRET, *(message.address for message in batch), *case.peer.content.values()):
        assert hidden not in shown or hidden == batch[0].user_id


def test_the_request_fits_the_transport(case: Case) -> None:
    kinds = {"http": HttpRequest, "http2": HttpRequest, "mail": MailRequest, "file": FileRequest, "table": RowsRequest}
    assert isinstance(case.provider.build(case.batch(), AT), kinds[case.provider.transport])


def test_a_full_batch_is_one_request_and_messages_of_one_content_may_share_it(case: Case) -> None:
    batch = case.batch(case.provider.limits.batch)
    assert len({case.provider.together(message) for message in batch}) == 1
    answer = case.peer.taken(case.request(batch), batch)
    assert {outcome.status for outcome in case.provider.read(answer, batch)} == {"accepted"}


def test_what_the_peer_takes_is_accepted(case: Case) -> None:
    batch = case.batch()
    outcomes = case.provider.read(case.peer.taken(case.request(batch), batch), batch)
    assert [(outcome.message_id, outcome.status) for outcome in sorted(outcomes)] == [
        (message.message_id, "accepted") for message in batch
    ]


def test_one_message_that_is_refused_harms_no_other(case: Case) -> None:
    batch = case.batch()
    answer, status, lost = case.peer.refused(case.request(batch), batch)
    told = {outcome.message_id: outcome for outcome in case.provider.read(answer, batch)}
    assert (told[batch[-1].message_id].status, told[batch[-1].message_id].lost) == (status, lost)
    if status != "accepted":
        assert told[batch[-1].message_id].error_code
    assert {told[message.message_id].status for message in batch[:-1]} <= {"accepted"}


_BODIES = (b"", b"{}", b"[]", b'{"results": 1}', b'{"results": [1]}', b"{", b'{"results": null}', b"null", b"\xff",
           b"<html>", b'{"errors": [null], "data": [], "error": "x", "messages": {}, "responses": 1}')  # fmt: skip


def _answers(provider: Provider) -> list[Answer]:
    if provider.transport == "mail":
        return [MailAnswer(code) for code in (250, 354, 421, 450, 550, 554)]
    if provider.transport in ("file", "table"):
        return [None]
    return [HttpAnswer(status, {}, body) for status in range(200, 600) for body in _BODIES]


def test_there_is_one_outcome_per_message_whatever_is_answered(case: Case) -> None:
    batch = case.batch()
    for answer in _answers(case.provider):
        try:
            outcomes = case.provider.read(answer, batch)
        except Unusable:
            continue
        assert sorted(outcome.message_id for outcome in outcomes) == sorted(message.message_id for message in batch)
        assert {outcome.status for outcome in outcomes} <= {"accepted", "rejected", "failed", "unknown"}


def test_a_success_that_cannot_be_read_is_never_called_a_failure(case: Case) -> None:
    """It may have been taken: tried again, it could be doubled."""
    if "http" not in case.provider.transport:
        pytest.skip("only HTTP answers have bodies")
    batch = case.batch()
    for body in (b"", b"{", b"<html>", b"\xff", b"null"):
        outcomes = case.provider.read(HttpAnswer(200, {}, body), batch)
        assert {outcome.status for outcome in outcomes} <= {"accepted", "unknown"}


def test_being_told_to_wait_is_not_final_and_a_server_error_neither(case: Case) -> None:
    if "http" not in case.provider.transport:
        pytest.skip("only HTTP has these statuses")
    batch = case.batch()
    for status in (429, 500, 503):
        outcomes = case.provider.read(HttpAnswer(status, {}, b""), batch)
        assert {outcome.status for outcome in outcomes} <= {"failed", "unknown"}, status
    assert {one.status for one in case.provider.read(HttpAnswer(429, {}, b""), batch)} == {"failed"}
    for status in (502, 504):  # a proxy gave up: it may have been taken
        assert {one.status for one in case.provider.read(HttpAnswer(status, {}, b""), batch)} == {"unknown"}


def test_refused_credentials_blame_no_message(case: Case) -> None:
    if "http" not in case.provider.transport:
        pytest.skip("only HTTP has these statuses")
    with pytest.raises(Unusable) as raised:
        case.provider.read(HttpAnswer(401, {}, b""), case.batch())
    assert SECRET not in str(raised.value)


def test_neither_address_nor_secret_reaches_an_outcome(case: Case) -> None:
    """A peer that quotes what it was sent, everywhere it can."""
    batch = case.batch()
    if "http" not in case.provider.transport:
        pytest.skip("only HTTP answers have texts that are read")
    for hidden in (batch[0].address, SECRET):
        quoted = f'"{hidden}"'
        keys = ("error", "message", "code", "id", "message_id", "MessageID", "ErrorCode", "Message", "sid", "status",
                "error_code", "name", "reason", "description", "title", "detail", "type")  # fmt: skip
        one = "{" + ", ".join(f'"{key}": {quoted}' for key in keys) + "}"
        for body in (one, f"[{one}]", f'{{"errors": [{one}], "error": {one}, "results": [{one}], "data": {one}}}'):
            for status in (200, 202, 400, 403, 404, 409, 410, 422, 429, 500):
                try:
                    outcomes = case.provider.read(HttpAnswer(status, {}, body.encode()), batch)
                except Unusable as error:
                    shown = f"{error} {error.code}"
                else:
                    shown = repr(outcomes)
                assert hidden not in shown


class _Silent:
    """A connection that loses every answer."""

    def __init__(self, case: Case) -> None:
        self.seen: list[Request] = []
        self._case = case

    def carry(self, request: Request) -> Answer:
        asked = self._case.provider.token_request(1_772_452_800)
        if isinstance(request, HttpRequest) and asked is not None and request.url == asked.url:
            teller: TokenPeer = self._case.peer  # type: ignore[assignment]
            return teller.token(request)
        self.seen.append(request)
        raise InDoubt("timeout")


def test_a_lost_answer_is_a_doubt_and_only_what_is_idempotent_is_repeated(case: Case) -> None:
    clock = Clock(now=lambda: AT, monotonic=lambda: 0.0, sleep=lambda _: None, chance=lambda: 0.0)
    carrier = _Silent(case)
    handed = Line(case.provider, clock).hand_over(carrier, case.batch(), AT)  # type: ignore[arg-type]
    assert {outcome.status for outcome in handed.outcomes} == {"unknown"}
    if not case.provider.idempotent:
        assert len(carrier.seen) == 1
        return
    assert len(carrier.seen) > 1
    assert all(request == carrier.seen[0] for request in carrier.seen)


def test_nothing_is_opened_to_build_or_to_read(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = case.batch()
    answer = case.peer.taken(case.request(batch), batch)

    def opened(*_: Any, **__: Any) -> Any:
        raise AssertionError("a provider must do no I/O")

    monkeypatch.setattr(socket, "socket", opened)
    monkeypatch.setattr(socket, "getaddrinfo", opened)
    monkeypatch.setattr("builtins.open", opened)
    case.provider.build(batch, AT)
    case.provider.read(answer, batch)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_the_example_works_and_hides_its_secrets(kind: str) -> None:
    provider = PROVIDERS[kind]
    assert provider.type == kind
    assert check({"type": kind, **provider.example}) == []
    for option in provider.all_options():
        if option.secret and option.name in provider.example:
            assert "env_var" in provider.example[option.name]


def test_options_are_checked_at_lint_without_secrets() -> None:
    for kind, provider in PROVIDERS.items():
        secrets = {option.name for option in provider.all_options() if option.secret}
        unresolved = {
            key: "{{ env_var('SOME_SECRET') }}" if key in secrets else value
            for key, value in peer(kind).section.items()
        }
        assert check({"type": kind, **unresolved}) == []


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_secret_in_the_file_is_a_mistake(kind: str) -> None:
    secrets = [
        option.name for option in PROVIDERS[kind].all_options() if option.secret and option.name in peer(kind).section
    ]
    problems = check({"type": kind, **peer(kind).section})
    assert len(problems) == len(secrets)
    for name, problem in zip(secrets, problems, strict=True):
        assert problem.startswith(f"'{name}' is a secret")
        assert "env_var" in problem
        assert SECRET not in problem


@pytest.mark.parametrize("kind", PROVIDERS)
def test_each_missing_option_is_named(kind: str) -> None:
    required = {option.name for option in PROVIDERS[kind].all_options() if option.required}
    assert {problem.split("'")[1] for problem in check({"type": kind})} == required


@pytest.mark.parametrize("kind", PROVIDERS)
def test_every_option_is_documented_and_its_default_is_allowed(kind: str) -> None:
    for option in PROVIDERS[kind].all_options():
        assert option.doc.endswith(".")
        if option.default is not None and not option.required:
            section = {"type": kind, **peer(kind).section, option.name: option.default}
            assert check(section, resolved=True) == [], option.name


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "'type' is missing"),
        ({"type": "webhok"}, "did you mean 'webhook'"),
        ({"type": ["webhook"]}, "there is no provider type"),
        ({"type": "file", "path": "x", "pathh": 1}, "did you mean 'path'"),
        ({"type": "file", "path": "x/{day}.jsonl"}, "{day} is not known"),
        ({"type": "file", "path": "x", "batch": 0}, "from 1 to 10000"),
        ({"type": "file", "path": "x", "batch": "many"}, "not a whole number"),
        ({"type": "file", "path": "x", "include_address": "perhaps"}, "write true or false"),
        ({"type": "file", "path": ["x"]}, "write one value"),
        ({"type": "file", "path": "x", "per_second": float("nan")}, "out of bounds"),
        ({"type": "file", "path": "x", "timeout": "soon"}, "is not a duration"),
        ({"type": "webhook", "url": "http://example.com", "secret": SECRET}, "plain sight"),
        ({"type": "webhook", "url": "https://me:pw@example.com", "secret": SECRET}, "must not hold a password"),
        ({"type": "webhook", "url": "ftp://example.com", "secret": SECRET}, "not a web address"),
        ({"type": "webhook", "url": "https://example.com", "secret": "short"}, "'secret' is too short"),
        ({"type": "webhook", "url": "https://example.com", "secret": "whsec_?"}, "not base64"),
        ({"type": "webhook", "url": "https://e.com", "secret": SECRET, "headers": {"A\nB": "x"}}, "not a header's name"),
        ({"type": "webhook", "url": "https://e.com", "secret": SECRET, "headers": {"A": "x\ny"}}, "visible ASCII"),
        ({"type": "webhook", "url": "https://e.com", "secret": SECRET, "headers": {"Host": "x"}}, "set by Activate"),
        ({"type": "webhook", "url": "https://e.com", "secret": SECRET, "headers": "A: x"}, "names and values"),
        ({"type": "smtp", "host": "h", "from": "nobody"}, "is not a sender"),
        ({"type": "smtp", "host": "h", "from": "A\nBcc: x <a@example.com>"}, "is not a sender"),
        ({"type": "smtp", "host": "h", "from": "a@e.com", "security": "startls"}, "did you mean 'starttls'"),
        ({"type": "smtp", "host": "h", "from": "a@e.com", "username": "me"}, "a login needs one"),
        ({"type": "smtp", "host": "h", "from": "a@e.com", "unsubscribe_url": "http://e.com/{token}",
          "unsubscribe_secret": SECRET}, "must be https"),
        ({"type": "smtp", "host": "h", "from": "a@e.com", "unsubscribe_url": "https://e.com/",
          "unsubscribe_secret": SECRET}, "write {token}"),
        ({"type": "smtp", "host": "h", "from": "a@e.com", "unsubscribe_url": "https://e.com/{token}"}, "go together"),
    ],
)  # fmt: skip
def test_wrong_options_are_told(section: dict[str, Any], message: str) -> None:
    assert message in "\n".join(check(section, resolved=True))
    with pytest.raises(SettingsError) as raised:
        create("mine", section)
    assert "providers.mine: " in str(raised.value)
    assert SECRET not in str(raised.value)
