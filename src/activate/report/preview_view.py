"""Prints a rendered message, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.rule import Rule
from rich.text import Text


class Rendered(Protocol):
    """What there is to print of a rendered message (`activate.deliver.preview.Preview`)."""

    @property
    def campaign(self) -> str:
        """The campaign's name."""

    @property
    def step(self) -> int:
        """The step, counted from 1."""

    @property
    def channel(self) -> str:
        """The channel."""

    @property
    def variant(self) -> str | None:
        """The variant, if the campaign has any."""

    @property
    def template(self) -> str:
        """The template's file."""

    @property
    def content(self) -> Mapping[str, str]:
        """The blocks."""

    @property
    def problem(self) -> str | None:
        """Why it would not be sent."""


def show_preview(console: Console, found: Rendered) -> None:
    """Print where the message comes from, why it would not be sent (if so), and every block under its name."""
    variant = f", variant {found.variant}" if found.variant else ""
    head = f"{found.campaign}, step {found.step}, by {found.channel}{variant}: rules/templates/{found.template}"
    console.print(Text(head, style="bold"))
    if found.problem:
        console.print(Text(f"It would not be sent: {found.problem}.", style="yellow"))
    for block, text in found.content.items():
        console.print(Rule(Text(block, style="dim"), align="left", style="dim"))
        console.print(Text(text), soft_wrap=True)
