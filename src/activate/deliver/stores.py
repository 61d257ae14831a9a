"""Where files are published: on this machine, or anywhere that fsspec reaches. A file takes its place as a whole."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from activate.deliver.carry import InDoubt, NotTaken
from activate.deliver.files import error_code, sync_folder
from activate.destinations.base import FilePlace
from activate.destinations.file import is_remote
from activate.errors import SettingsError
from activate.providers.base import Unusable

# Object stores show an object when its upload is complete, and cannot rename.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "r2"})
_REFUSALS = frozenset({
    "AuthenticationException", "BadHostKeyException", "NoCredentialsError", "PartialCredentialsError", "UnknownHost",
})  # fmt: skip
_MISTAKES = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
)


class Store(Protocol):
    """Holds the files of one place; `pattern` is the place's, as the store names its files."""

    pattern: str

    def stage(self) -> IO[bytes]:
        """A stream to write a file to before it is published; what a killed process left there is gone."""

    def publish(self, stream: IO[bytes], url: str) -> None:
        """Put what was staged into its place. Raises NotTaken, InDoubt or Unusable."""

    def discard(self, stream: IO[bytes]) -> None:
        """Throw away what was staged."""

    def find(self) -> list[str]:
        """The files that may be the place's, by the store's names, in any order."""

    def fetched(self, url: str) -> contextlib.AbstractContextManager[Path]:
        """A file as a path of this machine, for as long as it is needed."""

    def close(self) -> None:
        """Give the connection back."""


def open_store(place: FilePlace) -> Store:
    """The store of a place. Raises SettingsError when a package is missing, Unusable or NotTaken when it cannot be had."""
    return _Remote(place) if is_remote(place.pattern) else _Local(place)


def _glob(pattern: str) -> str:
    """A place's pattern as one with `*` for what is open."""
    parts = pattern.replace("{date}", "{run_id}").split("{run_id}")
    return "*".join("".join(f"[{letter}]" if letter in "*?[" else letter for letter in part) for part in parts)


def local_meaning(error: OSError) -> NotTaken | Unusable:
    """What an error of this machine's file system means: a mistake in the settings, or something that may pass."""
    code = error_code(error)
    if error.errno in _MISTAKES:
        return Unusable(code, f"the file cannot be written: {os.strerror(error.errno or 0).lower()}")
    return NotTaken(code)


class _Local:
    def __init__(self, place: FilePlace) -> None:
        self.pattern = place.pattern
        self._stage = Path(_stage_path(place, place.pattern))

    def stage(self) -> IO[bytes]:
        self._stage.parent.mkdir(parents=True, exist_ok=True)
        # Not through what somebody may have put there: a link would lead elsewhere.
        self._stage.unlink(missing_ok=True)
        handle = os.open(self._stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return os.fdopen(handle, "wb")

    def publish(self, stream: IO[bytes], url: str) -> None:
        target = Path(url)
        try:
            stream.flush()
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(stream.fileno(), target.stat().st_mode & 0o777)
            os.fsync(stream.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            self._stage.replace(target)
        except OSError as error:
            raise local_meaning(error) from None
        try:
            sync_folder(target.parent)
        except OSError:
            raise InDoubt("not_synced") from None

    def discard(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError):  # a full disk refuses what is still buffered
            stream.close()
        with contextlib.suppress(OSError):
            self._stage.unlink(missing_ok=True)

    def find(self) -> list[str]:
        found = glob.glob(_glob(self.pattern), include_hidden=True)  # noqa: PTH207  # Path.glob takes relative patterns only
        return [path for path in found if Path(path).is_file()]

    @contextlib.contextmanager
    def fetched(self, url: str) -> Iterator[Path]:
        yield Path(url)

    def close(self) -> None:
        return


class _Remote:
    def __init__(self, place: FilePlace) -> None:
        self._scheme = place.pattern.split("://", 1)[0]
        with self._meanings():
            self._system, self.pattern = _file_system(place.pattern, self._scheme, place.storage)
        self._stage = _stage_path(place, self.pattern)

    def stage(self) -> IO[bytes]:
        # A file without a name: a killed process leaves nobody's data behind.
        return tempfile.TemporaryFile()

    def publish(self, stream: IO[bytes], url: str) -> None:
        stream.flush()
        target, source = self._system._strip_protocol(url), f"/dev/fd/{stream.fileno()}"
        if self._scheme in _OBJECT_STORES:
            with self._meanings("upload_unanswered"):
                self._system.put_file(source, target)
            return
        with self._meanings():
            self._system.makedirs(self._system._parent(target), exist_ok=True)
            self._system.put_file(source, self._stage)
        with self._meanings("rename_unanswered"):
            self._system.mv(self._stage, target)

    def discard(self, stream: IO[bytes]) -> None:
        stream.close()

    def find(self) -> list[str]:
        with self._meanings():
            return [str(path) for path in self._system.glob(_glob(self.pattern))]

    @contextlib.contextmanager
    def fetched(self, url: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="activate-") as folder:
            file = Path(folder) / "file"
            with self._meanings():
                self._system.get_file(url, str(file))
            yield file

    def close(self) -> None:
        if self._scheme in ("sftp", "ssh"):
            self._system.close()

    @contextlib.contextmanager
    def _meanings(self, in_doubt: str | None = None) -> Iterator[None]:
        """Every file system raises errors of its own, whose words may hold an account: only their kind is told."""
        try:
            yield
        except (SettingsError, Unusable):
            raise
        except Exception as error:
            kinds = {kind.__name__ for kind in type(error).__mro__}
            if isinstance(error, PermissionError) or kinds & _REFUSALS:
                raise Unusable("storage_denied", _DENIED.format(self._scheme)) from None
            if isinstance(error, FileNotFoundError):
                raise Unusable("storage_not_found", f"{self._scheme}: there is no such bucket or folder") from None
            if isinstance(error, TypeError | ValueError):
                raise Unusable("bad_storage", f"{self._scheme}: `storage` has an option that is not known") from None
            raise InDoubt(in_doubt) if in_doubt else NotTaken("storage_unreachable") from None


_DENIED = "{}: the storage refused us; check the credentials, our rights there and, for SFTP, the known_hosts file"


def _file_system(address: str, scheme: str, storage: Mapping[str, Any]) -> tuple[Any, str]:
    """An fsspec file system and the address as it knows it; none is shared, since they remember secrets."""
    try:
        from fsspec.core import url_to_fs  # noqa: PLC0415  # an extra, and slow to import

        options = {"skip_instance_cache": True, **storage}
        if scheme in ("sftp", "ssh"):
            from activate.deliver.sftp import Sftp  # noqa: PLC0415  # needs paramiko

            given = Sftp._get_kwargs_from_urls(address)
            return Sftp(**{**given, **options}), Sftp._strip_protocol(address)
        if scheme in ("s3", "s3a"):
            # Parts of 50 MB are held in memory, as many as are under way.
            options = {"max_concurrency": 1, **options}
        system, stripped = url_to_fs(address, **options)
        return system, str(stripped)
    except ImportError as error:
        raise SettingsError(
            f"{scheme}:// needs a package that is not installed ({error.name or 'see fsspec'}); "
            "run: pip install 'dbt-activate[files]'"
        ) from None


def _stage_path(place: FilePlace, pattern: str) -> str:
    """Where a file is staged: always the same name, in the deepest folder that does not change from run to run."""
    folder = next(parent for parent in PurePosixPath(pattern).parents if "{" not in str(parent))
    mark = hashlib.md5(f"{place.pattern}|{place.format}".encode(), usedforsecurity=False).hexdigest()[:12]
    return str(folder / f".activate-{mark}.part")
