"""Files that a browser asks for: the console, the passenger's page and the API's pages, read once at the start and
served from memory."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import web

from deploy.answers import Handler
from deploy.representations import gzip, held, packed_tag, tag_of, takes_gzip

FILE_BYTES_MAX = 32_000_000
_IMMUTABLE = "public, max-age=31536000, immutable"
_CHECKED = "no-cache"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".pbf": "application/x-protobuf",
}

NOT_BUILT = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Takt</title></head>
<body>
<h1>Takt is running, but its console has not been built</h1>
<p>Build it with <code>make console</code> in the folder of the source, then start again.</p>
<p>The interface works without it: <a href="/docs">the API, browsable</a>,
<a href="/api/v1/vehicles">vehicles</a>, <a href="/readyz">readiness</a>.</p>
</body></html>
"""

WALLET_NOT_BUILT = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Takt</title></head>
<body>
<h1>The passenger's page has not been built</h1>
<p>Build it with <code>make wallet</code> in the folder of the source, then start again.</p>
</body></html>
"""

# Tickets, keys and payments live here, so this page may do less than the console: nothing inline, nobody else's server.
# The worker that keeps the page for times without a network runs under the policy that its own file comes with.
WALLET_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_WALLET_HEADERS = {
    "Content-Security-Policy": WALLET_POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(self), screen-wake-lock=(self)",
}
# The worker lies a folder below the page that it keeps.
_WORKER_HEADERS = {"Content-Security-Policy": WALLET_POLICY, "Service-Worker-Allowed": "../ticket"}


@dataclass(frozen=True, slots=True)
class Page:
    """One file as it is served."""

    body: bytes
    packed: bytes | None
    content_type: str
    cache_control: str
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)


def page_of(name: str, body: bytes, *, immutable: bool = False) -> Page:
    """A page from a file's name and content; text is packed once, here."""
    suffix = Path(name).suffix.lower()
    content_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    worth = content_type.startswith(("text/", "application/j", "image/svg")) and len(body) > 1000
    cache_control = _IMMUTABLE if immutable else _CHECKED
    return Page(body, gzip(body) if worth else None, content_type, cache_control, tag_of(body))


def read_folder(folder: Path, prefix: str) -> dict[str, Page]:
    """Pages by address: `<prefix>/<path in folder>`, and `<prefix>` itself (or `/`) for its index.html.

    Every file is a route of its own, so no address can reach outside the folder. Files under `assets/` carry a hash
    in their names and never change.
    """
    pages: dict[str, Page] = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.is_symlink() or file.stat().st_size > FILE_BYTES_MAX or file.suffix == ".py":
            continue
        relative = file.relative_to(folder).as_posix()
        page = page_of(file.name, file.read_bytes(), immutable=relative.startswith("assets/"))
        if relative == "index.html":
            pages[prefix or "/"] = page
        else:
            pages[f"{prefix}/{relative}"] = page
    return pages


def console_pages(folder: Path) -> dict[str, Page]:
    """The console at `/`, or a page that says how to build it."""
    pages = read_folder(folder, "") if folder.is_dir() else {}
    if "/" not in pages:
        pages["/"] = page_of("index.html", NOT_BUILT)
    return pages


def wallet_pages(folder: Path) -> dict[str, Page]:
    """The passenger's page at `/ticket` under a policy of its own, or a page that says how to build it."""
    pages = read_folder(folder, "/ticket") if folder.is_dir() else {}
    if "/ticket" not in pages:
        pages["/ticket"] = page_of("index.html", WALLET_NOT_BUILT)
    pages["/ticket"] = replace(pages["/ticket"], headers=_WALLET_HEADERS)
    if "/ticket/sw.js" in pages:
        pages["/ticket/sw.js"] = replace(pages["/ticket/sw.js"], headers=_WORKER_HEADERS)
    return pages


def docs_pages() -> dict[str, Page]:
    """The browsable API at `/docs`."""
    return read_folder(Path(__file__).parent / "docs_page", "/docs")


async def without_slash(request: web.Request) -> web.Response:
    """To the page whose address was typed with a slash behind it; relative, so that a path prefix is kept."""
    return web.Response(status=308, headers={"Location": f"../{request.path.strip('/')}"})


def serve(page: Page) -> Handler:
    """The request handler of a page."""
    headers = {"Content-Type": page.content_type, "Cache-Control": page.cache_control, "ETag": page.etag}
    headers |= page.headers
    if page.packed is not None:
        headers["Vary"] = "Accept-Encoding"

    async def handle(request: web.Request) -> web.Response:
        if (tag := held(request.headers.get("If-None-Match", ""), page.etag)) is not None:
            kept = {key: value for key, value in headers.items() if key != "Content-Type"}
            return web.Response(status=304, headers={**kept, "ETag": tag})
        if page.packed is not None and takes_gzip(request.headers.get("Accept-Encoding", "")):
            packed = {**headers, "ETag": packed_tag(page.etag), "Content-Encoding": "gzip"}
            return web.Response(body=page.packed, headers=packed)
        return web.Response(body=page.body, headers=headers)

    return handle
