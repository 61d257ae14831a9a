"""Small draws from a seeded random source, shared by the modules that make worlds."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def chance(rng: Random, of: int) -> bool:
    """True once in `of` times."""
    return rng.randrange(of) == 0


def pick(rng: Random, *options: T) -> T:
    """One of the options; naming one twice makes it twice as likely."""
    return rng.choice(options)


def one_of(rng: Random, options: Sequence[T]) -> T:
    """One element of a sequence."""
    return rng.choice(options)
