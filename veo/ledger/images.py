"""Images of requests in the database, where the workers of all machines find them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from veo.ledger.schema import images

if TYPE_CHECKING:
    from veo.ledger.ledger import Ledger


class LedgerImages:
    """Images by their sha256, for all machines."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def save(self, sha256: str, data: bytes) -> None:
        """Store an image, once."""
        is_stored = select(images.c.sha256).where(images.c.sha256 == sha256)
        with self._ledger.database.write() as connection:
            if connection.execute(is_stored).first() is None:
                try:
                    with connection.begin_nested():
                        connection.execute(insert(images).values(sha256=sha256, data=data))
                except IntegrityError:  # another process has stored it at this moment
                    return

    def read(self, sha256: str) -> bytes | None:
        with self._ledger.database.read() as connection:
            query = select(images.c.data).where(images.c.sha256 == sha256)
            data: bytes | None = connection.execute(query).scalar_one_or_none()
        return data
