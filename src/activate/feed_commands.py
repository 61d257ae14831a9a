"""What the verbs about feeds do: serve, feed-token."""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from activate.errors import SettingsError
from activate.opening import options
from activate.report.text import to_json
from activate.settings import feed_secrets

if TYPE_CHECKING:
    from activate.feed.tokens import Keys


def _keys() -> Keys:
    try:
        from activate.feed.tokens import Keys  # noqa: PLC0415  # PyJWT is in an extra
    except ModuleNotFoundError as error:
        raise SettingsError(f"{error.name} is not installed; run: pip install 'dbt-activate[serve]'") from None
    return Keys(feed_secrets())


def _serve(args: argparse.Namespace) -> int:
    keys = _keys()
    origins = frozenset(_origin(origin) for origin in args.origin or ())
    from activate.feed.app import make_app  # noqa: PLC0415  # only for this verb
    from activate.feed.serve import open_place, run_server  # noqa: PLC0415

    if not args.verbose:
        # Without the access log, troubles are still told.
        log = logging.getLogger("activate.feed")
        log.setLevel(logging.WARNING)
        log.addHandler(logging.StreamHandler(sys.stderr))
    place = open_place(options(args), args.provider, most_stale=args.max_stale)
    with closing(place):
        app = make_app(place, keys, origins)
        run_server(app, args.host, args.port, args.threads, lambda url: print(f"Serving {url}/v1/feed", flush=True))
    return 0


def _origin(text: str) -> str:
    """A web origin as browsers send it: scheme, host and perhaps a port."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or text != f"{parts.scheme}://{parts.netloc}".lower():
        raise SettingsError(f"--origin {text!r} is not a web origin; write e.g. https://shop.example.com")
    return text


def _feed_token(args: argparse.Namespace) -> int:
    keys = _keys()
    from activate.feed.tokens import LONGEST  # noqa: PLC0415  # only for this verb

    if not args.person or "\0" in args.person:
        raise SettingsError("the person's key is empty")
    if not 0 < args.lasting <= LONGEST:
        raise SettingsError(f"a token holds for {LONGEST // 86_400} days at most")
    token, expires = keys.sign(args.person, args.lasting, args.channel or ())
    if args.json:
        expires_at = dt.datetime.fromtimestamp(expires, dt.UTC).replace(tzinfo=None)
        told = {"token": token, "user_id": args.person, "channels": args.channel or None, "expires_at": expires_at}
        print(to_json(told))
    else:
        print(token)
    return 0


VERBS: Mapping[str, Callable[[argparse.Namespace], int]] = {"serve": _serve, "feed-token": _feed_token}
