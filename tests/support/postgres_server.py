"""A real Postgres from the system's packages, on a free port, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Debian does not put the server's programs on the PATH.
_FOLDERS = "/usr/lib/postgresql/*/bin"
_SETTINGS = {
    "fsync": "off",  # the tests kill clients, not the machine
    "max_connections": "200",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}
_ACCOUNT = "postgres"  # the server refuses to run as root


class PostgresServer:
    """A server that can be stopped and started again; it accepts any user without a password."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._data = programs, folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", _ACCOUNT, "-N")
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
            file.write(f"port = {self.port}\n")
        self._log = folder / "log"
        self.start()

    @property
    def data_folder(self) -> Path:
        return self._data

    @property
    def url(self) -> str:
        return f"postgresql://{_ACCOUNT}@127.0.0.1:{self.port}/postgres"

    def schema_url(self, name: str) -> str:
        """Return a URL with a schema of its own, which is made if it is not there."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}"')
        return f"{self.url}?options=-csearch_path%3D{name}"

    def start(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-l", self._log, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    def _run(self, program: str, *arguments: object) -> None:
        words = [str(self._programs / program), *map(str, arguments)]
        if os.getuid() == 0:
            words = ["setpriv", "--reuid", _ACCOUNT, "--regid", _ACCOUNT, "--clear-groups", *words]
        # Not through pipes: the server would keep them open, and this call would wait for its end.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                words, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/", check=False
            )
            output.seek(0)
            assert done.returncode == 0, output.read().decode()


@cache
def find_programs() -> Path | None:
    """Return the folder of the server's programs, of the newest version; None without one."""
    found = shutil.which("initdb")
    folders = sorted(Path("/").glob(_FOLDERS.lstrip("/")), key=lambda folder: int(folder.parts[-2]))
    return Path(found).parent if found else folders[-1] if folders else None


def missing_reason() -> str | None:
    """Return why no test can use Postgres here, or None."""
    if find_spec("psycopg") is None:
        return "the extra `cluster` is not installed"
    if find_programs() is None:
        return "no Postgres server is installed (Debian: apt-get install postgresql)"
    return None


@contextmanager
def start_server() -> Iterator[PostgresServer]:
    """Start a server, or skip the test."""
    if reason := missing_reason():
        if os.environ.get("REQUIRE_POSTGRES"):
            pytest.fail(reason)
        pytest.skip(reason)
    programs = find_programs()
    assert programs
    folder = Path(tempfile.mkdtemp(prefix="veo-postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, _ACCOUNT, _ACCOUNT)
    server = PostgresServer(programs, folder)
    try:
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
