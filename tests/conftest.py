"""Fixtures that every test may ask for."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fork_server import connect, end_processes, start_server
from hypothesis import settings
from pytest_recording.network import blocking_context

if TYPE_CHECKING:
    import veo_sandbox

# Hundreds of tests start a process; without cached bytecode each would compile the package for
# more than a second, and each worker rewrite the asserts of all test modules in every run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Processes of the tests buffer and encode their output as a user's do.
for _name in ("PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8"):
    os.environ.pop(_name, None)

# A shell starts jobs in the background with SIGINT ignored, which every child process inherits;
# the tests of Ctrl-C need their children to notice it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Without credentials Google's library looks for the metadata server of its own machines.
os.environ["NO_GCE_CHECK"] = "true"

# Each ledger syncs its commits, and a disk takes most of the time of such a test. A file system in
# memory has nothing to sync; the tests kill processes, not the machine.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 3 * 1024**3  # free; a run takes a tenth of it
if (
    "TMPDIR" not in os.environ
    and _MEMORY.is_dir()
    and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES
):
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)

settings.load_profile("ci")  # the same examples every time, no deadline, no folder of examples
_OUTSIDE = re.compile(r"VEO_.*|GEMINI_.*|GOOGLE_.*|AWS_.*|(HTTPS?|ALL|NO)_PROXY", re.IGNORECASE)
_SLOW_PART = 0.75  # of the run, after which no slow test begins
_MODULES_TO_COMPILE = 30  # fewer are left to the workers


def pytest_xdist_auto_num_workers() -> int:
    """Start more workers than cores: half of the tests' time is waiting."""
    return (os.cpu_count() or 1) + 3


def pytest_configure(config: pytest.Config) -> None:
    """Start the server that forks processes for the tests, once for all workers."""
    if not hasattr(config, "workerinput"):
        start_server()
        if config.args_source is config.ArgsSource.TESTPATHS and config.getoption("tx", None):
            compile_test_modules()
    connect()


def compile_test_modules() -> None:
    """Compile what a fresh clone has not compiled: each worker would do it, which takes 15 s."""
    folder = Path(importlib.util.cache_from_source(__file__)).parent
    suffix = f"{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    modules = [
        str(path)
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        if not (folder / f"{path.stem}.{suffix}").exists()
    ]
    if len(modules) < _MODULES_TO_COMPILE:
        return
    cores = min(os.cpu_count() or 1, 4)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-n", "0"]
    compilers = [
        subprocess.Popen([*command, *modules[number::cores]], stdout=subprocess.DEVNULL)
        for number in range(cores)
    ]
    for compiler in compilers:
        compiler.wait()  # errors are found again by the run itself


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread the slow modules over the workers and over the run; other tests keep their order.

    Each worker gets a part of the list, and takes from the end of another one's when it has done
    its own. Slow tests wait more than they compute: while one worker waits, the others should
    compute, and none should wait at the end of the run.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    slow = [item for item in items if item.get_closest_marker("slow")]
    modules = group_by_module(slow)
    others = iter([item for item in items if not item.get_closest_marker("slow")])
    ordered: list[pytest.Item] = []
    for number in range(workers):
        share = modules[number::workers]
        size = (len(items) - len(ordered)) // (workers - number)  # as xdist's worksteal has it
        rest = list(itertools.islice(others, max(0, size - sum(map(len, share)))))
        ordered += insert_slow(group_by_module(rest), share, number / workers)
    items[:] = ordered


def group_by_module(items: list[pytest.Item]) -> list[list[pytest.Item]]:
    return [list(group) for _, group in itertools.groupby(items, lambda item: item.path)]


def insert_slow(
    modules: list[list[pytest.Item]], slow: list[list[pytest.Item]], shift: float
) -> list[pytest.Item]:
    """Insert slow modules evenly into all but the last part, each a share of a gap later."""
    gap = _SLOW_PART * len(modules) / max(1, len(slow))
    for number, module in reversed(list(enumerate(slow))):
        modules.insert(int((number + shift) * gap), module)
    return list(itertools.chain(*modules))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Have the garbage collector leave out the modules and the tests: a round takes 0.3 s."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[bool]:
    """Prepare what all tests use. As fixtures of the session they would cost time in each test."""
    with pytest.MonkeyPatch.context() as patch:
        if session.items:  # not in the process that only controls the workers
            guard_uvloop(patch)
            prepare_databases(patch)
            # The SDKs of others load the certificates up to three times per client.
            patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        return (yield)


def guard_uvloop(patch: pytest.MonkeyPatch) -> None:
    """Send connections of uvloop through Python's sockets, which `--block-network` guards.

    By itself uvloop connects to a host below them, where no guard sees it.
    """
    try:
        import uvloop
    except ImportError:  # not on every platform
        return
    connect = uvloop.Loop.create_connection

    async def create_connection(
        loop: Any, factory: Any, host: str | None = None, port: int | None = None, **options: Any
    ) -> Any:
        if host is None:
            return await connect(loop, factory, **options)
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            sock.connect((host, port))
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        if options.get("ssl"):
            options.setdefault("server_hostname", host)
        return await connect(loop, factory, sock=sock, **options)

    patch.setattr(uvloop.Loop, "create_connection", create_connection)


def prepare_databases(patch: pytest.MonkeyPatch) -> None:
    """Have new ledgers and sandboxes begin with what the first ones of this process made."""
    import prepared_databases

    prepared_databases.share_compiled_statements()
    prepared_databases.copy_new_ledgers(patch)
    prepared_databases.copy_new_sandboxes(patch)


@pytest.fixture(scope="module", autouse=True)
def block_network(pytestconfig: pytest.Config) -> Iterator[None]:
    """Block the network once for a module, which costs less than for each of its tests."""
    with blocking_context(pytestconfig.getoption("--allowed-hosts").split(",")):
        yield


@pytest.fixture(scope="module", autouse=True)
def vcr() -> None:
    """No cassette: the module that plays them takes the fixtures of pytest-recording."""


@pytest.fixture(scope="session")
def unused_folders(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Iterator[Path]]:
    """Folders for `isolated`, numbered by a counter: pytest would list thousands for each."""
    root = tmp_path_factory.mktemp("isolated")
    yield (root / str(number) for number in itertools.count())
    if not request.session.testsfailed:  # else the folders show what happened
        # Now, when all workers can, and not by pytest at the end of the run, in one process.
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, unused_folders: Iterator[Path]) -> Iterator[Path]:
    """No test sees the user's files, keys or proxies, nor leaves anything or a process with them.

    Gives the folder that holds the test's ``home``, ``config`` and working folder ``here``.
    """
    folder = next(unused_folders)
    for name in ("home", "config", "here"):
        (folder / name).mkdir(parents=True)
    for name in filter(_OUTSIDE.fullmatch, list(os.environ)):
        monkeypatch.delenv(name)
    # Keys that the user has stored are keys, too.
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("VEO_HOME", str(folder / "home"))
    monkeypatch.setenv("VEO_CONFIG_HOME", str(folder / "config"))
    monkeypatch.chdir(folder / "here")
    yield folder
    end_processes()


@pytest.fixture
def tmp_path(unused_folders: Iterator[Path]) -> Path:
    """A folder of the test, outside of those of ``isolated``."""
    folder = next(unused_folders)
    folder.mkdir()
    return folder


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Callable[..., veo_sandbox.Sandbox]]:
    """Start sandboxes: `sandbox(profile="docs", fail_rate=1.0)`; tiny clips and no waiting.

    Every call serves a home of its own unless `home` names one; all are stopped with the test.
    """
    import veo_sandbox

    with ExitStack() as running:

        def start(home: Path | None = None, **options: Any) -> veo_sandbox.Sandbox:
            started = len(list(tmp_path.glob("sandbox-*")))
            home = home or tmp_path / f"sandbox-{started}"
            defaults = {"clip": "tiny", "latency": 0, "content_lag": 0}
            return running.enter_context(veo_sandbox.Sandbox(home, **defaults | options))

        yield start
