"""Token status lists: the draft's published arrays, and lists that try to harm."""

import base64
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.statuslist import BYTES_MAX, deflate, inflate, pack, status_at

# draft-ietf-oauth-status-list, section 4.1: 16 statuses of 1 bit, and 12 of 2 bits.
ONE_BIT = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
TWO_BITS = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]


def test_the_drafts_arrays():
    assert pack(enumerate(ONE_BIT), 16, bits=1).hex() == "b9a3"
    assert pack(enumerate(TWO_BITS), 12).hex() == "c944f9"
    # The same text, deflated by another zlib, still unfolds to the same array.
    assert inflate(base64.urlsafe_b64decode("eNrbuRgAAhcBXQ==")).hex() == "b9a3"
    assert inflate(base64.urlsafe_b64decode("eNo76fITAAPfAgc=")).hex() == "c944f9"


def test_the_shared_vectors(shared):
    vectors = json.loads((shared / "data/ticket-vectors/token-status-list/vectors.json").read_text())
    for bits in ("1", "2", "4", "8"):
        vector = vectors[bits]
        array = inflate(base64.urlsafe_b64decode(vector["lst"] + "=" * (-len(vector["lst"]) % 4)))
        statuses = {int(index): status for index, status in vector["status"].items()}
        assert array == pack(statuses.items(), vector["size"], int(bits))
        assert all(status_at(array, index, int(bits)) == status for index, status in statuses.items())
    for vector in vectors["small"]:
        assert pack(enumerate(vector["status"]), len(vector["status"]), vector["bits"]).hex() == vector["bytes"]


@given(st.sampled_from([1, 2, 4, 8]), st.dictionaries(st.integers(0, 999), st.integers(0, 255), max_size=50))
def test_every_status_is_found_where_it_was_put(bits, statuses):
    statuses = {index: status & ((1 << bits) - 1) for index, status in statuses.items()}
    array = inflate(deflate(pack(statuses.items(), 1000, bits)))
    assert all(status_at(array, index, bits) == statuses.get(index, 0) for index in range(1000))


@pytest.mark.parametrize("index", [-1, 12, 10**9])
def test_an_index_out_of_range_is_refused(index):
    with pytest.raises(ValueError, match="outside this list"):
        status_at(pack(enumerate(TWO_BITS), 12), index)


@pytest.mark.parametrize("data", [b"", b"x", zlib.compress(b"abc")[:-2], zlib.compress(b"abc") + b"more"])
def test_a_broken_list_is_refused(data):
    with pytest.raises(ValueError, match="no status list"):
        inflate(data)


def test_a_bomb_is_refused_before_it_unfolds():
    with pytest.raises(ValueError, match="at most"):
        inflate(zlib.compress(bytes(BYTES_MAX + 1), 9))


def test_a_million_tickets_with_one_in_a_hundred_revoked_are_under_30_kb():
    statuses = [(index * 7919 % 1_000_000, 1) for index in range(10_000)]
    assert len(deflate(pack(statuses, 1_000_000))) < 30_000
