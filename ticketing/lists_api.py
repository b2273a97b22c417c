"""What validators fetch to decide alone, over HTTP: status lists and the deny list, open to all."""

from __future__ import annotations

from typing import Annotated

from ticketing.lists import DenyList, Lists
from ticketing.routes import Route


class ListsApi:
    """The operations over lists made from the books."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    def routes(self) -> list[Route]:
        """The operations."""
        return [
            Route("GET", "/status-lists/{list_id}", "public", self.status_list),
            Route("GET", "/status-lists/{list_id}", "public", self.status_list_cwt),
            Route("GET", "/status-lists/{list_id}/cwt", "public", self.status_list_cwt),
            Route("GET", "/deny-list", "public", self.deny_list),
        ]

    async def status_list(self, list_id: int) -> Annotated[str, "application/statuslist+jwt", "public, max-age=15"]:
        """A token status list: two bits a ticket, signed; as JWT, or as CWT to who asks for that by Accept."""
        return await self._lists.status_list(list_id)

    async def status_list_cwt(
        self, list_id: int
    ) -> Annotated[bytes, "application/statuslist+cwt", "public, max-age=15"]:
        """The same status list as a CWT."""
        return await self._lists.status_list_cwt(list_id)

    async def deny_list(self, *, after: int = 0) -> Annotated[DenyList, "public, max-age=0, must-revalidate"]:
        """The media refused everywhere, as changes after a number."""
        return await self._lists.deny_list(max(after, 0))
