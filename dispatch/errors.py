"""What can go wrong in dispatch, split by whose fault it is."""


class Problem(Exception):  # noqa: N818  (the word of RFC 9457)
    """A request that cannot be done as asked; the web layer renders it as a problem document."""

    def __init__(self, status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> None:
        """`status` is the HTTP status, `title` the kind of problem, `detail` what to do about this one."""
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers or {}


def not_ready(detail: str, again_s: int) -> Problem:
    """What is asked for cannot be told yet, or not just now: ask again so many seconds later."""
    return Problem(503, "Not ready", detail, {"Retry-After": str(again_s)})


def history_away() -> Problem:
    """What has been is not to be read now."""
    return not_ready("The database of history does not answer; /readyz says why.", 2)


def no_such_route(route_id: str) -> Problem:
    """The feed in use has no route of this id."""
    return Problem(404, "No such route", f"The feed has no route {route_id}; /api/v1/routes lists them.")
