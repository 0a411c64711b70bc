"""Downloads compared with ``curl -o``, from a server that sends its files with sendfile."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from child import Order, read_peak_mb
from ours import open_client
from poll_server import pacer
from server import KEY
from table import Table, Target

from veo import paths
from veo.files import output as download
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from collections.abc import Callable

    from veo.provider import Provider

SIZES = {"5 MB": (5_000_000, 20), "200 MB": (200_000_000, 1)}
ROUNDS = 5
CURL, OURS, WHOLE = "curl -o", "veo: bytes received", "veo: checked, hashed, synced, renamed"


def measure(repeat: int) -> Table:
    """Return medians over alternating rounds."""
    heads = ("MB/s", "ratio to curl", "additional MB of memory")
    table = Table("Downloads to disk: 20 x 5 MB in sequence, and 200 MB", ("client", *heads))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {size: _write_video(folder / f"{size[:-3]}.mp4", SIZES[size][0]) for size in SIZES}
        with pacer(0.0, 5.0, folder) as url:
            mine = open_client(Order("veo", url, KEY, name, 1, 1, 90.0))
            provider = mine.connect("laozhang-async").provider
            for size, file in files.items():
                _measure_size(table, size, f"{url}/files/{file.name}", provider, folder, repeat)
            mine.close()
    return table


def _measure_size(
    table: Table, size: str, url: str, provider: Provider, folder: Path, repeat: int
) -> None:
    number, count = SIZES[size]
    places = [folder / f"got-{index}.mp4" for index in range(count)]
    ways: dict[str, Callable[[], None]] = {
        CURL: lambda: _download_with_curl(url, places),
        OURS: lambda: _download_with_veo(provider, url, places),
        WHOLE: lambda: _download_with_veo(provider, url, places, finish=True),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    more: dict[str, float] = {}
    for _ in range(ROUNDS * repeat):
        for way, run in ways.items():
            _reset_peak_memory()
            before, begun = read_peak_mb(), perf_counter()
            run()
            seconds[way].append(perf_counter() - begun)
            more[way] = max(more.get(way, 0.0), read_peak_mb() - before)
            assert all(place.stat().st_size == number for place in places)
    usual = {way: median(times) for way, times in seconds.items()}
    for way, time in usual.items():
        memory = "" if way == CURL else more[way]
        row = (f"{size}, {way}", number * count / time / 1e6, usual[CURL] / time, memory)
        table.rows.append(row)
    table.targets += [
        Target(f"{size}: speed, ratio to curl", usual[CURL] / usual[OURS], 0.95, is_minimum=True),
        Target(f"{size}: additional MB of memory", more[OURS], 8),
    ]


def _download_with_curl(url: str, places: list[Path]) -> None:
    wanted = [word for place in places for word in ("-o", str(place), url)]
    subprocess.run(["curl", "--silent", "--fail", *wanted], check=True)


def _download_with_veo(
    provider: Provider, url: str, places: list[Path], *, finish: bool = False
) -> None:
    for place in places:
        part = paths.part_path(place, "job") if finish else place
        part.unlink(missing_ok=True)
        download.write_stream(provider.open(RemoteVideo(url)), part, lambda _, __: None)
        if finish:
            download.verify_part(part)
            download.publish_part(part, place, "job", force=True)


def _write_video(path: Path, size: int) -> Path:
    """Write a file of ``size`` bytes with the boxes of an MP4 and zeros as media data."""
    head = b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x08moov"
    rest = size - len(head)
    with path.open("wb") as file:
        file.write(head + rest.to_bytes(4, "big") + b"mdat")
        file.truncate(size)
    return path


def _reset_peak_memory() -> None:
    """Reset the recorded peak memory of this process (Linux only)."""
    Path("/proc/self/clear_refs").write_text("5")
