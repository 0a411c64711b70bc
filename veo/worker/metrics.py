"""Metrics of a worker in the text format of Prometheus."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from veo.errors import UsageError, VeoError
from veo.worker.status import QueueStatus, read_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.ledger import Ledger
    from veo.worker.worker import Worker

HOST = "127.0.0.1"  # the numbers are not for everybody; a proxy can publish them
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@contextmanager
def serve_metrics(worker: Worker, ledger: Ledger, port: int | None) -> Iterator[int | None]:
    """Serve the metrics of a worker at ``/metrics``; gives the port, which 0 lets be chosen.

    Raises:
        UsageError: The port cannot be used.
    """
    if port is None:
        yield None
        return

    try:
        server = ThreadingHTTPServer((HOST, port), _make_handler(worker, ledger))
    except (OSError, OverflowError) as error:
        raise UsageError(f"the metrics cannot be served on port {port}: {error}") from error
    thread = threading.Thread(target=server.serve_forever, name="veo-metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _make_handler(worker: Worker, ledger: Ledger) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                body = _format_metrics(worker, read_status(ledger)).encode()
            except VeoError as error:  # the worker continues while the database is down
                self.send_error(503, error.message)
                return
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do nothing: a request every few seconds would fill the log."""

    return Handler


def _format_metrics(worker: Worker, status: QueueStatus) -> str:
    """Return the metrics of one worker, and of the queue that all workers share."""
    stats, jobs = worker.stats, status.backlog_json()
    late_s = jobs.pop("late_s")
    lines = [
        *_metric("veo_steps_total", "counter", stats.steps),
        *_metric("veo_step_errors_total", "counter", stats.errors),
        *_metric("veo_step_lateness_seconds_sum", "counter", round(stats.late_s, 3)),
        *_metric("veo_step_lateness_seconds_max", "gauge", round(stats.most_late_s, 3)),
        *_metric("veo_workers", "gauge", len(status.workers)),
        *_metric("veo_queue_lateness_seconds", "gauge", late_s),
        "# TYPE veo_jobs gauge",
    ]
    lines += [f'veo_jobs{{state="{state}"}} {count}' for state, count in jobs.items()]
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, value: float) -> list[str]:
    return [f"# TYPE {name} {kind}", f"{name} {value}"]
