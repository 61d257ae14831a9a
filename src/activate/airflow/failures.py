"""Tells Airflow what to do about an error: fail for good, skip, or try again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from activate.errors import ActivateError, RulesError, SettingsError, TimeOrderError


@contextlib.contextmanager
def told_to_airflow(is_replay: bool = False) -> Iterator[None]:
    """Translate Activate's errors; anything else goes through as it is.

    - Mistakes in rules or settings fail the task at once: a person has to mend them.
    - An instant that a later tick has overtaken is skipped, since that tick saw everything that this one would have.
      Only where a person asked for the instant (`is_replay`) it is a failure.
    - A lease held by another run, a warehouse or a provider that does not answer: the task's retries.

    The texts hold no address and no secret; causes are dropped, because theirs might.
    """
    try:
        yield
    except (RulesError, SettingsError) as error:
        raise AirflowFailException(str(error)) from None
    except TimeOrderError as error:
        raise (AirflowFailException if is_replay else AirflowSkipException)(str(error)) from None
    except ActivateError as error:
        raise AirflowException(f"{type(error).__name__}: {error}") from None
