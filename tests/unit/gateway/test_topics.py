"""Topics: what is built is what is parsed, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import topics

ids = st.from_regex(topics._ID, fullmatch=True)


@given(ids, ids.filter(lambda name: name != "all"))
def test_what_devices_send_on_is_parsed_back(operator: str, name: str) -> None:
    built = {
        ("fleet", "position"): topics.position(operator, name),
        ("fleet", "event"): topics.vehicle_event(operator, name),
        ("fleet", "status"): topics.vehicle_status(operator, name),
        ("validator", "tap"): topics.tap(operator, name),
        ("validator", "event"): topics.validator_event(operator, name),
        ("validator", "status"): topics.validator_status(operator, name),
    }
    for (fleet, kind), topic in built.items():
        address = topics.parse(topic)
        assert address == topics.Address(fleet, operator, name, kind)  # type: ignore[arg-type]
        assert address.key == f"{operator}/{name}"


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    topics.parse(text)
    topics.parse_hfp(text)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "fleet/v1/op/4582",
        "fleet/v1/op/4582/position/",
        "fleet/v1/op/4582/position\n",
        "fleet/v1/op/45 82/position",
        "fleet/v1/op/+/position",
        "fleet/v1/../4582/position",
        "fleet/v1/op/" + "9" * 65 + "/position",
        "fleet/v1/op/4582/tap",
        "fleet/v2/op/4582/position",
        "fleet/v1/оп/4582/position",
        "validator/v1/op/all/tap",
        "validator/v1/op/4/position",
        "validator/v1/op/4/verdict",
    ],
)
def test_what_no_device_may_be_called_is_refused(topic: str) -> None:
    assert topics.parse(topic) is None


@pytest.mark.parametrize("bad", ["", "a/b", "a b", "+", "#", "a.b", "*", ">", "x" * 65, "ї"])
def test_no_topic_is_built_from_a_bad_id(bad: str) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        topics.instruction("op", bad)
    with pytest.raises(ValueError, match="1 to 64"):
        topics.verdict(bad, "v1")


def test_topics_down_are_those_of_the_contract() -> None:
    assert topics.instruction("kpt", "4582") == "fleet/v1/kpt/4582/instruction"
    assert topics.verdict("kpt", "v7") == "validator/v1/kpt/v7/verdict"
    assert topics.receipt("kpt", "v7") == "validator/v1/kpt/v7/receipt"
    assert topics.lists("kpt") == "validator/v1/kpt/all/lists"


def test_hfp_names_the_vehicle_by_owner_and_number() -> None:
    address = topics.parse_hfp("/hfp/v2/journey/ongoing/vp/tram/0040/00123/1009/2/Name (X)/10:10/11/3/60;24/1/2")
    assert address == topics.HfpAddress("vp", "0040", "00123", "1009", "2")
    assert address.key == "0040/00123"


def test_hfp_on_a_deadrun_has_no_route() -> None:
    address = topics.parse_hfp("/hfp/v2/deadrun/ongoing/vp/bus/0018/00423")
    assert address == topics.HfpAddress("vp", "0018", "00423", "", "")
