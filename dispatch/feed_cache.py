"""A feed read once and kept: the reading happens in a child process, so that the caller's memory stays small."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from dispatch.feed_problems import FeedError
from dispatch.feed_source import digest, fetch, open_source
from dispatch.network import Network
from dispatch.network_blocks import block_rule
from dispatch.network_file import FORMAT_VERSION, NetworkFileError, load_network

READING_TIMEOUT_S = 300.0
READER_VERSION = 1  # raise it when the same feed is read differently: caches are built anew
CACHED_MAX = 4  # networks kept in one folder; the least recently used goes first
SUFFIX = ".network"


def load_feed_cached(source: str | Path | bytes, cache_dir: Path, block_pattern: str | None = None) -> Network:
    """The network of a feed, from `cache_dir` when this very content was read before, else read in a child process.

    Raises FeedError and BlockRuleError as `dispatch.feed.read_feed` does, OSError when the cache cannot be written.
    A damaged cache file is written anew.
    """
    if block_pattern:
        block_rule(block_pattern)
    source = fetch(source)  # once: the child reads the very bytes whose digest names the file
    opened = open_source(source)
    # The year is part of the key because a calendar without end is only kept for some years ahead.
    year = dt.datetime.now(dt.UTC).year
    options = json.dumps([digest(opened), block_pattern or "", year, FORMAT_VERSION, READER_VERSION])
    cached = cache_dir / (sha256(options.encode()).hexdigest() + SUFFIX)
    try:
        network = load_network(cached)
        os.utime(cached)
    except (FileNotFoundError, NetworkFileError):
        cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _read_in_child(source, cached, block_pattern)
        network = load_network(cached)
        _forget_oldest(cache_dir)
    return network


def _read_in_child(source: str | Path | bytes, cached: Path, block_pattern: str | None) -> None:
    content = source if isinstance(source, bytes) else b""
    options = {"source": None if content else str(source), "cached": str(cached), "block_pattern": block_pattern}
    command = [sys.executable, "-m", "dispatch.feed_cache", json.dumps(options)]
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter, our own module
            command, input=content, capture_output=True, timeout=READING_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise FeedError(_name(source), None, f"was not read within {READING_TIMEOUT_S:.0f} s") from None
    if done.returncode == 0:
        return
    try:
        refusal = json.loads(done.stdout)
        error = FeedError(refusal["file"], refusal["line"], refusal["message"])
    except (ValueError, KeyError, TypeError):
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        reason = last[0] if last else f"exit status {done.returncode}"
        error = FeedError(_name(source), None, f"the reader stopped ({reason})")
    raise error


def _forget_oldest(cache_dir: Path) -> None:
    """Processes that have an old file open keep it: unlinking takes the name away, not the pages."""
    ours = [path for path in cache_dir.glob("*" + SUFFIX) if len(path.stem) == sha256().digest_size * 2]
    files = sorted(ours, key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[CACHED_MAX:]:
        path.unlink(missing_ok=True)


def _name(source: str | Path | bytes) -> str:
    return "feed.zip" if isinstance(source, bytes) else str(source)


def _child() -> int:
    """Read the feed named in the argument (or the zip on standard input) and save its network."""
    from dispatch.feed import read_feed
    from dispatch.network_file import save_network

    options = json.loads(sys.argv[1])
    try:
        feed = read_feed(options["source"] or sys.stdin.buffer.read(), options["block_pattern"])
    except FeedError as error:
        print(json.dumps({"file": error.file, "line": error.line, "message": error.message}))
        return 1
    save_network(feed.network, Path(options["cached"]))
    return 0


if __name__ == "__main__":
    sys.exit(_child())
