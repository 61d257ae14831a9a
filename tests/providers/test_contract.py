"""What every provider must do. Parametrized over the registry, so that registering a provider enrols it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from activate.errors import SettingsError
from activate.providers.base import (
    FileRequest,
    HttpAnswer,
    HttpRequest,
    MailAnswer,
    MailRequest,
    Outgoing,
    Provider,
    Unusable,
)
from activate.providers.registry import PROVIDERS, check, create

AT = dt.datetime(2026, 3, 2, 12)
SECRET = "a-secret-that-nobody-may-see"
SECTIONS: dict[str, dict[str, Any]] = {
    "file": {"path": "out/{date}.jsonl"},
    "webhook": {"url": "https://example.com/messages", "secret": SECRET},
    "smtp": {"host": "mail.example.com", "from": "a@example.com", "username": "me", "password": SECRET,
             "unsubscribe_url": "https://example.com/{token}", "unsubscribe_secret": SECRET},
}  # fmt: skip


@pytest.fixture(params=list(PROVIDERS))
def provider(request: pytest.FixtureRequest) -> Provider:
    return create("mine", {"type": request.param, **SECTIONS[request.param]})


def _batch(provider: Provider) -> list[Outgoing]:
    content = {"subject": "Grüße\n", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}
    return [
        Outgoing(f"{n:032x}", f"user {n}", "hello", 1, None, "email", f"person{n}@private.example.com", content)
        for n in range(min(3, provider.limits.batch))
    ]


def test_the_same_batch_makes_the_same_request(provider: Provider) -> None:
    assert provider.build(_batch(provider), AT) == provider.build(_batch(provider), AT)


def test_a_request_shows_neither_address_nor_content_nor_secret(provider: Provider) -> None:
    request = provider.build(_batch(provider), AT)
    if isinstance(request, HttpRequest):
        request = provider.sign(request, 1_700_000_000)
    shown = repr(request)
    for secret in (SECRET, "private.example.com", "héllo", "h\\xc3\\xa9llo"):
        assert secret not in shown


def test_the_request_fits_the_transport(provider: Provider) -> None:
    kinds = {"http": HttpRequest, "mail": MailRequest, "file": FileRequest}
    assert isinstance(provider.build(_batch(provider), AT), kinds[provider.transport])


def test_there_is_one_outcome_per_message_whatever_is_answered(provider: Provider) -> None:
    batch = _batch(provider)
    answers: dict[str, list[Any]] = {
        "http": [HttpAnswer(status, {}, body) for status in range(200, 600)
                 for body in (b"", b"{}", b"[]", b'{"results": 1}', b'{"results": [1]}', b"{", b'{"results": null}')],
        "mail": [MailAnswer(code) for code in (250, 354, 421, 450, 550, 554)],
        "file": [None],
    }  # fmt: skip
    for answer in answers[provider.transport]:
        try:
            outcomes = provider.read(answer, batch)
        except Unusable:
            continue
        assert sorted(outcome.message_id for outcome in outcomes) == sorted(message.message_id for message in batch)
        assert {outcome.status for outcome in outcomes} <= {"accepted", "rejected", "failed", "unknown"}


def test_success_is_accepted(provider: Provider) -> None:
    answer = {"http": HttpAnswer(204, {}, b""), "mail": MailAnswer(250), "file": None}[provider.transport]
    assert {outcome.status for outcome in provider.read(answer, _batch(provider))} == {"accepted"}


def test_options_are_checked_at_lint_without_secrets() -> None:
    for kind, section in SECTIONS.items():
        unresolved = {
            key: "{{ env_var('SOME_SECRET') }}" if value == SECRET else value for key, value in section.items()
        }
        assert check({"type": kind, **unresolved}) == []


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_secret_in_the_file_is_a_mistake(kind: str) -> None:
    secrets = [
        option.name for option in PROVIDERS[kind].all_options() if option.secret and option.name in SECTIONS[kind]
    ]
    problems = check({"type": kind, **SECTIONS[kind]})
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
            section = {"type": kind, **SECTIONS[kind], option.name: option.default}
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
