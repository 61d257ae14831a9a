"""SFTP to servers whose keys are known: fsspec's own file system would take any key."""

from __future__ import annotations

from pathlib import Path

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

_SECONDS = 30.0


class UnknownHost(Exception):
    """The server's key is not in any known_hosts file."""


class _Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko ships no types
    def missing_host_key(self, *_asked: object) -> None:
        raise UnknownHost


class Sftp(SFTPFileSystem):  # type: ignore[misc]  # nor does fsspec
    """`known_hosts` names a file beside `~/.ssh/known_hosts`; other options are those of paramiko's `connect`."""

    cachable = False

    def _connect(self) -> None:
        options = {"timeout": _SECONDS, **self.ssh_kwargs}
        options.pop("skip_instance_cache", None)
        known_hosts = options.pop("known_hosts", None)
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        if known_hosts:
            self.client.load_host_keys(str(Path(known_hosts).expanduser()))
        self.client.set_missing_host_key_policy(_Refuse())
        self.client.connect(self.host, **options)
        self.ftp = self.client.open_sftp()
        self.ftp.get_channel().settimeout(options["timeout"])

    def close(self) -> None:
        """Close the connection, whose threads would go on."""
        self.client.close()
