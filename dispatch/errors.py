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
