"""Fixtures of these tests: the tiny project of cli_place."""

from cli_place import either_place, place

__all__ = ["either_place", "place"]
