"""Golden tests: what each advertising platform documents of its identifiers is what is sent, hashed in the warehouse.

Sources: Meta, guides/custom-audiences ("Hashing and Normalization": addresses trimmed and in lower case; phone numbers as
digits with the country code, without symbols and leading zeros). Google Ads API, customer-match ("remove leading or trailing
white space, lower case, E.164"; no word of dots). Google's Data Manager API, get-started/formatting and its library
google-ads-datamanager-util 0.4 (which also drops what follows a plus sign). TikTok, "List of supported IDs and formats for a
customer file", with two published hashes.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.audiences.town import Peer, Town, sha

GERMAN = {"country_code": "+49"}


def sent(town: Town, peer: Peer, text: str | None, **how: Any) -> set[str]:
    """The members that the destination holds, when the only person's identifier is this text."""
    town.put("people", {"user_id": "dana", "email": text})
    town.segment("vips", ["dana"]).audience(identify_by={"column": "email", "hash": "sha256", **how}).sync()
    return set(peer.members())


@pytest.mark.parametrize(
    "text",
    ["dana@example.com", "Dana@example.com", " DANA@EXAMPLE.COM\n", "\tdana@Example.com", "dana@example.com\u00a0"],
)
@pytest.mark.parametrize("how", ["email", "email_gmail"])
def test_an_address_is_the_same_person_however_it_is_written(town: Town, peer: Peer, text: str, how: str) -> None:
    assert sent(town, peer, text, normalise=how) == {sha("dana@example.com")}


@pytest.mark.parametrize(
    ("how", "text", "normal"),
    [
        # Meta, the Google Ads API and TikTok leave dots and plus signs alone.
        ("email", "D.a.na+Shop@gmail.com", "d.a.na+shop@gmail.com"),
        # The Data Manager API does not, for Gmail and nobody else; these are the results of Google's library.
        ("email_gmail", "D.a.na+Shop@gmail.com", "dana@gmail.com"),
        ("email_gmail", "d.a.na@googlemail.com", "dana@googlemail.com"),
        ("email_gmail", "d.a.na+shop@example.com", "d.a.na+shop@example.com"),
        ("email_gmail", "d.a.na@mail.gmail.com", "d.a.na@mail.gmail.com"),
    ],
)
def test_dots_of_gmail_stay_unless_the_platform_wants_them_gone(
    town: Town, peer: Peer, how: str, text: str, normal: str
) -> None:
    assert sent(town, peer, text, normalise=how) == {sha(normal)}


@pytest.mark.parametrize(
    ("text", "more", "digits"),
    [
        ("(800) 555-0100", {"country_code": "+1"}, "18005550100"),
        ("+1 800 5550102", {}, "18005550102"),
        ("+374-93-828222", {}, "37493828222"),
        ("0049 (30) 901820", {}, "4930901820"),
        ("030 / 901820", GERMAN, "4930901820"),
        ("+49.30.901820", GERMAN, "4930901820"),
    ],
)
@pytest.mark.parametrize(("how", "sign"), [("phone", "+"), ("phone_digits", "")])
def test_a_phone_number_is_e164_for_google_and_digits_for_meta(
    town: Town, peer: Peer, text: str, more: dict[str, Any], digits: str, how: str, sign: str
) -> None:
    assert sent(town, peer, text, normalise=how, **more) == {sha(f"{sign}{digits}")}


def test_tiktoks_published_hashes_are_ours(town: Town, peer: Peer) -> None:
    published = "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"
    assert sent(town, peer, " JaneDoe@gmail.com", normalise="email") == {published}


def test_tiktoks_published_hash_of_a_phone_number_is_that_of_its_digits(town: Town, peer: Peer) -> None:
    """The page asks for a plus sign, and shows the hash of the number without one; it takes both."""
    published = "65b7e6dcf6f4310f8d7cbfbd78289a753062fb054d6664fb9aaac5df66a422d4"
    assert sent(town, peer, "+37493828222", normalise="phone_digits") == {published}


@pytest.mark.parametrize("how", ["email", "email_gmail", "phone", "phone_digits"])
def test_a_hash_is_not_hashed_again(town: Town, peer: Peer, how: str) -> None:
    known = sha("dana@example.com")
    assert sent(town, peer, known.upper(), normalise=how) == {known}


@pytest.mark.parametrize("text", ["", "   ", "dana", "dana@", "@example.com", "a@b@example.com", "dana@example", None])
def test_what_is_no_address_is_sent_to_nobody(town: Town, peer: Peer, text: str | None) -> None:
    assert sent(town, peer, text, normalise="email") == set()
    assert peer.told == []
