"""Where a feed's tables come from: a zip, a folder or a URL, none of them trusted."""

from __future__ import annotations

import io
import zipfile
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from dispatch.feed_problems import FeedError

TABLES = (
    "agency.txt",
    "calendar.txt",
    "calendar_dates.txt",
    "feed_info.txt",
    "frequencies.txt",
    "routes.txt",
    "shapes.txt",
    "stop_times.txt",
    "stops.txt",
    "trips.txt",
)
TABLE_BYTES_MAX = 1 << 30  # the largest public feeds (national ones) hold about 1.5 GB in all tables together
DOWNLOAD_BYTES_MAX = 512 << 20
DOWNLOAD_TIMEOUT_S = 60.0
# A timetable shrinks to a tenth; what shrinks to less than a hundredth was made to fill a disk.
BOMB_BYTES, BOMB_RATIO = 50 << 20, 100


class Source(Protocol):
    """The tables of one feed."""

    name: str

    def read(self, table: str) -> bytes | None:
        """The table's bytes, None when the feed does not have it; FeedError when it cannot be read."""
        ...


def fetch(source: str | Path | bytes) -> str | Path | bytes:
    """What is at an http(s) address, as bytes; anything else as it stands. Raises FeedError when it cannot be had."""
    if isinstance(source, str) and is_address(source):
        return _download(source)
    return source


def is_address(source: str) -> bool:
    """Whether a feed is named by an http(s) address; anything else is a file or a folder."""
    return source.lower().startswith(("http://", "https://"))


def check_exists(source: str) -> None:
    """Raise FeedError where no file or folder bears the name; an address is asked only when it is fetched."""
    if is_address(source):
        _shown(source)
    elif not Path(source).exists():
        raise FeedError(
            source, None, "there is no such file or folder; give a GTFS zip, a folder or an http(s) address"
        )


def open_source(source: str | Path | bytes) -> Source:
    """The feed at a path or URL, or in a zip's bytes. Raises FeedError when there is none."""
    content = fetch(source)
    if isinstance(content, bytes):
        name = "feed.zip" if isinstance(source, bytes) else _shown(str(source))
        return _ZipSource(name, io.BytesIO(content))
    address = str(source)
    path = Path(address)
    if path.is_dir():
        return _FolderSource(path)
    check_exists(address)
    try:
        return _ZipSource(address, path if path.is_file() else io.BytesIO())
    except OSError as error:
        raise FeedError(address, None, f"cannot be read ({error.strerror})") from error


def digest(source: Source) -> str:
    """SHA-256 of all tables that the reader looks at, by name and content, whatever they are packed in."""
    total = sha256()
    for table in TABLES:
        content = source.read(table)
        if content is not None:
            total.update(f"{table}\0{len(content)}\0".encode())
            total.update(content)
    return total.hexdigest()


class _FolderSource:
    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder

    def read(self, table: str) -> bytes | None:
        path = self._folder / table
        try:
            if not path.is_file():
                return None
            if path.stat().st_size > TABLE_BYTES_MAX:
                raise FeedError(table, None, f"is larger than {TABLE_BYTES_MAX >> 20} MB, the most that is read")
            return path.read_bytes()
        except OSError as error:
            raise FeedError(str(path), None, f"cannot be read ({error.strerror})") from error


class _ZipSource:
    def __init__(self, name: str, file: Path | io.BytesIO) -> None:
        self.name = name
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise FeedError(name, None, "is not a zip file; give a GTFS zip or a folder of its tables") from None
        self._entries = {entry.filename: entry for entry in self._zip.infolist()}
        self._folder = self._find_folder()

    def _find_folder(self) -> str:
        """Some publishers zip the folder instead of the files in it."""
        if "stops.txt" in self._entries:
            return ""
        folders = {name.removesuffix("stops.txt") for name in self._entries if name.endswith("/stops.txt")}
        return folders.pop() if len(folders) == 1 else ""

    def read(self, table: str) -> bytes | None:
        entry = self._entries.get(self._folder + table)
        if entry is None:
            return None
        if entry.file_size > TABLE_BYTES_MAX:
            raise FeedError(table, None, f"unpacks to more than {TABLE_BYTES_MAX >> 20} MB, the most that is read")
        if entry.file_size > BOMB_BYTES and entry.file_size > BOMB_RATIO * max(entry.compress_size, 1):
            raise FeedError(table, None, f"unpacks to {BOMB_RATIO} times its size or more, which no timetable does")
        try:
            with self._zip.open(entry) as file:
                content = file.read(entry.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise FeedError(
                table, None, f"cannot be unpacked from {self.name} ({error}); fetch the feed again"
            ) from error
        return content


def _shown(address: str) -> str:
    """The address without what may be secret: user, password and query (API keys travel there).

    Raises FeedError when it is none.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise FeedError("the address of the feed", None, f"is none ({error})") from None
    if not host:
        raise FeedError("the address of the feed", None, "names no host")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{'' if port is None else f':{port}'}{parts.path}"


def _download(address: str) -> bytes:
    import http.client  # a third of the time that this module takes to load, and most feeds are files
    import urllib.error
    import urllib.request

    shown = _shown(address)
    request = urllib.request.Request(address, headers={"User-Agent": "takt"})  # noqa: S310  the scheme is http or https
    try:
        with urllib.request.urlopen(request, timeout=DOWNLOAD_TIMEOUT_S) as answer:  # noqa: S310
            content: bytes = answer.read(DOWNLOAD_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        raise FeedError(shown, None, f"the server answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise FeedError(shown, None, f"cannot be fetched ({reason})") from None
    if len(content) > DOWNLOAD_BYTES_MAX:
        raise FeedError(shown, None, f"is larger than {DOWNLOAD_BYTES_MAX >> 20} MB, the most that is fetched")
    return content
