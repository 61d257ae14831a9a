"""Keeps the garbage collector off what lives on: it walks over some 400,000 objects of the libraries in a tenth of a second."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def set_aside() -> Iterator[None]:
    """What exists now is not walked over before the end. Does nothing where somebody has set objects aside already."""
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
