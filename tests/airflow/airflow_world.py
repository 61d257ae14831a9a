"""What the Airflow tests work with: a shop, an Airflow installation, and a gateway that messages are posted to."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = dt.datetime(2026, 11, 2)
LATER = dt.datetime(2026, 11, 2, 18)
SECRET = "whsec-of-the-gateway-0123456789"


@dataclass
class Shop:
    """A copy of the reference project over a day of made-up events, launched at `LAUNCH`."""

    directory: Path

    @property
    def file(self) -> Path:
        """Its warehouse."""
        return self.directory / "shop.duckdb"

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse."""
        with duckdb.connect(str(self.file), read_only=True) as connection:
            return connection.execute(text).fetchall()

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a file of the project."""
        path = self.directory / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def by_gateway(self, channel: str) -> None:
        """Let a channel's messages go to the webhook instead of a file."""
        lines = (self.directory / "rules" / "activate.yml").read_text("utf-8").splitlines()
        line = next(line for line in lines if line.strip().startswith(f"{channel}:"))
        self.edit("rules/activate.yml", line, line.replace("provider: outbox", "provider: gateway"))

    def without_audiences(self) -> None:
        """Take the reference project's audiences and destinations away."""
        shutil.rmtree(self.directory / "rules" / "audiences")
        file = self.directory / "rules" / "activate.yml"
        text, found = re.subn(r"^destinations:\n(?:  .*\n)+", "", file.read_text("utf-8"), flags=re.MULTILINE)
        assert found == 1
        file.write_text(text, "utf-8")

    def destination(self, name: str, **options: Any) -> None:
        """Add a destination of audiences."""
        file = self.directory / "rules" / "activate.yml"
        text = file.read_text("utf-8")
        head = "" if "\ndestinations:\n" in text else "\ndestinations:\n"
        file.write_text(f"{text}{head}  {name}: {json.dumps(options)}\n", "utf-8")

    def audience(self, name: str, segment: str, destination: str, **keys: Any) -> None:
        """Write (anew) an audience's file."""
        folder = self.directory / "rules" / "audiences"
        folder.mkdir(exist_ok=True)
        written = {"audience": name, "segment": segment, "destination": destination, **keys}
        (folder / f"{name}.yml").write_text(json.dumps(written), "utf-8")

    def personal(self) -> list[str]:
        """Every person's key and addresses: what no log may hold."""
        rows = self.sql("SELECT UNNEST([user_id, email, phone, push_token]) FROM analytics.profiles")
        found = [word for (word,) in rows if word]
        assert len(found) > 1000
        return found

    def written(self) -> Counter[str]:
        """How often each message stands in the file provider's output."""
        files = (self.directory / "outbox").glob("*.jsonl")
        return Counter(
            json.loads(line)["message_id"] for file in files for line in file.read_text("utf-8").splitlines()
        )


@dataclass
class Airflow:
    """An Airflow installation: its home, its dags folder, and the environment of its commands."""

    home: Path
    dags: Path
    env: dict[str, str] = field(repr=False)

    def popen(self, *words: str, log: Path) -> subprocess.Popen[str]:
        """Start an `airflow` command; what it prints goes to a file."""
        command = [sys.executable, "-m", "airflow", *words]
        with log.open("w") as out:
            return subprocess.Popen(command, env=self.env, stdout=out, stderr=subprocess.STDOUT, text=True)

    def edit(self, pattern: str, replacement: str) -> None:
        """Change a line of the DAG, as its owner would."""
        file = self.dags / "activation.py"
        text = file.read_text("utf-8")
        changed = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        assert changed != text
        file.write_text(changed, "utf-8")

    def send_by(self, gateway: Gateway) -> None:
        """Take the gateway's address and signing key from an Airflow connection."""
        sources = {"ACTIVATE_WEBHOOK_SECRET": "gateway.password", "ACTIVATE_WEBHOOK_URL": "gateway.address"}
        self.edit(r"^PROVIDER_SECRETS: .*$", f"PROVIDER_SECRETS = {sources}")
        connection = {"conn_type": "http", "password": SECRET, "extra": {"address": gateway.url}}
        self.env["AIRFLOW_CONN_GATEWAY"] = json.dumps(connection)

    def run_dag(self, dag: str, logical_date: str, *, skip: str | None = None, **conf: Any) -> str:
        """`airflow dags test`; returns what it printed. The tasks matching `skip` are marked as done instead of run."""
        log = self.home / "test.log"
        words = ["dags", "test", dag, logical_date, "--conf", json.dumps(conf)]
        process = self.popen(*words, *(["--mark-success-pattern", skip] if skip else []), log=log)
        process.wait(600)
        return log.read_text("utf-8")

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Ask Airflow's own database."""
        with sqlite3.connect(self.home / "airflow.db") as connection:
            return connection.execute(text).fetchall()

    def returned(self) -> dict[str, list[Any]]:
        """What each task returned."""
        found: dict[str, list[Any]] = {}
        for task, value in self.sql("SELECT task_id, value FROM xcom WHERE key = 'return_value' ORDER BY map_index"):
            found.setdefault(task, []).append(json.loads(value))
        return found

    def states(self) -> dict[str, str]:
        """The state of each task; a mapped one is told by its number."""
        rows = self.sql("SELECT task_id, map_index, state FROM task_instance")
        return {f"{task}[{index}]" if index >= 0 else task: state for task, index, state in rows}

    def everything_stored(self) -> bytes:
        """All that Airflow has on disk: its database and its logs."""
        return b"".join(file.read_bytes() for file in self.home.rglob("*") if file.is_file())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out by themselves: each answer would wait 40 ms
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        gateway = self.server.gateway
        refused = gateway.refusals > 0
        gateway.refusals -= refused
        if not refused:
            gateway.take(body, dict(self.headers))
            gateway.gate.wait(60)
        self.send_response(401 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    gateway: Gateway

    def handle_error(self, *_: object) -> None:
        """A sender that was killed hangs up."""


@dataclass
class Gateway:
    """A service that takes what is posted, and answers while its gate is open. The first `refusals` it takes not."""

    url: str
    refusals: int = 0
    posts: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Note a request."""
        self.posts.append((body, headers))
        self.reached.set()

    def taken(self) -> Counter[str]:
        """How often each message was posted."""
        return Counter(message["message_id"] for body, _ in self.posts for message in json.loads(body)["messages"])


@contextmanager
def running_gateway() -> Iterator[Gateway]:
    """A gateway on a free port, with an open gate."""
    server = Server(("127.0.0.1", 0), Handler)
    made = server.gateway = Gateway(f"http://127.0.0.1:{server.server_address[1]}/messages")
    made.gate.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


def install(migrated_home: Path, directory: Path) -> Airflow:
    """An Airflow with this project's DAG in a dags folder of its own, far from the project."""
    home, dags = directory / "airflow", directory / "dags"
    home.mkdir()
    shutil.copy2(migrated_home / "airflow.db", home)
    shutil.copytree(ROOT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    env = {**os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    return Airflow(home, dags, env)
