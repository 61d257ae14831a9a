"""What holds for e-mail, whoever carries it: whom and what can be mailed, and what no value can do to a header."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activate.deliver.hand_over import Clock, Line
from activate.providers import mail
from activate.providers.base import Advice, HttpAnswer, HttpRequest, MailRequest, Outgoing, Unusable
from activate.providers.mail import Mail, ascii_address, mailbox, one_line
from activate.providers.registry import PROVIDERS, create
from activate.providers.unsubscribe import read_token
from tests.providers.vendors import SECRET, peer
from tests.providers.vendors.mailgun import delivered, read_form

AT = dt.datetime(2026, 3, 2, 12)
MAILERS = ["smtp", "sendgrid", "ses", "mailgun", "postmark"]
TEXTS = {"subject": "Hello", "text": "Hi", "html": "<p>Hi</p>"}


def provider(kind: str, **options: Any) -> Mail:
    found = create("mine", {"type": kind, **peer(kind).section, **options})
    assert isinstance(found, Mail)
    return found


def message(n: int = 0, *, address: str | None = None, **values: Any) -> Outgoing:
    content = {**TEXTS, **values.pop("content", {})}
    to = address or f"person{n}@private.example.com"
    return Outgoing(f"{n:032x}", f"u{n}", "hello", 1, None, "email", to, content, **values)


def request(kind: str, *batch: Outgoing, **options: Any) -> HttpRequest:
    made = provider(kind, **options).build(batch, AT)
    assert isinstance(made, HttpRequest)
    return made


# -- whom and what can be mailed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "handed_over"),
    [
        ("a@example.com", "a@example.com"),
        ("A.B+c@Example.COM", "A.B+c@Example.COM"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        # By IDNA 2003 (Python's codec) this would be fussball.de, which is somebody else's.
        ("a@fußball.de", "a@xn--fuball-cta.de"),
        ("a@例え.jp", "a@xn--r8jz45g.jp"),
        ("a@localhost", "a@localhost"),
        (f"{'x' * 64}@example.com", f"{'x' * 64}@example.com"),
        (f"{'x' * 65}@example.com", None),
        (f"a@{'x' * 63}.com", f"a@{'x' * 63}.com"),
        (f"a@{'x' * 64}.com", None),
        (f"a@{'b.' * 125}com", None),  # 255 octets
        ("bücher@example.com", None),  # needs SMTPUTF8
        ("a@b..c", None),
        ("a@.b", None),
        ("a@\N{ZERO WIDTH SPACE}", None),
        ("", None),
        ("a", None),
        ("@b.c", None),
        ("a@", None),
        ("a@b@c", None),
        ("a b@example.com", None),
        ("a@example.com, spy@example.com", None),
        ("a@example.com\nBcc: spy@example.com", None),
        ("<a@example.com>", None),
        ("Ann <a@example.com>", None),
        ('"a b"@example.com', None),
        ("a@example.com\x00", None),
    ],
)
def test_an_address_is_handed_over_in_ascii_or_not_at_all(address: str, handed_over: str | None) -> None:
    assert ascii_address(address) == handed_over


@given(
    st.text(st.sampled_from("aZ09.-_@+ é\n\u200b") | st.characters(), max_size=12).map(
        lambda text: text + "@b.c" * (len(text) % 2)
    )
)
def test_the_quick_way_and_the_whole_way_agree(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        quick = ascii_address(text)
        patch.setattr(mail, "_PLAIN_ADDRESS", re.compile("(?!)"))
        assert ascii_address(text) == quick
    assert one_line(text) == re.sub(r"[\s\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text).strip()


@pytest.mark.parametrize("kind", MAILERS)
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, None),
        ({"subject": ""}, "no_subject"),
        ({"subject": " \r\n\u2028 "}, "no_subject"),
        ({"subject": "x" * 998}, None),
        ({"subject": "x" * 999}, "subject_too_long"),
        ({"subject": "ü" * 500}, "subject_too_long"),
        ({"text": "", "html": ""}, "no_text"),
        ({"text": ""}, None),
        ({"html": ""}, None),
    ],
)
def test_what_cannot_be_mailed_is_refused_with_a_code(kind: str, changed: dict[str, str], code: str | None) -> None:
    assert provider(kind).refuses(message(content=changed)) == code


@pytest.mark.parametrize("kind", MAILERS)
def test_an_address_that_cannot_be_mailed_is_refused(kind: str) -> None:
    assert provider(kind).refuses(message(address="bücher@example.com")) == "bad_address"


@pytest.mark.parametrize("kind", MAILERS)
def test_lint_asks_for_a_way_to_unsubscribe_from_marketing_mail(kind: str) -> None:
    section = {key: value for key, value in peer(kind).section.items() if not key.startswith("unsubscribe")}
    if kind == "postmark":
        section["marketing_stream"] = "outbound"  # a broadcast stream brings a link of its own
    told = PROVIDERS[kind].misfits(section, "email", TEXTS, "marketing")
    assert len(told) == 1
    assert "without a way to unsubscribe" in told[0]
    assert isinstance(told[0], Advice)
    assert PROVIDERS[kind].misfits(section, "email", TEXTS, "transactional") == []
    assert PROVIDERS[kind].misfits(peer(kind).section, "email", TEXTS, "marketing") == []
    linked = {**TEXTS, "html": '<a href="https://shop.example.com/Unsubscribe?">no more</a>'}
    assert PROVIDERS[kind].misfits(section, "email", linked, "marketing") == []


def test_a_vendors_own_way_to_unsubscribe_counts() -> None:
    assert PROVIDERS["sendgrid"].misfits({"unsubscribe_group": 7}, "email", TEXTS, "marketing") == []
    assert PROVIDERS["postmark"].misfits({}, "email", TEXTS, "marketing") == []
    assert PROVIDERS["mailgun"].misfits({}, "email", {**TEXTS, "text": "%unsubscribe_url%"}, "marketing") == []


@pytest.mark.parametrize(
    ("subject", "words", "is_advice"),
    [
        ("x" * 999, "more than 998 octets", False),
        ("ü" * 500, "more than 998 octets", False),
        ("x" * 998, "998 characters", True),
        ("x" * 151, "151 characters", True),
        ("x" * 100 + "\n  " + "x" * 49, None, False),
        ("", None, False),  # nothing is fixed, but a person's values may fill it
    ],
)
def test_lint_measures_a_subjects_fixed_text(subject: str, words: str | None, is_advice: bool) -> None:
    told = PROVIDERS["smtp"].misfits({}, "email", {**TEXTS, "subject": subject}, "transactional")
    assert len(told) == (words is not None)
    assert words is None or words in told[0]
    assert [isinstance(sentence, Advice) for sentence in told] == [is_advice] * len(told)


def test_lint_sees_a_template_with_nothing_to_mail() -> None:
    told = PROVIDERS["smtp"].misfits({}, "email", {"subject": "x", "body": "y"}, "transactional")
    assert told == ["there is neither a block 'text' nor 'html', so nothing can be mailed"]


# -- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("", "a@e.com"),
        ("Shop", "Shop <a@e.com>"),
        ("Shop, Ltd.", '"Shop, Ltd." <a@e.com>'),
        ('The "Shop"', '"The \\"Shop\\"" <a@e.com>'),
        ("Läden", "Läden <a@e.com>"),
        ('Läden, "GmbH" \\', '"Läden, \\"GmbH\\" \\\\" <a@e.com>'),
    ],
)
def test_a_senders_name_is_quoted_where_it_must_be(name: str, written: str) -> None:
    assert mailbox(name, "a@e.com") == written


def _told_subject(kind: str, made: Any) -> str:
    if isinstance(made, MailRequest):
        return str(email.message_from_bytes(made.mime, policy=email.policy.default)["Subject"])
    if kind == "mailgun":
        return read_form(made)["subject"][0]
    body = json.loads(made.body)
    found = {
        "sendgrid": lambda: body["personalizations"][0]["subject"],
        "ses": lambda: body["Content"]["Simple"]["Subject"]["Data"],
        "postmark": lambda: body[0]["Subject"],
    }
    return str(found[kind]())


@pytest.mark.parametrize("kind", MAILERS)
@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\x00"])
def test_no_value_in_a_subject_can_begin_a_header(kind: str, breaks: str) -> None:
    made = provider(kind).build([message(content={"subject": f"Hello{breaks}Bcc: spy@example.com"})], AT)
    assert _told_subject(kind, made) == "Hello Bcc: spy@example.com"


@pytest.mark.parametrize("kind", MAILERS)
def test_one_click_unsubscribe_names_person_and_list_on_marketing_mail_only(kind: str) -> None:
    mine = provider(kind, unsubscribe_list="news")
    link = mine.one_click(message(7))["List-Unsubscribe"]
    assert link.startswith("<https://")
    assert link.endswith(">")
    assert read_token(link.strip("<>").rsplit("/", 1)[1], SECRET) == ("u7", "news")
    assert mine.one_click(message(7, message_class="transactional")) == {}
    made = mine.build([message(7, message_class="transactional")], AT)
    assert b"List-Unsubscribe" not in (made.mime if isinstance(made, MailRequest) else made.body)  # type: ignore[union-attr]


# -- two messages to one address ---------------------------------------------------------------------------------------


class _Vendor:
    """Takes every request, and keeps whom it was for."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.requests: list[list[str]] = []

    def carry(self, made: Any) -> HttpAnswer:
        if self.kind == "mailgun":
            self.requests.append(read_form(made)["to"])
        else:
            self.requests.append([one["to"][0]["email"] for one in json.loads(made.body)["personalizations"]])
        return HttpAnswer(200, {}, b"{}")


@pytest.mark.parametrize("kind", ["sendgrid", "mailgun"])
def test_two_messages_to_one_address_go_in_two_requests_and_none_is_lost(kind: str) -> None:
    """SendGrid refuses such a request as a whole, Mailgun would send one of them. Letters' case makes no difference."""
    batch = [message(n, address=to) for n, to in enumerate(["a@e.com", "b@e.com", "A@e.com", "c@e.com", "a@E.com"])]
    clock = Clock(now=lambda: AT, monotonic=lambda: 0.0, sleep=lambda _: None, chance=lambda: 0.0)
    vendor = _Vendor(kind)
    handed = Line(provider(kind), clock).hand_over(vendor, batch, AT)  # type: ignore[arg-type]
    assert {outcome.status for outcome in handed.outcomes} == {"accepted"}
    assert sorted(one for made in vendor.requests for one in made) == sorted(one.address for one in batch)
    assert all(len({one.lower() for one in made}) == len(made) for made in vendor.requests)
    assert len(vendor.requests) < len(batch)


# -- SendGrid ---------------------------------------------------------------------------------------------------------


def _errors(*fields: str | None) -> HttpAnswer:
    told = [{"message": "Does not contain a valid address.", "field": field, "help": "http://..."} for field in fields]
    return HttpAnswer(400, {}, json.dumps({"errors": told}).encode())


def test_sendgrid_names_bad_recipients_and_the_others_go_again() -> None:
    mine = provider("sendgrid")
    answer = _errors("personalizations.1.to.0.email", "personalizations.3")
    assert not mine.splits(answer)
    told = mine.read(answer, [message(n) for n in range(5)])
    assert [outcome.status for outcome in told] == ["failed", "rejected", "failed", "rejected", "failed"]


@pytest.mark.parametrize("fields", [("from.email",), ("personalizations.1.to", "subject"), (None,), ()])
def test_sendgrid_halves_a_batch_when_it_complains_of_something_else(fields: tuple[str | None, ...]) -> None:
    assert provider("sendgrid").splits(_errors(*fields))


def test_sendgrids_messages_share_a_request_only_if_their_texts_are_equal() -> None:
    mine = provider("sendgrid")
    together = mine.together(message(1))
    assert together == mine.together(message(2, content={"subject": "Another"}))
    for other in (
        message(2, content={"html": "x"}), message(2, content={"text": "x"}), message(2, tags=("x",)),
        message(2, message_class="transactional"), message(2)._replace(campaign="other"),
    ):  # fmt: skip
        assert together != mine.together(other)


def test_sendgrids_options_reach_the_request() -> None:
    body = json.loads(request("sendgrid", message(), unsubscribe_group=7, sandbox="true", ip_pool="main").body)
    assert body["asm"] == {"group_id": 7}
    assert body["mail_settings"] == {"sandbox_mode": {"enable": True}}
    assert body["ip_pool_name"] == "main"
    order = message(message_class="transactional")
    assert "asm" not in json.loads(request("sendgrid", order, unsubscribe_group=7).body)


# -- SES --------------------------------------------------------------------------------------------------------------


def _ses_error(kind: str, text: str = "", status: int = 400) -> HttpAnswer:
    return HttpAnswer(status, {"x-amzn-errortype": kind}, json.dumps({"message": text}).encode())


@pytest.mark.parametrize(
    "answer",
    [
        _ses_error("AccountSuspendedException"),
        _ses_error("SendingPausedException"),
        _ses_error("MailFromDomainNotVerifiedException"),
        _ses_error("LimitExceededException", "Daily message quota exceeded."),
        _ses_error("NotFoundException", status=404),
        _ses_error("AccessDeniedException", status=403),
        _ses_error("InvalidSignatureException:http://internal.amazon.com/coral/", status=403),
        _ses_error("MessageRejected", "Email address is not verified. Identities: A@shop.example.com"),
        _ses_error("MessageRejected", "Email address is not verified. Identities: shop.example.com"),
        HttpAnswer(400, {}, b'{"__type": "com.amazon.coral.service#ExpiredTokenException"}'),
    ],
)
def test_ses_stops_for_what_no_message_is_to_blame_for(answer: HttpAnswer) -> None:
    with pytest.raises(Unusable) as raised:
        provider("ses").read(answer, [message()])
    assert "@" not in f"{raised.value} {raised.value.code}"


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (_ses_error("TooManyRequestsException", status=429), "failed", "TooManyRequestsException"),
        (_ses_error("ThrottlingException"), "failed", "ThrottlingException"),
        (_ses_error("MessageRejected", "virus"), "rejected", "MessageRejected"),
        # In the sandbox recipients must be verified, too: also a colleague, at our own domain.
        (
            _ses_error("MessageRejected", "Email address is not verified. Identities: b@shop.example.com"),
            "rejected",
            "MessageRejected",
        ),
        (_ses_error("BadRequestException"), "rejected", "BadRequestException"),
        (_ses_error("InternalFailure", status=500), "failed", "http_500"),
        (HttpAnswer(400, {}, b""), "rejected", "http_400"),
    ],
)
def test_ses_tells_what_became_of_a_message(answer: HttpAnswer, status: str, code: str) -> None:
    (outcome,) = provider("ses").read(answer, [message()])
    assert (outcome.status, outcome.error_code) == (status, code)


def test_the_signature_is_the_one_of_awss_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore signs for the machine's clock; at that instant, ours is the same."""
    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    at = 1_772_452_800
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: dt.datetime.fromtimestamp(at, dt.UTC))
    for token in (None, "a-session-token"):
        made = request("ses", message(), **({"session_token": token} if token else {}))
        theirs = AWSRequest(made.method, made.url, dict(made.headers), made.body)
        botocore.auth.SigV4Auth(Credentials("AKIDEXAMPLE", SECRET, token), "ses", "eu-central-1").add_auth(theirs)
        mine = provider("ses", **({"session_token": token} if token else {})).sign(made, at)
        assert dict(mine.headers) == dict(theirs.headers)


def test_without_botocore_ses_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "botocore.auth", None)
    with pytest.raises(Unusable, match=r"install dbt-activate\[aws\]"):
        provider("ses").sign(request("ses", message()), 0)


# -- Mailgun ----------------------------------------------------------------------------------------------------------


def test_mailguns_messages_differ_within_one_request() -> None:
    batch = [
        message(n, content={"subject": f"S{n} %x%", "text": f'T{n} 100% \\ "q"', "html": f"<i>ü{n}</i>"})
        for n in range(3)
    ]
    assert len({provider("mailgun").together(one) for one in batch}) == 1
    got = delivered(read_form(request("mailgun", *batch)))
    for one in batch:
        mine = got[one.address]
        assert {part: mine[part] for part in TEXTS} == dict(one.content)
        assert mine["v:message_id"] == one.message_id


def test_mailgun_fills_nothing_into_a_message_that_speaks_of_recipients() -> None:
    mine = provider("mailgun")
    odd = [message(n, content={"text": "%recipient.subject%"}) for n in range(2)]
    assert len({mine.together(one) for one in [*odd, message(5)]}) == 3
    form = read_form(request("mailgun", odd[0]))
    assert form["text"] == ["%recipient.subject%"]
    assert "recipient-variables" not in form
    assert "sent as it stands" in PROVIDERS["mailgun"].misfits({}, "email", odd[0].content, "transactional")[0]


def test_mailguns_messages_share_a_request_only_if_its_fields_are_equal() -> None:
    mine = provider("mailgun")
    together = mine.together(message(1, ttl_seconds=7300))
    assert together == mine.together(message(2, ttl_seconds=7499))
    for other in (
        message(2, ttl_seconds=7500), message(2), message(2, ttl_seconds=7300, tags=("x",)),
        message(2, ttl_seconds=7300, content={"html": ""}), message(2, ttl_seconds=7300, message_class="transactional"),
    ):  # fmt: skip
        assert together != mine.together(other)


@pytest.mark.parametrize(
    ("ttl", "told"),
    [(None, None), (10, "0h5m"), (300, "0h5m"), (5399, "1h25m"), (86_400, "24h0m"), (90_000, None)],
)
def test_mailgun_is_told_how_long_a_message_is_worth_delivering(ttl: int | None, told: str | None) -> None:
    form = read_form(request("mailgun", message(ttl_seconds=ttl)))
    assert form.get("o:deliver-within") == ([told] if told else None)


def test_mailgun_stops_when_the_sender_is_to_blame_and_halves_otherwise() -> None:
    mine = provider("mailgun")
    theirs = b'{"message": "\'to\' parameter is not a valid address. please check documentation"}'
    assert mine.splits(HttpAnswer(400, {}, theirs))
    for told in (theirs.replace(b"'to'", b"'from'"), b'{"message": "from parameter is missing"}'):
        ours = HttpAnswer(400, {}, told)
        assert not mine.splits(ours)
        with pytest.raises(Unusable):
            mine.read(ours, [message()])


# -- Postmark ---------------------------------------------------------------------------------------------------------


def _results(*codes: int) -> HttpAnswer:
    return HttpAnswer(
        200, {}, json.dumps([{"ErrorCode": code, "Message": "x", "MessageID": "id-1"} for code in codes]).encode()
    )


def test_postmark_tells_each_message_its_own_end() -> None:
    told = provider("postmark").read(_results(0, 406, 300, 429, 413), [message(n) for n in range(5)])
    assert [(one.status, one.error_code, one.lost) for one in told] == [
        ("accepted", None, None), ("rejected", "406", "hard_bounce"), ("rejected", "300", None),
        ("failed", "429", None), ("failed", "413", None),
    ]  # fmt: skip


def test_postmark_stops_when_the_account_may_send_nothing_at_all() -> None:
    mine, batch = provider("postmark"), [message(n) for n in range(2)]
    with pytest.raises(Unusable):
        mine.read(_results(412, 413), batch)
    refused = HttpAnswer(422, {}, b'{"ErrorCode": 401, "Message": "not confirmed"}')
    assert not mine.splits(refused)
    with pytest.raises(Unusable):
        mine.read(refused, batch)
    assert mine.splits(HttpAnswer(422, {}, b'{"ErrorCode": 300}'))
    busy = HttpAnswer(422, {}, b'{"ErrorCode": 100}')
    assert not mine.splits(busy)
    assert {one.status for one in mine.read(busy, batch)} == {"failed"}


def test_postmarks_streams_follow_the_campaigns_class() -> None:
    body = json.loads(request("postmark", message(0), message(1, message_class="transactional")).body)
    assert [item["MessageStream"] for item in body] == ["broadcast", "outbound"]
