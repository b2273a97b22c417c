"""One address with an answer in several forms: who asks says by Accept which it takes (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from deploy.answers import Callers, Handler, handler_of
from deploy.binding import Operation


def handler_at(forms: Sequence[Operation], callers: Callers) -> Handler:
    """The request handler of one address: of its only operation, or of several that are forms of one answer."""
    handlers = {form.reply.content_type: handler_of(form, callers) for form in forms}
    return negotiated(handlers) if len(forms) > 1 else handlers[forms[0].reply.content_type]


def negotiated(handlers: Mapping[str, Handler]) -> Handler:
    """A handler that hands a request to the one of its preferred content type; the first is the usual."""

    async def handle(request: web.Request) -> web.StreamResponse:
        accept = ",".join(request.headers.getall("Accept", []))
        response = await handlers[preferred(accept, list(handlers))](request)
        response.headers["Vary"] = ", ".join(["Accept", *response.headers.getall("Vary", [])])
        return response

    return handle


def preferred(accept: str, offered: Sequence[str]) -> str:
    """The offered content type that an Accept header likes best; the first where it likes several alike, or none.

    Who takes none of them is given the usual one and not a 406: the answer says what it is.
    """
    wanted = _qualities(accept)
    return max(offered, key=lambda content_type: _quality(content_type, wanted))  # of equals the first


def _qualities(accept: str) -> dict[str, float]:
    qualities: dict[str, float] = {}
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            qualities[media_range] = float(quality)
        except ValueError:
            continue
    return qualities


def _quality(content_type: str, wanted: Mapping[str, float]) -> float:
    """By the most exact range that holds it."""
    for media_range in (content_type, f"{content_type.partition('/')[0]}/*", "*/*"):
        if media_range in wanted:
            return wanted[media_range]
    return 0.0
