"""Everything that can go wrong with a request, as an RFC 9457 problem document and never as a traceback."""

from __future__ import annotations

import re
from http import HTTPStatus

import msgspec
from aiohttp import web

PROBLEM_TYPE = "application/problem+json"
# msgspec ends its sentences with the place: "Expected `int`, got `str` - at `$.taps[2].ts`".
_PLACE = re.compile(r"^(?P<message>.*?)(?: - at `(?P<place>[^`]*)`)?$", re.DOTALL)


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field: `body.taps[2].ts`, `query.from`, `path.stop_id` or `header.Idempotency-Key`."""

    field: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as RFC 9457 has it; `errors` names the fields, `request_id` finds the request in our logs."""

    title: str
    status: int
    detail: str = ""
    type: str = "about:blank"
    instance: str = ""
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()


class Problem(Exception):  # noqa: N818  (the RFC's own word)
    """A refused request. Other packages raise exceptions of the same shape: status, title and detail."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str = "",
        errors: tuple[FieldError, ...] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


def field_problem(place: str, error: Exception, status: int = 422) -> Problem:
    """The problem of one wrong value: `place` is `body`, or the value's whole name such as `query.from`."""
    match = _PLACE.match(str(error))
    message = match["message"] if match else str(error)
    inner = (match["place"] or "$") if match else "$"
    field = place + inner.removeprefix("$")
    return Problem(status, f"{field}: {message}", title="Invalid request", errors=(FieldError(field, message),))


def document_of(error: BaseException) -> tuple[ProblemDocument, dict[str, str], bool]:
    """The document of an error, its headers, and whether it was foreseen: what was not must be logged and counted."""
    if isinstance(error, Problem):
        return ProblemDocument(error.title, error.status, error.detail, errors=error.errors), error.headers, True
    if isinstance(error, web.HTTPException):
        return *_http_document(error), True
    shape = _foreign(error)
    if shape is not None:
        return shape, dict(getattr(error, "headers", None) or {}), True
    return (
        ProblemDocument("Internal Server Error", 500, "The server failed; its log has the request's id."),
        {},
        False,
    )


def _foreign(error: BaseException) -> ProblemDocument | None:
    """The document of another package's Problem, known by its three attributes alone."""
    status, title, detail = (getattr(error, name, None) for name in ("status", "title", "detail"))
    if isinstance(status, int) and 400 <= status <= 599 and isinstance(title, str) and isinstance(detail, str):
        kind = getattr(error, "type", None)
        return ProblemDocument(title, status, detail, type=kind if isinstance(kind, str) else "about:blank")
    return None


def _http_document(error: web.HTTPException) -> tuple[ProblemDocument, dict[str, str]]:
    headers: dict[str, str] = {}
    detail = ""
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        detail = f"{error.method} is not allowed here; allowed: {headers['Allow']}."
    elif isinstance(error, web.HTTPRequestEntityTooLarge):
        detail = "The body is larger than this server takes."
    elif error.status == 404:
        detail = "There is nothing at this address; /docs lists what there is."
    status = error.status if error.status >= 400 else 500
    return ProblemDocument(HTTPStatus(status).phrase, status, detail), headers


def render(document: ProblemDocument, headers: dict[str, str], *, path: str = "", request_id: str = "") -> web.Response:
    """The response that carries a problem document."""
    full = msgspec.structs.replace(document, instance=path, request_id=request_id)
    response = web.Response(
        body=msgspec.json.encode(full), status=document.status, headers=headers, content_type=PROBLEM_TYPE
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def plain(value: str) -> str:
    """Text that JSON can carry: what a client sent percent-encoded or in a header may hold lone surrogates."""
    return value.encode("utf-8", "replace").decode("utf-8")
