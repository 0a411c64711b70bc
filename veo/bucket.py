"""Files in buckets, ``s3://bucket/name`` and ``gs://bucket/name``, in the places that take a path.

The credentials are those of the vendors' own tools, from the environment: ``AWS_ACCESS_KEY_ID``,
``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS``, the role of the machine.
They are never stored, and no error contains them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from stat import S_IFREG
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, cast

from veo.bucket_store import (
    BucketError,
    find_reason,
    import_obstore,
    open_store,
    unavailable_error,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    _LocalPath = Path
else:
    # Only the class of this platform can be derived from on Python 3.11.
    _LocalPath = type(Path())

# ``Path`` turns the two slashes of an address into one, so that one is accepted as well.
_ADDRESS = re.compile(r"(s3|gs):[/\\]{1,2}([a-z0-9][\w.-]{1,220})(?:[/\\].*)?", re.DOTALL)
_PROBE = ".veo-write-test"
# Above it an object is sent in parts, which takes less memory. Incomplete parts are not visible.
_MAX_SINGLE_BYTES = 100_000_000
_BLOCK_BYTES = 1 << 20
_MAX_REQUESTS = 16  # at a time; each takes tens of milliseconds, and a batch sends thousands
_CREDENTIALS_HINT = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud.",
}


_Value = TypeVar("_Value")
_Result = TypeVar("_Result")


class BucketPath(_LocalPath):
    """An object in a bucket, used like a ``Path``; its text is its address.

    It has the operations that this package uses. An object appears under its name when it is
    whole, so that no name ever belongs to a part of a file.

    Raises:
        BucketError: The bucket does not exist, is not available, or refuses the credentials.
        FileNotFoundError: There is no such object.
    """

    __slots__ = ()

    def __str__(self) -> str:
        scheme, _, rest = self.as_posix().partition(":")
        return f"{scheme}://{rest.lstrip('/')}"

    def as_posix(self) -> str:
        return super().__str__().replace("\\", "/")

    def __fspath__(self) -> str:
        return str(self)

    def as_uri(self) -> str:
        return str(self)

    @property
    def bucket(self) -> str:
        """The address of the bucket, such as ``s3://bucket``."""
        return "/".join(str(self).split("/")[:3])

    @property
    def key(self) -> str:
        """The name of the object in the bucket."""
        return "/".join(str(self).split("/")[3:])

    def stat(self, **_: bool) -> os.stat_result:
        """Return size and time of the object; it is a plain file."""
        with self._errors() as store:
            meta = import_obstore().head(store, self.key)
        at = int(meta["last_modified"].timestamp())
        return os.stat_result((S_IFREG | 0o600, 0, 0, 1, 0, 0, meta["size"], at, at, at))

    def exists(self, **_: bool) -> bool:
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_file(self, **_: bool) -> bool:
        return self.exists()

    def is_dir(self, **_: bool) -> bool:
        return False  # buckets have no folders, only names with slashes

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Do nothing: a name with slashes needs no folder."""

    def open(self, mode: str = "rb", **_: Any) -> BinaryIO:  # type: ignore[override]
        """Open the object for reading; a read gets a range of it."""
        if mode != "rb":
            raise io.UnsupportedOperation(f"{self} cannot be opened with mode {mode!r}")
        return cast("BinaryIO", io.BufferedReader(_ObjectReader(self), _BLOCK_BYTES))

    def read_bytes(self) -> bytes:
        with self._errors() as store:
            return bytes(import_obstore().get(store, self.key).bytes())

    def read_range(self, start: int, length: int) -> bytes:
        with self._errors() as store:
            return bytes(import_obstore().get_range(store, self.key, start=start, length=length))

    def write_bytes(self, data: Any) -> int:
        with self._errors() as store:
            import_obstore().put(store, self.key, bytes(data))
        return len(data)

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with self._errors() as store:
                import_obstore().delete(store, self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def read_sha256(self) -> str | None:
        """Return the hash with which the object was uploaded; None without one."""
        with self._errors() as store:
            found = import_obstore().get(store, self.key, options={"head": True}).attributes
        return cast("str | None", found.get("sha256"))

    def upload(self, file: Path, sha256: str, *, overwrite: bool) -> None:
        """Make a complete local file the object, with its hash.

        Raises:
            FileExistsError: There is an object of this name with another content.
        """
        mode: Literal["create", "overwrite"] = "overwrite" if overwrite else "create"
        if not overwrite and file.stat().st_size > _MAX_SINGLE_BYTES:
            # An upload in parts cannot be conditional.
            self._check_free(sha256)
            mode = "overwrite"
        about: Any = {"Content-Type": "video/mp4", "sha256": sha256}
        try:
            with self._errors() as store:
                import_obstore().put(store, self.key, Path(file), mode=mode, attributes=about)
        except FileExistsError:
            # An upload whose response was lost, or that a kill interrupted after its end.
            self._check_free(sha256)

    def check_writable(self) -> None:
        """Write a small object under this prefix; raise a BucketError if that fails."""
        probe = self / _PROBE
        probe.write_bytes(b"")
        with suppress(BucketError):  # a key may be allowed to write and not to delete
            probe.unlink(missing_ok=True)

    def _check_free(self, sha256: str) -> None:
        if self.exists() and self.read_sha256() != sha256:
            raise FileExistsError(errno.EEXIST, "the object exists", str(self))

    @contextmanager
    def _errors(self) -> Iterator[ObjectStore]:
        """Give the bucket's store, and raise its errors as this module's."""
        store = open_store(self.bucket)
        from obstore import exceptions  # noqa: PLC0415 - an extra

        try:
            yield store
        except exceptions.AlreadyExistsError:
            raise FileExistsError(errno.EEXIST, "the object exists", str(self)) from None
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise BucketError(f"there is no bucket {self.bucket}") from None
            raise FileNotFoundError(errno.ENOENT, "no such object", str(self)) from None
        # The text may name the user's access key, so that neither it nor its cause is shown.
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise BucketError(
                f"{self.bucket} refuses the credentials: {find_reason(error)}",
                hint=_CREDENTIALS_HINT[self.bucket[:2]],
            ) from None
        except (exceptions.BaseError, OSError) as error:
            raise unavailable_error(self.bucket, error) from None


class _ObjectReader(io.RawIOBase):
    """Reads an object by ranges, so that the end of a long video can be read alone."""

    def __init__(self, path: BucketPath) -> None:
        self._path, self._size, self._at = path, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        buffer[:count] = self._path.read_range(self._at, count)
        self._at += count
        return count


def find_bucket_path(path: PurePath | str) -> BucketPath | None:
    """Return the object that a path or an address means; None for a file of this machine."""
    text = str(path)
    return BucketPath(text) if _ADDRESS.fullmatch(text) else None


def parse_path(text: str) -> Path:
    """Return the path that a stored text means."""
    return find_bucket_path(text) or Path(text)


def map_files(
    function: Callable[[_Value], _Result], values: Sequence[_Value], *, is_remote: bool
) -> list[_Result]:
    """Apply a function that looks at a file to each value, in threads if the files are remote."""
    if not is_remote:
        return [function(value) for value in values]
    with ThreadPoolExecutor(_MAX_REQUESTS, "veo-bucket") as threads:
        return list(threads.map(function, values))


def staging_name(path: BucketPath) -> str:
    """Return a name for local files of an object, which differs for each address."""
    digest = hashlib.sha256(path.parent.as_posix().encode()).hexdigest()
    return f"{digest[:8]}-{path.name}"
