"""Unsubscribe tokens: they name a person and a list, and cannot be made up."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activate.providers.unsubscribe import make_token, read_token

SECRET = "a-secret-of-some-length"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(TEXT, TEXT)
def test_a_token_is_read_back(user_id: str, list_name: str) -> None:
    token = make_token(user_id, list_name, SECRET)
    assert read_token(token, SECRET) == (user_id, list_name)
    assert all(character.isalnum() or character in "-_." for character in token)


@pytest.mark.parametrize("token", ["", ".", "a.b", "a.b.c", "ü.x", "WyJ1MSIsImVtYWlsIl0."])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="not an unsubscribe token"):
        read_token(token, SECRET)


def test_a_token_cannot_be_changed_or_made_without_the_secret() -> None:
    token = make_token("u1", "email", SECRET)
    _, signature = token.split(".")
    other = base64.urlsafe_b64encode(b'["u2","email"]').rstrip(b"=").decode()
    for wrong in (f"{other}.{signature}", make_token("u1", "email", "another secret, long enough")):
        with pytest.raises(ValueError, match="not an unsubscribe token"):
            read_token(wrong, SECRET)
