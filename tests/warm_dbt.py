"""dbt in processes that are forked from one which has imported dbt and read a project once.

Each of them is a run of dbt as any other, with a directory, an environment and an exit code of its own, but it does not begin
with seven seconds of imports and of making classes. All workers of a test run share the process that is forked.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_ROOT = Path(__file__).parents[1]


class WarmDbt:
    """Takes the place of the module `subprocess` where dbt is run. Workers that are given one `directory` share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: subprocess.Popen[str] | None = None

    def run(self, command: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
        """Run `command`, whose first word is dbt, in `cwd` with `env`; what it prints is captured as text."""
        with tempfile.TemporaryDirectory(dir=self._directory) as folder, self._connect() as connection:
            arguments = [str(word) for word in command[1:]]
            env = options.get("env") or dict(os.environ)
            asked = {"arguments": arguments, "cwd": str(options["cwd"]), "env": env, "folder": folder}
            connection.sendall(json.dumps(asked).encode() + b"\n")
            code = connection.makefile().readline()
            printed = [(Path(folder) / name).read_text("utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(list(command), int(code), *printed)

    def close(self) -> None:
        """End the process that the others were forked from, if it is ours; who needs one later starts another."""
        if self._started is not None:
            self._started.communicate()

    def _connect(self) -> socket.socket:
        place = self._directory / "dbt.socket"
        with (self._directory / "dbt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(OSError):
                return _connected(place)
            place.unlink(missing_ok=True)
            words = [sys.executable, "-m", "tests.warm_dbt", str(place)]
            self._started = subprocess.Popen(words, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self._started.stdout is not None
            assert self._started.stdout.readline() == "ready\n", "dbt cannot be started; its message is above"
            return _connected(place)


def _connected(place: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    try:
        found.connect(str(place))
    except OSError:
        found.close()
        raise
    return found


def main(place: str) -> None:
    """Fork a dbt for each connection, until standard input ends."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    from activate.scaffold.reference import PARTS

    answers = os.dup(1)
    os.dup2(2, 1)  # what dbt prints by itself is no answer
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            (Path(folder) / part).symlink_to(_ROOT / part)
        os.chdir(folder)
        # The static parser would start threads, and a fork has those of nobody.
        dbtRunner().invoke(["--quiet", "--no-static-parser", "parse", "--no-partial-parse"])
        DuckDBConnectionManager.close_all_connections()  # and with it, its threads
        os.chdir("/")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        os.write(answers, b"ready\n")
        while select.select([listener, sys.stdin], [], [])[0] == [listener]:
            connection = listener.accept()[0]
            if os.fork() == 0:
                listener.close()  # else somebody would still be listening when this process's parent has ended
                _serve(connection)
            connection.close()
            _reap()


def _reap() -> None:
    """Let those go that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            continue


def _serve(connection: socket.socket) -> None:
    """Run what the connection asks for in one more process, and tell the exit code when that has let go of its files."""
    asked = json.loads(connection.makefile().readline())
    child = os.fork()
    if child == 0:
        os._exit(_dbt(**asked))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(f"{code}\n".encode())
    os._exit(0)


def _dbt(arguments: list[str], cwd: str, env: dict[str, str], folder: str) -> int:
    from dbt.cli.main import cli

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT), number)
    try:
        cli(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 1


if __name__ == "__main__":
    main(sys.argv[1])
