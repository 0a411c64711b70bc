"""Videos and frames in buckets, with a real S3 server and a small one for Google Cloud Storage."""

import json
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest
from cli_runner import Veo, fork_command
from PIL import Image
from raw_server import RawServer

import veo_sandbox
from veo.bucket import BucketPath, find_bucket_path, map_files
from veo.bucket_store import BucketError, open_store
from veo.files.output import hash_file, publish_part

pytest_plugins = ("veo_fixtures",)

STORED = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n'
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
SECRET = "planted-secret-of-a-bucket"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An S3 server; gives its URL."""
    from moto.server import ThreadedMotoServer  # takes 0.4 s, and only one worker needs it

    running = ThreadedMotoServer(port=0, verbose=False)
    running.start()
    yield f"http://127.0.0.1:{running.get_host_and_port()[1]}"
    running.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server, which has an empty bucket `clips`."""
    import boto3

    set_endpoint(monkeypatch, server)
    client = boto3.client("s3")
    client.create_bucket(Bucket="clips")
    yield client
    for name in list_names(client):
        client.delete_object(Bucket="clips", Key=name)


def set_endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Set what a user sets for an S3 server of their own."""
    values = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "planted-id",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    open_store.cache_clear()


def list_names(s3: Any) -> list[str]:
    """Return the names of all objects, and check that no upload is half done."""
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="clips")
    return [each["Key"] for each in s3.list_objects_v2(Bucket="clips").get("Contents", [])]


def list_local_files(folder: Path) -> list[str]:
    """Return the names of videos, parts and folders of addresses on this machine."""
    names = [path.name for path in folder.rglob("*")]
    return [name for name in names if name.endswith((".mp4", ".part", "s3:"))]


@pytest.mark.usefixtures("service")
def test_a_video_in_a_bucket(veo: Veo, s3: Any, isolated: Path) -> None:
    """Video and sidecar are objects, the video with its hash; nothing stays on this machine."""
    address = "s3://clips/renovation/lion.mp4"
    made = veo("generate", "a lion", "-o", address, "--json")
    assert made.code == 0, made.err
    job = made.objects[-1]
    stored = s3.get_object(Bucket="clips", Key="renovation/lion.mp4")
    body = s3.get_object(Bucket="clips", Key="renovation/lion.mp4.json")["Body"].read()
    sidecar = json.loads(body)

    assert job["output"] == sidecar["output"] == address
    assert stored["Metadata"]["sha256"] == job["sha256"] == sidecar["sha256"]
    assert (stored["ContentType"], stored["ContentLength"]) == ("video/mp4", job["bytes"])
    assert job["clip"]["width"] > 0
    assert list_names(s3) == ["renovation/lion.mp4", "renovation/lion.mp4.json"]
    assert list_local_files(isolated) == []
    assert job["job"] in veo("show", address).out
    again = veo("generate", "a lion", "-o", address)
    assert (again.code, "already exists" in again.err) == (2, True)


def test_a_batch_in_a_bucket(veo: Veo, s3: Any, service: veo_sandbox.Sandbox) -> None:
    """Frames come from the bucket; a second run finds every video in it."""
    frame = BytesIO()
    Image.new("RGB", (720, 1280), "green").save(frame, "PNG")
    s3.put_object(Bucket="clips", Key="frames/a.png", Body=frame.getvalue())
    framed = {"start_frame": "s3://clips/frames/a.png", "model": "veo-3.1-fast-fl"}
    items = [{"prompt": "a", "output": "sub/a.mp4"}, {"prompt": "b"} | framed]
    Path("clips.json").write_text(json.dumps(items))
    arguments = ("batch", "clips.json", "--output-dir", "s3://clips/day 1")
    first, second = veo(*arguments), veo(*arguments)

    assert (first.code, second.code) == (0, 0), first.err
    assert "2 made already" in second.err
    names = list_names(s3)
    assert {"day 1/sub/a.mp4", "day 1/batch-result.json"} <= set(names)
    assert len(service.bills()) == sum(name.endswith(".mp4") for name in names) == 2


@pytest.mark.usefixtures("s3")
def test_a_name_that_is_taken_meanwhile(tmp_path: Path) -> None:
    """The video gets another name; one that is there already is not uploaded again."""
    part, other = tmp_path / "a.part", tmp_path / "b.part"
    part.write_bytes(b"one")
    other.write_bytes(b"two")
    output = BucketPath("s3://clips/lion.mp4")
    names = [
        str(publish_part(file, output, "job", force=force))
        for file, force in ((part, False), (part, False), (other, False), (other, False))
    ]

    taken, free = "s3://clips/lion.mp4", "s3://clips/lion.job.mp4"
    assert names == [taken, taken, free, free]
    assert output.read_bytes() == b"one"
    publish_part(other, output, "job", force=True)
    assert (output.read_bytes(), hash_file(output)) == (b"two", hash_file(other))


def test_a_kill_in_mid_upload(
    veo: Veo, s3: Any, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    """Nothing has the name then; another process uploads the video once, and pays nothing."""
    is_uploading = threading.Event()

    def accept(connection: socket.socket) -> None:
        while (head := connection.recv(100, socket.MSG_PEEK)) and b"PUT /clips/lion" not in head:
            slow.read_request(connection)
            connection.sendall(MISSING if head.startswith(b"HEAD") else STORED)
        if head:
            is_uploading.set()
        while connection.recv(1 << 16):  # until the client is killed
            pass

    with RawServer(accept) as slow:
        set_endpoint(monkeypatch, slow.url)
        with fork_command("generate", "a lion", "-o", "s3://clips/lion.mp4", "--force") as running:
            assert is_uploading.wait(30)
            running.send_signal(signal.SIGKILL)
    set_endpoint(monkeypatch, server)
    assert list_names(s3) == []
    resumed = veo("resume")

    assert resumed.code == 0, resumed.err
    assert list_names(s3) == ["lion.mp4", "lion.mp4.json"]
    assert len(service.bills()) == 1


def test_a_bucket_that_fails_after_the_video(
    veo: Veo, s3: Any, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job can be resumed, and costs nothing more."""
    with monkeypatch.context() as patch:

        def fail(*_: object, **__: object) -> None:
            raise BucketError("s3://clips is not available: HTTP 503")

        patch.setattr(BucketPath, "upload", fail)
        failed = veo("generate", "a lion", "-o", "s3://clips/lion.mp4")
    assert (failed.code, "HTTP 503" in failed.err, "veo resume" in failed.err) == (7, True, True)
    assert veo("resume").code == 0
    assert (list_names(s3), len(service.bills())) == (["lion.mp4", "lion.mp4.json"], 1)


REFUSED = b"<Error><Code>SignatureDoesNotMatch</Code><Message>The signature is wrong.</Message>"
REFUSED += b"<AWSAccessKeyId>planted-id</AWSAccessKeyId></Error>"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%b" % (len(REFUSED), REFUSED)


class TestProblemsBeforePaying:
    def test_a_missing_bucket(self, veo: Veo, s3: Any, service: veo_sandbox.Sandbox) -> None:
        """It is named, also by `veo doctor`."""
        ran = veo("generate", "a lion", "-o", "s3://no-such-bucket/lion.mp4")
        assert (ran.code, service.bills()) == (2, [])
        assert "there is no bucket s3://no-such-bucket" in ran.err

    def test_refused_credentials(
        self, veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reason is shown without the credentials that the server repeats."""
        with RawServer(lambda each: each.recv(9999) and each.sendall(FORBIDDEN)) as strict:
            set_endpoint(monkeypatch, strict.url)
            ran = veo("generate", "a lion", "-o", "s3://clips/lion.mp4", "--debug")
        assert (ran.code, service.bills()) == (2, [])
        assert "refuses the credentials: The signature is wrong. (SignatureDoesNotMatch)" in ran.err
        assert not any(secret in ran.err for secret in ("planted-id", SECRET))

    def test_without_the_extra(
        self, veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The error says what to install."""
        open_store.cache_clear()
        monkeypatch.setitem(sys.modules, "obstore", None)
        ran = veo("generate", "a lion", "-o", "s3://clips/lion.mp4")
        assert (ran.code, service.bills()) == (2, [])
        assert "pip install 'veo-video[buckets]'" in ran.err


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://clips/a/b c.mp4", "s3://clips/a/b c.mp4"),
        (Path("s3://clips/a.mp4"), "s3://clips/a.mp4"),
        ("gs://clips", "gs://clips"),
        ("clips/s3/a.mp4", None),
        ("s3:a.mp4", None),
        ("https://clips/a.mp4", None),
    ],
)
def test_addresses(text: Path | str, address: str | None) -> None:
    """An address keeps its form through the operations of paths."""
    found = find_bucket_path(text)
    assert (found and str(found)) == address
    if found:
        assert str((found / "x" / "y.mp4").with_name("z.json").parent) == f"{address}/x"


class FakeStorage(BaseHTTPRequestHandler):
    """The requests of Google Cloud Storage's XML API that are needed here."""

    objects: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        is_new_only = self.headers.get("x-goog-if-generation-match") == "0"
        if is_new_only and self.path in self.objects:
            self._respond(412)
            return
        self.objects[self.path] = data
        self._respond(200)

    def do_GET(self) -> None:
        data = self.objects.get(self.path)
        self._respond(404 if data is None else 200, data or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self._respond(204 if self.objects.pop(self.path, None) is not None else 404)

    def _respond(self, status: int, data: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("x-goog-generation", "1")
        self.send_header("Last-Modified", formatdate(usegmt=True))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def test_many_files_are_asked_for_at_the_same_time() -> None:
    """A batch into a bucket does not wait for one response after the other."""
    meeting = threading.Barrier(4, timeout=60)
    found = map_files(lambda number: (meeting.wait(), number)[1], range(4), is_remote=True)
    assert found == [0, 1, 2, 3]


@pytest.mark.usefixtures("service")
def test_google_cloud_storage(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`gs://` works likewise; the server is a small imitation."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeStorage) as storage:
        thread = threading.Thread(target=storage.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{storage.server_port}"
        account = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        account |= {"gcs_base_url": url, "disable_oauth": True}
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
        open_store.cache_clear()
        made = veo("generate", "a lion", "-o", "gs://clips/lion.mp4")
        again = veo("generate", "a lion", "-o", "gs://clips/lion.mp4")
        storage.shutdown()
        thread.join()
    assert (made.code, again.code) == (0, 2), made.err
    assert sorted(map(unquote, FakeStorage.objects)) == [
        "/clips/lion.mp4",
        "/clips/lion.mp4.json",
    ]
