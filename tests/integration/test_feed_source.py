"""Feeds from folders, files and servers."""

import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dispatch import feed_source
from dispatch.feed_problems import FeedError
from dispatch.feed_source import digest, open_source


def zipped(**tables: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in tables.items():
            archive.writestr(f"{name}.txt", content)
    return file.getvalue()


FEED = zipped(stops=b"stop_id\n", trips=b"trip_id\n")


class Server(BaseHTTPRequestHandler):
    """Answers a feed, anything else with 404."""

    def do_GET(self) -> None:
        found = self.path.startswith("/gtfs.zip")
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(FEED if found else b"nothing here")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, name="feed server")
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_folder_and_its_zip_are_the_same_feed(tmp_path: Path) -> None:
    (tmp_path / "stops.txt").write_bytes(b"stop_id\n")
    (tmp_path / "trips.txt").write_bytes(b"trip_id\n")
    (tmp_path / "readme.md").write_bytes(b"nobody reads this")
    assert digest(open_source(tmp_path)) == digest(open_source(FEED))
    assert open_source(tmp_path).read("stops.txt") == b"stop_id\n"
    assert open_source(tmp_path).read("routes.txt") is None


def test_reads_what_a_server_has(address: str) -> None:
    source = open_source(f"{address}/gtfs.zip?api_key=secret")
    assert source.read("trips.txt") == b"trip_id\n"
    assert "secret" not in source.name


def test_says_what_the_server_said(address: str) -> None:
    with pytest.raises(FeedError, match=r"/other\.zip: the server answered 404 Not Found$"):
        open_source(f"{address}/other.zip?api_key=secret")


def test_says_when_nobody_answers(address: str) -> None:
    closed = address.rsplit(":", 1)[0] + ":9"
    with pytest.raises(FeedError, match="cannot be fetched") as refusal:
        open_source(f"{closed}/gtfs.zip?api_key=secret")
    assert "secret" not in str(refusal.value)


def test_refuses_a_download_without_end(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_source, "DOWNLOAD_BYTES_MAX", 10)
    with pytest.raises(FeedError, match="the most that is fetched"):
        open_source(f"{address}/gtfs.zip")


def test_refuses_tables_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_source, "TABLE_BYTES_MAX", 5)
    (tmp_path / "stops.txt").write_bytes(b"stop_id\n")
    for source in (open_source(tmp_path), open_source(FEED)):
        with pytest.raises(FeedError, match=r"^stops\.txt: (is larger|unpacks to more) than"):
            source.read("stops.txt")


def test_refuses_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="there is no such file or folder; give a GTFS zip"):
        open_source(tmp_path / "gtfs.zip")
    (tmp_path / "gtfs.zip").write_bytes(b"PK but no zip")
    with pytest.raises(FeedError, match=r"gtfs\.zip: is not a zip file"):
        open_source(tmp_path / "gtfs.zip")
