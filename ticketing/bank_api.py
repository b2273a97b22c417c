"""Bank cards over HTTP: what a cashier sees of an account, money given back, and debts asked for again."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from sql import query
from ticketing.books import Books, Done, audit
from ticketing.collecting import Collecting
from ticketing.errors import Problem
from ticketing.masking import mask_text
from ticketing.money import Money
from ticketing.operations import Operations
from ticketing.payment import bad_token, medium_key, operation_key
from ticketing.payment_rows import Operation, write_down
from ticketing.routes import Route

AccountId = Annotated[str, Meta(pattern="^[a-p]{32}$")]
ChargeId = Annotated[str, Meta(pattern="^[a-p]{40}$")]


class BankCharge(Struct, frozen=True):
    """A charge of an account, or (below zero) money given back of one; taps are what it was for. Times Unix seconds.

    state: asked (the acquirer has yet to answer), paid, debt (declined), void (taken back), declined (a refund).
    """

    id: str
    day: str
    reason: str
    amount_minor: int
    currency: str
    state: str
    made_at: float
    done_at: float | None
    gives_back: str | None
    note: str | None
    taps: list[str]


class BankAccount(Struct, frozen=True):
    """A bank card's account: whether it may ride, what it owes, and its newest charges.

    state: good, new (not verified yet) or blocked. unpaid_minor: rides not charged yet; debt_minor: charges that were
    declined. media: how many tokens (plastic, phones) share the account.
    """

    id: str
    state: str
    blocked_for: str | None
    unpaid_minor: int
    debt_minor: int
    currency: str
    next_try_at: float | None
    media: int
    made_at: float
    charges: list[BankCharge]


class Standing(Struct, frozen=True):
    """What a rider is told about the own card."""

    id: str
    state: str
    debt_minor: int
    currency: str
    next_try_at: float | None


class CardSearch(Struct, forbid_unknown_fields=True):
    """The token of a card that was put on the desk's reader."""

    token: Annotated[str, Meta(min_length=1, max_length=128)]


class MoneyBack(Struct, forbid_unknown_fields=True):
    """Money to give back of a charge: all that is left of it where no amount (minor units) is named."""

    charge_id: ChargeId
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    amount_minor: Annotated[int, Meta(gt=0, le=10**12)] | None = None


class BankApi:
    """The operations; without an acquirer (operations None) they say that bank cards are off."""

    def __init__(
        self, books: Books, operations: Operations | None, collecting: Collecting | None, currency: str
    ) -> None:
        self._books = books
        self._operations = operations
        self._collecting = collecting
        self._currency = currency

    def routes(self) -> list[Route]:
        """The operations."""
        account = "/api/v1/bank-accounts/{account_id}"
        return [
            Route("POST", "/api/v1/bank-accounts/search", "accounts:read", self.search),
            Route("GET", account, "accounts:read", self.get),
            Route("POST", f"{account}/refund", "tickets:change", self.refund),
            Route("POST", f"{account}/recover", "public", self.recover),
        ]

    async def search(self, *, body: CardSearch) -> BankAccount:
        """The account of a bank card, by the token that the desk's reader gives."""
        if why := bad_token(body.token):
            raise Problem(422, "Bad token", f"token: {why}")
        async with self._books.reading() as connection:
            account_id = await connection.fetchval(query("bank.find_account"), medium_key(body.token))
        if account_id is None:
            raise Problem(404, "No such account", "this card has never been used here")
        return await self.get(account_id)

    async def get(self, account_id: AccountId) -> BankAccount:
        """A bank card's account as it stands in the books."""
        async with self._books.reading() as connection:
            row = await connection.fetchrow(query("bank.get_account"), account_id)
            charges = await connection.fetch(query("bank.list_charges"), account_id)
        if row is None:
            raise Problem(404, "No such account", "there is no bank account under this id")
        state = "blocked" if row["blocked"] else "good" if row["verified"] else "new"
        return BankAccount(
            account_id,
            state,
            row["blocked"],
            row["unpaid_minor"],
            row["debt_minor"],
            self._currency,
            row["next_try_at"],
            row["media"],
            row["made_at"],
            [BankCharge(**{**charge, "day": charge["day"].isoformat()}) for charge in charges],
        )

    async def recover(self, account_id: AccountId, *, subject: str, idempotency_key: str | None) -> Standing:
        """Ask the bank for a card's debts again now; the card rides again once they are paid. For riders, too."""
        operations, collecting = self._open()
        asked: list[str] = []

        async def ask(connection: Any) -> Done:
            asked.extend(await collecting.recover(connection, account_id))
            return Done()

        # Riders have no names here, and their keys are their own: two may well choose the same one.
        who = subject or f"rider:{account_id}"
        await self._books.once(who, idempotency_key, ("bank_recover", account_id), Done, ask)
        for key in asked:
            await operations.ask_now(key)
        account = await self.get(account_id)
        return Standing(account.id, account.state, account.debt_minor, account.currency, account.next_try_at)

    async def refund(
        self, account_id: AccountId, *, body: MoneyBack, subject: str, idempotency_key: str | None
    ) -> BankAccount:
        """Give money back to a bank card, of one charge; the acquirer is asked at once and until it answers."""
        operations, _ = self._open()
        made: list[str] = []

        async def give(connection: Any) -> Done:
            made.append(await self._give_back(connection, account_id, body, subject))
            return Done()

        asked = ("bank_refund", account_id, body.charge_id, body.amount_minor, body.reason)
        await self._books.once(subject, idempotency_key, asked, Done, give)
        for key in made:
            await operations.ask_now(key)
        return await self.get(account_id)

    async def _give_back(self, connection: Any, account_id: str, body: MoneyBack, subject: str) -> str:
        assert self._operations is not None
        await connection.fetchrow(query("bank.lock_account"), account_id)
        charge = await connection.fetchrow(query("bank.get_charge"), body.charge_id)
        if charge is None or charge["account_id"] != account_id or charge["amount_minor"] < 0:
            raise Problem(404, "No such charge", "this account has no charge under this id")
        if charge["state"] != "paid":
            raise Problem(409, "Not paid", f"this charge is {charge['state']}: only what was paid can be given back")
        minor = body.amount_minor or charge["left_minor"]
        if not 0 < minor <= charge["left_minor"]:
            left = Money(charge["left_minor"], charge["currency"])
            raise Problem(409, "Too much", f"{left} of this charge are left to give back")
        now_s, amount = self._operations.clock(), Money(minor, charge["currency"])
        refund_id = operation_key("cashier", charge["id"], charge["refunds"], minor)
        terms = (charge["day"], "cashier", -minor, amount.currency, now_s, now_s)
        note = mask_text(body.reason)
        await connection.execute(query("bank.insert_charge"), refund_id, account_id, *terms, charge["id"], note)
        paid = charge["acquirer_id"]
        refund = Operation(refund_id, "refund", amount, refunds=paid, account_id=account_id, charge_id=refund_id)
        await write_down(connection, refund, now_s)
        await audit(connection, subject, "bank_refund", f"charge:{charge['id']}", amount_minor=minor, reason=note)
        return refund_id

    def _open(self) -> tuple[Operations, Collecting]:
        if self._operations is None or self._collecting is None:
            raise Problem(503, "Bank cards off", "no acquirer is set here: set payments.url to take bank cards")
        return self._operations, self._collecting
