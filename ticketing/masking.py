"""Card numbers do not belong here: whatever looks like one is made unreadable before it reaches a table or a log."""

import re

_DIGITS = re.compile(rb"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_ALONE = re.compile(rb"(?<![0-9A-Za-z])\d(?:[ -]?\d){12,18}(?![0-9A-Za-z])")


def luhn(digits: bytes) -> bool:
    """Whether ASCII digits pass the check of ISO/IEC 7812-1, as every payment card's number does."""
    doubled = sum(sum(divmod(2 * (digit - 48), 10)) for digit in digits[-2::-2])
    return (doubled + sum(digit - 48 for digit in digits[-1::-2])) % 10 == 0


def mask(data: bytes) -> bytes:
    """The same bytes; what could be a card number (13 to 19 digits, Luhn) is starred but for its last four."""

    def star(match: re.Match[bytes]) -> bytes:
        digits = re.sub(rb"\D", b"", match[0])
        return b"*" * (len(digits) - 4) + digits[-4:] if luhn(digits) else match[0]

    return _DIGITS.sub(star, data) if len(data) >= 13 else data


def mask_text(text: str) -> str:
    """The same for text."""
    return mask(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace") if len(text) >= 13 else text


def holds_card_number(text: str) -> bool:
    """Whether a number that stands by itself in a text could be a card's.

    Digits amid letters are a hash's: of 64 hexadecimal digits one in two hundred would do for a card number.
    """
    data = text.encode("utf-8", "surrogatepass")
    return any(luhn(re.sub(rb"\D", b"", match[0])) for match in _ALONE.finditer(data))
