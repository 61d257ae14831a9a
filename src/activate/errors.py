"""Errors by what the caller does next: fix a rule, fix the settings, wait, or try again.

Every class carries the exit code that the command ends with, so that a shell script or an operator can
branch on it. Messages never hold an address, a secret or a rendered body.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal


class ActivateError(Exception):
    """Base of all errors that Activate raises on purpose. Exit code 1."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake in a file that a person wrote.

    `file` is relative to the project, `line` counts from 1 (0: the file as a whole). `severity` is `error`
    (nothing runs until it is mended) or `warning`.
    """

    file: str
    line: int
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.severity}: {self.message}"


class RulesError(ActivateError):
    """The rules (or the dbt models they name) have mistakes; all of them are listed. Exit code 2."""

    exit_code = 2

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        errors = sum(mistake.severity == "error" for mistake in self.mistakes)
        warnings = len(self.mistakes) - errors
        head = f"{errors} mistake{'s' if errors != 1 else ''} in the rules"
        head += f", and {warnings} warning{'s' if warnings != 1 else ''}:" if warnings else ":"
        super().__init__("\n".join([head, *(f"  {mistake}" for mistake in self.mistakes)]))


class UsageError(ActivateError):
    """The command was typed wrongly. Exit code 64."""

    exit_code = 64


class SettingsError(ActivateError):
    """The project, the dbt profile, the manifest or a secret is missing or wrong. Exit code 3."""

    exit_code = 3


class LeaseHeldError(ActivateError):
    """Another tick (or delivery) of this project is running; try again when it has ended. Exit code 4."""

    exit_code = 4


Cause = Literal["data", "connection", "conflict", "statement"]


class WarehouseError(ActivateError):
    """The warehouse refused a statement or cannot be reached; nothing was recorded. Exit code 5.

    `cause`: some rows' values (`data`), a lost connection (`connection`), another transaction or a limit of the moment
    (`conflict`, worth another try), or the statement itself, such as a missing right or table (`statement`). `code` is
    a short word for it that quotes nothing.
    """

    exit_code = 5

    def __init__(self, text: str, cause: Cause = "statement", code: str = "warehouse_error") -> None:
        self.cause = cause
        self.code = code
        super().__init__(text)

    @property
    def about_data(self) -> bool:
        """Whether some rows are to blame, so that others might pass."""
        return self.cause == "data"


class TimeOrderError(ActivateError):
    """The tick's `now` lies before a tick that is already recorded. Exit code 6."""

    exit_code = 6


class DeliveryError(ActivateError):
    """A provider could not be used at all; what was claimed is recorded, the rest waits. Exit code 7."""

    exit_code = 7


class PlanChangedError(ActivateError):
    """What would be done is not what was planned any more; nothing was done. Exit code 8."""

    exit_code = 8


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the allowed word nearest to `word`, or an empty string."""
    matches = difflib.get_close_matches(str(word), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""
