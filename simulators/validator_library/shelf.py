"""What was fetched, kept in a folder: a validator that is switched on where there is no network decides by it at once.

One file a list, as it came from the server, but the deny list, which is kept whole. The file's time says when the
server last said so. Policy: a file is written whole and synced, and only when its content changes, which is seldom.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

FILES_MAX = 256


class Shelf:
    """A folder of lists by name: `keys`, `products`, `deny`, `status-<number>`."""

    def __init__(self, folder: Path) -> None:
        """The folder is made where there is none."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._held: dict[str, bytes] = {}

    def put(self, name: str, data: bytes, at_s: float) -> None:
        """Keep what the server said at an instant (Unix seconds); OSError where the disk is full or broken."""
        path = self._folder / name
        if self._held.get(name) != data or not path.exists():
            new = path.with_name(f".{name}")
            with new.open("wb") as file:
                new.chmod(0o600)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            self._held[name] = data
        os.utime(path, (at_s, at_s))

    def renew(self, name: str, at_s: float) -> None:
        """The server said at an instant that what is kept still holds; OSError where nothing is kept."""
        os.utime(self._folder / name, (at_s, at_s))

    def items(self) -> Iterator[tuple[str, bytes, float]]:
        """Name, content and time of all; keys first, since lists count by them. What cannot be read is left out."""
        names = sorted(path.name for path in self._folder.iterdir() if not path.name.startswith("."))
        for name in sorted(names, key=lambda name: name != "keys")[:FILES_MAX]:
            path = self._folder / name
            try:
                data, at_s = path.read_bytes(), path.stat().st_mtime
            except OSError:
                continue
            self._held[name] = data
            yield name, data, at_s
