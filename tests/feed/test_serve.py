"""The server as people run it: from a tick to a card in a browser."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from activate.feed.serve import open_server
from tests.feed.conftest import SECRET

pytest.importorskip("waitress", reason="the server is in the extra `serve`: pip install 'dbt-activate[serve]'")
sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from cli_place import POLICY, Place, either_place, place

__all__ = ["either_place", "place"]

ROOT = Path(__file__).parents[2]
CARDS = POLICY.replace("  push: {address: push_token, consent: push_consent, provider: outbox}",
                       "  card: {address: user_id, provider: feed}").replace(
                           "  outbox: {type: file, path: outbox/messages.jsonl}", "  feed: {type: feed}")  # fmt: skip
TEMPLATE = (
    "{% block title %}Still thinking, <b>{{ user_id }}</b>?{% endblock %}{% block body %}{{ context.cart_value }} waits"
    '{% endblock %}{% block url %}https://shop.example.com/cart{% endblock %}{% block data %}{"pinned": true}{% endblock %}'
)


@dataclass
class Server:
    """A server process: where it is, and what it has printed when it has ended."""

    url: str
    process: subprocess.Popen[str]
    told: list[str] = field(default_factory=list)

    def ask(
        self, query: str = "", token: str | None = None, path: str = "/v1/feed", **headers: str
    ) -> tuple[int, Mapping[str, str], Any]:
        request = urllib.request.Request(self.url + path + query, headers=headers)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            body = error.read()
            return error.code, error.headers, json.loads(body) if body else None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=20)
        self.told.append(out + err)
        return out + err


@contextlib.contextmanager
def serving(place: Place, *words: str) -> Iterator[Server]:
    """`dbt-activate serve` as a process of its own."""
    command = [sys.executable, "-m", "activate", "serve", "--port", "0", *words]
    environment = {**os.environ, "ACTIVATE_FEED_SECRET": SECRET}
    process = subprocess.Popen(
        command, cwd=place.directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"Serving (http://[^/]+)/v1/feed\n", line)
    if not found:
        process.kill()
        raise AssertionError(line + process.communicate()[1])
    try:
        yield Server(found[1], process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def delivered(place: Place) -> Place:
    """A project whose campaign goes to a feed, after a tick that has delivered two cards to ann."""
    import datetime as dt

    place.write("rules/activate.yml", CARDS)
    campaign = (place.directory / "rules/campaigns/abandoned_cart.yml").read_text()
    place.write(
        "rules/campaigns/abandoned_cart.yml",
        campaign.replace("channels: [push]", "channels: [card]").replace("wait: 30 minutes", "wait: 0 minutes"),
    )
    place.write("rules/templates/cart.card.j2", TEMPLATE)
    # Cards are served by the real clock, so this tick is about now; the policy's window must not be in the way.
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
    place.write("rules/activate.yml", re.sub(r"time_window.*\n|frequency_caps:\n.*\n", "", CARDS))
    assert place.run("run", "--now", f"{now - dt.timedelta(hours=1)}").returncode == 0
    place.cart("ann", "e1", now - dt.timedelta(minutes=2))
    found = place.run("run", "--now", f"{now}")
    assert found.returncode == 0, found.stdout + found.stderr
    return place


def token(place: Place, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setenv("ACTIVATE_FEED_SECRET", SECRET)
    made = place.run("feed-token", *words)
    monkeypatch.delenv("ACTIVATE_FEED_SECRET")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def test_idle_connections_keep_nobody_out() -> None:
    def app(environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    server = open_server(app, "127.0.0.1", 0, threads=2, max_body=100)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    address = ("127.0.0.1", server.effective_port)
    with contextlib.ExitStack() as idle:
        for _ in range(150):  # half a request each, as a slow client has it
            idle.enter_context(socket.create_connection(address, timeout=5)).sendall(b"POST /ev")
        with urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/", timeout=10) as answer:
            assert answer.read() == b"ok"
    server.close()


def test_from_a_tick_to_an_answer(either_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = delivered(either_place)
    anns = token(place, monkeypatch, "ann")
    with serving(place, "--verbose") as server:
        status, headers, body = server.ask("?channel=card&limit=20", anns)
        assert status == 200
        (item,) = body["items"]
        assert (item["title"], item["body"], item["data"]) == (
            "Still thinking, <b>ann</b>?",
            "150 waits",
            {"pinned": True},
        )
        assert server.ask("", anns, **{"If-None-Match": headers["ETag"]})[0] == 304
        assert server.ask("", token(place, monkeypatch, "bob"))[2]["items"] == []
        assert server.ask("", token(place, monkeypatch, "ann", "--channel", "in_app"))[2]["items"] == []
        assert server.ask("?channel=card", token(place, monkeypatch, "ann", "--channel", "in_app"))[0] == 403
        assert server.ask("")[0] == 401
        assert server.ask(path="/healthz")[0] == 200
        assert place.run("run").returncode == 0, "a tick gets its turn while the feed is served"
        told = server.stop()
        assert server.process.returncode == 0
    assert "GET /v1/feed 200" in told
    for hidden in (anns, "ann", "Still", "150"):
        assert not re.search(rf"\b{re.escape(hidden)}\b", told.split("Serving", 1)[-1])


def test_what_is_missing_is_told_before_anything_is_served(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = place.run("serve")
    assert (found.returncode, "ACTIVATE_FEED_SECRET is not set" in found.stderr) == (3, True)
    monkeypatch.setenv("ACTIVATE_FEED_SECRET", "short")
    assert "shorter than 32 bytes" in place.run("serve").stderr
    assert "shorter than 32 bytes" in place.run("feed-token", "ann").stderr
    monkeypatch.setenv("ACTIVATE_FEED_SECRET", SECRET)
    assert "no provider of type `feed`" in place.run("serve").stderr
    place.write("rules/activate.yml", CARDS)
    assert "did you mean 'feed'" in place.run("serve", "--provider", "fead").stderr
    for origin in ("shop.example.com", "https://shop.example.com/", "*", "https://shop.example.com/a"):
        assert "is not a web origin" in place.run("serve", "--origin", origin).stderr
    assert "31 days at most" in place.run("feed-token", "ann", "--for", "32 days").stderr
    assert "31 days at most" in place.run("feed-token", "ann", "--for", "0 days").stderr


def test_the_json_of_a_token_is_as_documented(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATE_FEED_SECRET", SECRET)
    found = place.json("feed-token", "u_1042", "--channel", "card", "--for", "2 hours")
    page = (ROOT / "docs" / "json.md").read_text("utf-8")
    example = re.search(r"<!-- example feed-token -->\n```json\n(.*?)\n```", page, re.DOTALL)
    assert example
    assert {key: type(value) for key, value in json.loads(example[1]).items()} == {
        key: type(value) for key, value in found.items()
    }


# -- in a browser -----------------------------------------------------------------------------------------------------


class _Pages(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def pages() -> Iterator[str]:
    """The documentation's folder as a web site of its own: another origin than the feed's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Pages, directory=str(ROOT / "docs"))) as site:
        threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{site.server_address[1]}"
        site.shutdown()


def dumped(address: str, folder: Path) -> str:
    """The page as Chromium has it after its scripts have run."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}",
               "--virtual-time-budget=10000", "--dump-dom", address]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_a_browser_fetches_the_cards_from_another_origin_and_shows_them(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    delivered(place)
    anns = token(place, monkeypatch, "ann", "--channel", "card")
    with pages() as site, serving(place, "--origin", site) as server:
        page = f"{site}/feed-example.html#feed={server.url}/v1/feed&token={anns}"
        shown = dumped(page, tmp_path / "a")
        assert 'data-state="loaded"' in shown
        assert shown.count("<article") == 1
        assert "<h2>Still thinking, &lt;b&gt;ann&lt;/b&gt;?</h2>" in shown, "a text is not markup"
        assert "<p>150 waits</p>" in shown
        assert 'href="https://shop.example.com/cart"' in shown
        refused = dumped(page.replace(anns, "forged"), tmp_path / "b")
        assert "The token is not valid, or not any more." in refused
    with pages() as site, serving(place, "--origin", "https://elsewhere.example.com") as server:
        unseen = dumped(f"{site}/feed-example.html#feed={server.url}/v1/feed&token={anns}", tmp_path / "c")
        assert 'data-state="failed"' in unseen, "a page of another origin is told nothing"
        assert "<article" not in unseen


@pytest.mark.slow
def test_a_thousand_requests(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    delivered(place)
    anns = token(place, monkeypatch, "ann")
    with serving(place) as server:
        server.ask("", anns)
        spent = []
        for _ in range(1_000):
            began = time.perf_counter()
            assert server.ask("?channel=card", anns)[0] == 200
            spent.append(time.perf_counter() - began)
    spent.sort()
    print(f"p50 {spent[500] * 1000:.1f} ms, p99 {spent[990] * 1000:.1f} ms")
    assert spent[500] < 0.2
