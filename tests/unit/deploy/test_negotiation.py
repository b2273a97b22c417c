"""Which of several forms of one answer is given to whom."""

import pytest

from deploy.negotiation import preferred

JWT, CWT = "application/statuslist+jwt", "application/statuslist+cwt"


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("", JWT),
        ("*/*", JWT),
        (JWT, JWT),
        (CWT, CWT),
        ("Application/StatusList+CWT", CWT),
        (f"{CWT}, {JWT};q=0.5", CWT),
        (f"{CWT};q=0.5, {JWT}", JWT),
        (f"{JWT};q=0.2, {CWT};q=0.3, */*;q=0.9", CWT),
        (f"{CWT}; q=1.0, */*; q=0.1", CWT),
        (f"application/*;q=0.5, {JWT};q=0", CWT),
        ("text/html", JWT),
        (f"{CWT};q=much", JWT),
        (";;,q=,", JWT),
    ],
)
def test_the_form_that_is_liked_best(accept: str, given: str) -> None:
    assert preferred(accept, [JWT, CWT]) == given
