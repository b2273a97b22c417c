"""What can go wrong in ticketing, split by whose fault it is."""


class Problem(Exception):  # noqa: N818  # a problem document, as the standard calls it
    """A request that cannot be done as asked; the web layer renders it as a problem document (RFC 9457)."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        """`status` is the HTTP status, `title` the kind of problem, `detail` what to do about this one."""
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail


class TicketingError(Exception):
    """A file of ticketing's that cannot be used; the text is a sentence for whoever starts it."""


class TariffError(TicketingError):
    """A tariff file that cannot be used; the text names the file and the field."""


class KeyFileError(TicketingError):
    """A key file that is missing, readable by others or broken; the text names the file and the next step."""


class CredentialError(Exception):
    """A credential that is refused; `verdict` says under which of the contract's names, `reason` why."""

    def __init__(self, verdict: str, reason: str) -> None:
        """`verdict` is one of malformed, unknown_key, bad_signature, stale_proof."""
        super().__init__(f"{verdict}: {reason}")
        self.verdict = verdict
        self.reason = reason
