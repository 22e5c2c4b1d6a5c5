"""What is behind, what is missing, and what services say they gave up."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer

from infra.local.ports import is_free
from libs.runtime import metrics
from services.cli import reconcile
from services.cli.reconcile import balance, losses
from services.cli.session import Session
from tests.ports import free_port

LOST = 'perennial_events_lost_total{reason="disk",topic="feedback.given.v1"} 2.0\n'
[WORKERS] = metrics.WORKERS.describe()


@contextmanager
def ops(port: int, page: str) -> Iterator[None]:
    """A service's ops port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", port), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    return Session(tmp_path)


def declare(session: Session, **addresses: int) -> None:
    endpoints = {f"{name}.ops": f"127.0.0.1:{port}" for name, port in addresses.items()}
    (session.home / "endpoints.json").write_text(json.dumps(endpoints))


@pytest.mark.parametrize(
    ("marks", "committed", "found"),
    [
        ({0: (0, 10), 1: (0, 4)}, {0: 10, 1: 4}, (14, 14, 0, 0)),
        ({0: (0, 10), 1: (0, 4)}, {0: 7}, (14, 7, 7, 0)),  # never read partition 1
        ({0: (5, 10)}, {0: 8}, (5, 3, 2, 0)),  # retention took what was settled
        ({0: (5, 10)}, {0: 2}, (5, 0, 5, 3)),  # and here what was not
        ({0: (0, 3)}, {0: 5}, (3, 3, 0, 2)),  # the log is shorter than what was settled
        ({0: (0, 3)}, {}, (3, 0, 3, 0)),
    ],
)
def test_what_a_consumer_is_behind_and_what_it_misses(
    marks: dict[int, tuple[int, int]], committed: dict[int, int], found: tuple[int, ...]
) -> None:
    assert balance(marks, committed) == found


def test_every_process_of_a_service_is_asked(session: Session) -> None:
    first = next(port for port in iter(free_port, None) if is_free(port + 1))
    declare(session, inference=first)

    with ops(first, f"{LOST}{WORKERS.name} 2.0\n"), ops(first + 1, LOST):
        assert losses(session).by_topic == {"feedback.given.v1": 4}


@pytest.mark.parametrize(
    ("page", "told"), [(LOST, "2 events of feedback.given.v1"), (None, "not asked")]
)
def test_a_loss_and_a_silent_service_end_the_command_with_1(
    page: str | None,
    told: str,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    declare(session, feedback=port)
    monkeypatch.setattr(reconcile, "balances", lambda *_, **__: [])

    with ops(port if page else free_port(), page or ""), pytest.raises(typer.Exit) as ended:
        reconcile.reconcile()

    assert ended.value.exit_code == 1
    assert told in capsys.readouterr().err
