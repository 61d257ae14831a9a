"""From the project's settings to a running server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from activate.errors import RulesError, SettingsError, nearest
from activate.feed.items import ENGAGEMENTS
from activate.feed.places import Place, Pool, Snapshot
from activate.load.rules import load_rules
from activate.policy import Policy
from activate.project import Relation
from activate.providers.feed import Feed, relation
from activate.settings import Options, Target, load_target, resolve_provider
from activate.warehouses.base import Warehouse
from activate.warehouses.registry import connect, duckdb_file


def open_place(options: Options, provider: str | None = None, *, most_stale: float = 900.0) -> Place:
    """What the endpoint reads: the table of the project's feed, found from rules/activate.yml and the dbt profile.

    Raises RulesError when rules/activate.yml cannot be read, SettingsError when it has no such feed or the target cannot
    be used, WarehouseError when a server cannot be reached.
    """
    rules = load_rules(options.project_dir)
    if rules.policy is None:
        raise RulesError(rules.mistakes)
    feed = relation(resolve_provider("feed", _section(rules.policy, provider), options.secrets))
    engagements = Relation(rules.policy.state.schema_, ENGAGEMENTS)
    target = load_target(options)
    if target.type != "duckdb":
        _read_only(connect(target)).close()  # what is wrong with the target is told now
        return Pool(lambda: _read_only(connect(target)), feed, engagements)
    return Snapshot(_file(target), feed, engagements, most_stale=most_stale)


def _section(policy: Policy, name: str | None) -> dict[str, Any]:
    """The section of the feed to serve."""
    sections = {name: section for name, section in policy.providers.items() if section.get("type") == Feed.type}
    if any(channel.provider == Feed.type for channel in policy.channels.values()):
        sections.setdefault(Feed.type, {"type": Feed.type})
    if name is not None:
        if name not in sections:
            allowed = ", ".join(sections) or "none"
            raise SettingsError(f"no provider {name!r} of type `feed`; allowed: {allowed}{nearest(name, sections)}")
        return sections[name]
    if not sections:
        raise SettingsError("rules/activate.yml has no provider of type `feed`; docs/feed.md shows how to set one up")
    if len({relation(section) for section in sections.values()}) > 1:
        raise SettingsError(f"there are several feeds ({', '.join(sections)}); choose one with --provider")
    return next(iter(sections.values()))


def _read_only(warehouse: Warehouse) -> Warehouse:
    warehouse.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    warehouse.execute("SET statement_timeout = '5s'")
    return warehouse


def _file(target: Target) -> str:
    file = duckdb_file(target)
    if file == ":memory:" or ":" in file.split("/", maxsplit=1)[0]:
        raise SettingsError(f"target {target.name!r}: a feed is served from a DuckDB file, and `path` names none")
    return file


def require_server() -> Callable[..., Any]:
    """What makes servers. Raises SettingsError when waitress is not installed."""
    try:
        from waitress import create_server  # noqa: PLC0415  # an extra
    except ModuleNotFoundError:
        raise SettingsError("the server is not installed; run: pip install 'dbt-activate[serve]'") from None
    made: Callable[..., Any] = create_server
    return made


def open_server(app: Any, host: str, port: int, threads: int, max_body: int) -> Any:
    """A server that listens already; `run()` answers. A body has at most `max_body` bytes.

    A connection that says nothing for 30 seconds is closed, and five hundred may be open, so that a few idle ones keep
    nobody out. Raises SettingsError when waitress is not installed or the address cannot be listened on.
    """
    make = require_server()
    try:
        return make(
            app, host=host, port=port, threads=threads, ident=None, channel_timeout=30, cleanup_interval=10,
            connection_limit=500, asyncore_use_poll=True, max_request_header_size=16_384,
            max_request_body_size=max_body, clear_untrusted_proxy_headers=True,
        )  # fmt: skip
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def run_server(app: Any, host: str, port: int, threads: int, told: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; `told` is given the address once it can be asked. Port 0 takes a free one.

    Raises SettingsError when waitress is not installed or the address cannot be listened on.
    """
    server = open_server(app, host, port, threads, max_body=16_384)

    def leave(*_: object) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        told(f"http://{server.effective_host}:{server.effective_port}")
        server.run()
    finally:
        signal.signal(signal.SIGTERM, before)
        server.close()
