"""Files that clients upload: to the Files API, in pieces that may be resumed, and to a bucket."""

import json
import math
import secrets
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter

from veo_sandbox.clips import Footage
from veo_sandbox.state.store import Store

_RETENTION_S = 2 * 86_400.0
"""Google keeps an upload for 48 hours (documented)."""


@dataclass(frozen=True)
class StoredFile:
    """An upload; times are seconds of the sandbox's clock.

    Attributes:
        session: What its upload address names.
        size: Its announced length in bytes.
        finished_at: None until all bytes have arrived.
        footage: Width, height and seconds of a video; None for other files, and for a broken one.
        deleted: Whether a client has deleted it.
        uri: The `gs://` address of an object in a bucket; "" for a file of the Files API.
    """

    id: str
    session: str
    mime_type: str
    title: str
    size: int
    created_at: float
    finished_at: float | None = None
    footage: tuple[int, int, float] | None = None
    deleted: bool = False
    uri: str = ""

    @property
    def expires_at(self) -> float:
        # Nothing but its owner deletes an object.
        return math.inf if self.uri else self.created_at + _RETENTION_S

    @property
    def is_video(self) -> bool:
        return self.mime_type.startswith("video/")

    def is_available(self, now: float) -> bool:
        return self.finished_at is not None and not self.deleted and now < self.expires_at

    def is_processing(self, now: float, lag: float) -> bool:
        """Return whether the service still examines it; images are ready at once."""
        return self.is_video and now < (self.finished_at or now) + lag


_parse_file = TypeAdapter(StoredFile).validate_json


class UploadStore:
    """The uploads of one home: a row for each, and its bytes in `home/uploads`."""

    def __init__(self, home: Path, store: Store) -> None:
        self._folder = home / "uploads"
        self._folder.mkdir(exist_ok=True)
        self._store = store

    def begin(self, file_id: str, mime_type: str, title: str, size: int, now: float) -> StoredFile:
        file = StoredFile(file_id, secrets.token_urlsafe(32), mime_type, title, size, now)
        self.path(file).touch()
        self._store.execute(
            "INSERT INTO uploads VALUES (?, ?, ?)", file.id, file.session, json.dumps(asdict(file))
        )
        return file

    def put_object(self, uri: str, mime_type: str, data: bytes, now: float) -> StoredFile:
        """Store an object in a bucket, in the place of an earlier one of its name."""
        file_id = _object_id(uri)
        self._store.execute("DELETE FROM uploads WHERE id = ?", file_id)
        file = self.begin(file_id, mime_type, "", len(data), now)
        self.path(file).write_bytes(data)
        return self.finish(replace(file, uri=uri), now)

    def find_object(self, uri: str) -> StoredFile | None:
        return self.find(_object_id(uri))

    def find(self, file_id: str) -> StoredFile | None:
        return self._find("SELECT facts FROM uploads WHERE id = ?", file_id)

    def find_session(self, session: str) -> StoredFile | None:
        return self._find("SELECT facts FROM uploads WHERE session = ?", session)

    def list_files(self) -> list[StoredFile]:
        rows = self._store.fetch_rows("SELECT facts FROM uploads")
        return [_parse_file(facts) for (facts,) in rows]

    def path(self, file: StoredFile) -> Path:
        return self._folder / file.id

    def received_bytes(self, file: StoredFile) -> int:
        return self.path(file).stat().st_size

    def append(self, file: StoredFile, data: bytes) -> None:
        with self.path(file).open("ab") as out:
            out.write(data)

    def finish(self, file: StoredFile, now: float) -> StoredFile:
        """Close an upload that is complete; this decodes the beginning of a video."""
        try:
            footage = Footage.read(self.path(file)) if file.is_video else None
        except ValueError:
            footage = None
        return self._save(replace(file, finished_at=now, footage=footage))

    def delete(self, file: StoredFile) -> None:
        # The bytes stay for a clip that is being made from them.
        self._save(replace(file, deleted=True))

    def delete_expired(self, now: float) -> None:
        """Remove the bytes of uploads that no request may name any more."""
        for file in self.list_files():
            if file.deleted or now >= file.expires_at:
                self.path(file).unlink(missing_ok=True)

    def _save(self, file: StoredFile) -> StoredFile:
        sql = "UPDATE uploads SET facts = ? WHERE id = ?"
        self._store.execute(sql, json.dumps(asdict(file)), file.id)
        return file

    def _find(self, sql: str, value: str) -> StoredFile | None:
        rows = self._store.fetch_rows(sql, value)
        return _parse_file(rows[0][0]) if rows else None


def _object_id(uri: str) -> str:
    # No id of the Files API has capital letters, so the two kinds cannot be confused.
    return f"GS{sha256(uri.encode()).hexdigest()}"
