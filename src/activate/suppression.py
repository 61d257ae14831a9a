"""Which addresses a channel is not to be used for: the one condition over `suppressions`, for all who ask (docs/rules.md, section 9).

A subject is an address (by its hash) or a person, on one channel. What was lost (the address does not exist any more) and
what was refused (its owner opted out or complained) are released separately: a resubscription mends no dead mailbox.
"""

from __future__ import annotations

from typing import Literal

from activate.policy import Channel
from activate.tables import SUPPRESSIONS

Reason = Literal["unregistered", "hard_bounce", "opted_out", "complained"]

_LOST = "('unregistered', 'hard_bounce')"
_REFUSED = "('opted_out', 'complained')"

_IN_FORCE = f"""
SELECT h.channel, h.address_hash, h.user_id,
  CASE WHEN h.lost_at >= COALESCE(h.mended_at, h.lost_at) THEN h.lost_at END AS lost_at,
  CASE WHEN h.refused_at >= COALESCE(h.returned_at, h.refused_at) THEN h.refused_at END AS refused_at
FROM (
  SELECT s.channel, s.address_hash, CASE WHEN s.address_hash IS NULL THEN s.user_id END AS user_id,
    MAX(CASE WHEN s.reason IN {_LOST} AND s.status = 'suppressed' THEN s.occurred_at END) AS lost_at,
    MAX(CASE WHEN s.reason IN {_LOST} AND s.status = 'released' THEN s.occurred_at END) AS mended_at,
    MAX(CASE WHEN s.reason IN {_REFUSED} AND s.status = 'suppressed' THEN s.occurred_at END) AS refused_at,
    MAX(CASE WHEN s.reason IN {_REFUSED} AND s.status = 'released' THEN s.occurred_at END) AS returned_at
  FROM state.{SUPPRESSIONS.name} AS s WHERE :among
  GROUP BY s.channel, s.address_hash, CASE WHEN s.address_hash IS NULL THEN s.user_id END
) AS h
WHERE h.lost_at >= COALESCE(h.mended_at, h.lost_at) OR h.refused_at >= COALESCE(h.returned_at, h.refused_at)
"""


def in_force(among: str = "") -> str:
    """Each subject (of those rows `s` for which `among` is true) with the instants since when it is lost and refused.

    SQL of columns channel, address_hash, user_id, lost_at and refused_at; of what happened at one instant, the suppression
    wins. `among` is a constant condition.
    """
    return _IN_FORCE.replace(" WHERE :among", f" WHERE {among}" if among else "")


def spares_transactional(channel: str) -> bool:
    """Whether a refusal on the channel leaves transactional messages alone: of e-mail it does, a STOP holds for all."""
    return channel == "email"


def can_return(channel: Channel) -> bool:
    """Whether a later registration of the address releases it."""
    return channel.registered is not None
