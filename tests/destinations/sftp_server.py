"""An SFTP server on loopback that serves one folder to one account."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from typing import Any

import paramiko

USER, PASSWORD = "ann", "hunter2"


class _Account(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        known = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: Any, *, root: Path, dies_after: list[int]) -> None:
        super().__init__(server)
        self._root, self._dies_after = root, dies_after

    def _path(self, path: str) -> Path:
        return self._root / self.canonicalize(path).lstrip("/")

    def _try(self, work: Any) -> Any:
        try:
            found = work()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
        return paramiko.SFTP_OK if found is None else found

    def list_folder(self, path: str) -> Any:
        return self._try(lambda: [
            paramiko.SFTPAttributes.from_stat(entry.stat(), entry.name) for entry in os.scandir(self._path(path))
        ])  # fmt: skip

    def stat(self, path: str) -> Any:
        return self._try(lambda: paramiko.SFTPAttributes.from_stat(self._path(path).stat()))

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        return self._try(lambda: self._opened(path, flags))

    def _opened(self, path: str, flags: int) -> Any:
        mode = "r+b" if flags & (os.O_WRONLY | os.O_RDWR) else "rb"
        handle = _Handle(flags)
        handle.readfile = handle.writefile = os.fdopen(os.open(self._path(path), flags, 0o600), mode, 0)
        handle.dies_after = self._dies_after
        return handle

    def remove(self, path: str) -> Any:
        return self._try(lambda: self._path(path).unlink())

    def posix_rename(self, oldpath: str, newpath: str) -> Any:
        return self._try(lambda: self._rename(oldpath, newpath))

    def _rename(self, old: str, new: str) -> None:
        self._path(old).replace(self._path(new))

    def mkdir(self, path: str, attr: Any) -> Any:
        return self._try(lambda: self._path(path).mkdir())


class _Handle(paramiko.SFTPHandle):
    dies_after: list[int]

    def write(self, offset: int, data: bytes) -> int:
        if self.dies_after:
            self.dies_after[0] -= len(data)
            if self.dies_after[0] < 0:
                return int(paramiko.SFTP_FAILURE)
        return int(super().write(offset, data))


class SftpServer:
    """`dies_after`: when it holds a number, writes fail after so many bytes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.key = paramiko.RSAKey.generate(2048)
        self.dies_after: list[int] = []
        self._transports: list[paramiko.Transport] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def known_hosts(self, file: Path) -> Path:
        file.write_text(f"[127.0.0.1]:{self.port} {self.key.get_name()} {self.key.get_base64()}\n")
        return file

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            transport.set_subsystem_handler(
                "sftp", paramiko.SFTPServer, _Files, root=self.root, dies_after=self.dies_after
            )
            self._transports.append(transport)
            try:
                transport.start_server(server=_Account())
            except (paramiko.SSHException, EOFError):  # the client did not like our key
                transport.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # ends the waiting for connections
        self._socket.close()
        for transport in self._transports:
            transport.close()
