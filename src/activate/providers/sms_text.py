"""How many segments a text message takes, and which characters make it expensive.

Alphabet and sizes are those of 3GPP TS 23.038 (GSM 03.38), 6.2.1, and TS 23.040, 9.2.3.24.1: a segment holds 140 octets,
which are 160 septets or 70 UTF-16 units; from the second segment on each gives 6 octets to the header that joins them,
which leaves 153 or 67. A character of the extension table is two septets (an escape and its code), which must stay in
one segment, and so must the two halves of a surrogate pair. Twilio's calculator (twilio.com/docs/glossary/what-sms-
character-limit, npm sms-segments-calculator) counts the same, save that it also keeps the parts of a combined emoji
together, which can make it count one segment more.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_ALL = _BASIC | _EXTENDED
# Septets or UTF-16 units that fit a message of one segment, and each segment of a longer one.
_ROOM = {"GSM-7": (160, 153), "UCS-2": (70, 67)}
_DEAREST = 33  # characters that fit a segment even if all of them are surrogate pairs
_SHOWN = 5


class SmsSize(NamedTuple):
    """What a text takes. `units` are septets for GSM-7, UTF-16 units for UCS-2.

    `costly` are the characters outside the GSM alphabet, each once, in order: they alone force UCS-2.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    segments: int
    costly: tuple[str, ...] = ()


def sms_size(text: str) -> SmsSize:
    """Measure a text as it would be sent. The empty text takes one segment, as an empty message does."""
    used = set(text)
    if used <= _ALL:
        doubles = sum(text.count(character) for character in used & _EXTENDED)
        units = len(text) + doubles
        return SmsSize("GSM-7", units, _segments(text, _EXTENDED, units, doubles, *_ROOM["GSM-7"]))
    astral = frozenset(character for character in used if ord(character) > 0xFFFF)
    doubles = sum(text.count(character) for character in astral)
    units = len(text) + doubles
    costly = tuple(dict.fromkeys(character for character in text if character not in _ALL))
    return SmsSize("UCS-2", units, _segments(text, astral, units, doubles, *_ROOM["UCS-2"]), costly)


def _segments(text: str, double: frozenset[str], units: int, doubles: int, alone: int, joined: int) -> int:
    """The number of segments; characters in `double` take two units, which stay together."""
    if units <= alone:
        return 1
    if not doubles:
        return -(-units // joined)
    segments, free = 1, joined
    for character in text:
        cost = 2 if character in double else 1
        if cost > free:
            segments, free = segments + 1, joined
        free -= cost
    return segments


def sms_fits(text: str, most: int) -> bool:
    """Whether a text takes at most so many segments. Short ones do whatever they are made of, and are not measured."""
    return len(text) <= _DEAREST * most or sms_size(text).segments <= most


def sms_problem(text: str, most: int) -> str | None:
    """Say that a text takes more than `most` segments, with the figures; None if it fits."""
    size = sms_size(text)
    if size.segments <= most:
        return None
    unit = "septets of the GSM alphabet" if size.encoding == "GSM-7" else "UTF-16 units"
    said = f"takes {size.segments:,} SMS segments ({size.units:,} {unit}); at most {most:,} are sent"
    if not size.costly:
        return said
    shown = " ".join(f"{character!r}" for character in size.costly[:_SHOWN])
    more = " and others are" if len(size.costly) > _SHOWN else " are" if len(size.costly) > 1 else " is"
    return f"{said}. {shown}{more} not in the GSM alphabet, so that a segment holds 67 characters in place of 153"
