"""An address in its uniform form and its hash, in Python and in SQL: what a suppression knows an address by.

The two must agree to the byte, on every warehouse, so only ASCII letters are made small (what LOWER does with others
depends on the database's locale) and nothing is guessed: `Ann@Shop.example` and `ann@shop.example ` are one address,
`+1 (555) 0100` and `0015550100` are one number, and everything else (push tokens, keys) is taken as it is.
"""

from __future__ import annotations

import hashlib
import string

from sqlglot import exp

from activate.warehouses.dialect import Dialect

_BLANKS = " \t\r\n\u00a0"
_PHONE_MARKS = _BLANKS + "()-./"
_PHONES = ("sms", "whatsapp")
_MAIL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase, _BLANKS)
_PHONE = str.maketrans("", "", _PHONE_MARKS)


def uniform(channel: str, address: str) -> str:
    """The address as it is hashed: e-mail in small letters, numbers as `+` and digits, without blanks."""
    if channel == "email":
        return address.translate(_MAIL)
    if channel in _PHONES:
        bare = address.translate(_PHONE)
        return f"+{bare[2:]}" if bare.startswith("00") else bare
    return address


def address_hash(channel: str, address: str) -> str:
    """SHA-256 of the uniform address, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(uniform(channel, address).encode()).hexdigest()


def hash_of(channel: str, text: exp.Expr, dialect: Dialect) -> exp.Expr:
    """The same of a TEXT expression, in SQL; NULL stays NULL."""
    return dialect.sha256(uniform_of(channel, text))


def uniform_of(channel: str, text: exp.Expr) -> exp.Expr:
    """The uniform form of a TEXT expression, in SQL."""
    if channel == "email":
        return _translate(text, string.ascii_uppercase + _BLANKS, string.ascii_lowercase)
    if channel in _PHONES:
        bare = _translate(text, _PHONE_MARKS, "")
        long = exp.Like(this=bare, expression=exp.Literal.string("00%"))
        rest = exp.Anonymous(this="SUBSTR", expressions=[bare.copy(), exp.Literal.number(3)])
        joined = exp.DPipe(this=exp.Literal.string("+"), expression=rest, safe=False)
        return exp.Case(ifs=[exp.If(this=long, true=joined)], default=bare.copy())
    return text.copy()


def _translate(text: exp.Expr, found: str, put: str) -> exp.Expr:
    return exp.Anonymous(
        this="TRANSLATE", expressions=[text.copy(), exp.Literal.string(found), exp.Literal.string(put)]
    )
