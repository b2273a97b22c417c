"""Recordings as people have them: extra columns, any order, and a clear word about what is wrong."""

import gzip

import numpy as np
import pytest

from simulators.replay import RecordingError, open_recording, read_recording

HEAD = "timestamp,vehicle_id,latitude,longitude"


@pytest.fixture
def recording(tmp_path):
    def write(text):
        path = tmp_path / "positions.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_fixes_come_in_the_order_of_their_time(recording):
    fixes = read_recording(recording(f"{HEAD},speed\n20,b,50.1,30.1,3\n10,a,50,30,\n20,a,50.2,30.2,4\n"))
    assert fixes.vehicle_key == ["recorded/a", "recorded/b", "recorded/a"]
    assert fixes.ts_s.tolist() == [10, 20, 20]
    assert fixes.lat_deg.tolist() == [50, 50.1, 50.2]
    assert np.isnan(fixes.speed_mps[0])
    assert fixes.descriptor == [None, None, None]


def test_what_is_known_of_the_trip_becomes_the_claim(recording):
    text = f"{HEAD},trip_id,route_id,direction_id,start_date,start_time\n1,a,50,30,t,r,1,20260216,09:48:00\n"
    assert read_recording(recording(text)).descriptor == [("t", "r", 1, "20260216", "09:48:00", None)]


def test_a_byte_order_mark_and_unknown_columns_are_no_obstacle(recording):
    fixes = read_recording(recording(b"\xef\xbb\xbf" + f"{HEAD},colour\n1,a b/c,50,30,red\n".encode()))
    assert fixes.vehicle_key == ["recorded/a-b-c"]


def test_a_file_of_headings_alone_is_empty(recording):
    assert len(read_recording(recording(HEAD + "\n"))) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "positions.csv:1: there is no column timestamp"),
        ("timestamp,vehicle_id,latitude\n", "positions.csv:1: there is no column longitude"),
        (f"{HEAD}\n1,a,50,30\nx,a,50,30\n", "positions.csv:3: timestamp: 'x' is not a number"),
        (f"{HEAD}\n1,a,,30\n", "positions.csv:2: latitude: '' is not a number"),
        (f"{HEAD}\n1,a,nan,30\n", "positions.csv:2: latitude: 'nan' is not a number"),
        (f"{HEAD}\n1,a,50,30,1\n", "positions.csv:2: 5 fields where the header names 4"),
        (
            f"{HEAD}\n1771257482000,a,50,30\n",
            "csv:2: timestamp: '1771257482000' is not a time in Unix seconds",
        ),
        (f"{HEAD}\n-5,a,50,30\n", "positions.csv:2: timestamp: '-5' is not a time in Unix seconds"),
        (f"{HEAD}\n5,a,50,30\n1771257482,a,50,30\n", "positions.csv:2: timestamp: is 50 days or more from most others"),
        (f"{HEAD}\n1, ,50,30\n", "positions.csv:2: vehicle_id: is empty"),
        (f"{HEAD}\n2026-02-16T10:00:00,a,50,30\n", "'2026-02-16T10:00:00' is not a number"),
        (gzip.compress(f"{HEAD}\n1,a,50,30\n".encode(), mtime=0)[:-9], "the packed file ends in the middle"),
        (b"\x1f\x8bnothing of the kind", "not a csv file in UTF-8"),
        (b"\xff\xfe\x00", "not a csv file in UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(recording, text, said):
    with pytest.raises(RecordingError, match="positions") as error:
        read_recording(recording(text))
    assert said in str(error.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(RecordingError, match="there is no such file"):
        read_recording(tmp_path / "none.csv")


def test_a_packed_file_is_read_whatever_its_name(recording):
    assert len(read_recording(recording(gzip.compress(f"{HEAD}\n1,a,50,30\n".encode(), mtime=0)))) == 1


def test_times_may_be_written_with_their_date(recording):
    fixes = read_recording(recording(f"{HEAD}\n2026-02-16T10:58:02-05:00,a,50,30\n1771257483,a,50,30\n"))
    assert fixes.ts_s.tolist() == [1771257482, 1771257483]


def test_rows_that_are_no_fixes_are_counted_and_left_out(recording):
    good = "".join(f"{n},a,50,30,3\n" for n in range(1, 6))
    read = open_recording(recording(f"{HEAD},speed\n{good}6,a,x,30,3\n7,a,50,30,fast\n1771257482,b,50,30,3\n8,a,5"))
    assert read.fixes.ts_s.tolist() == [1, 2, 3, 4, 5, 7]
    assert np.isnan(read.fixes.speed_mps[5])
    assert read.broken == 3
    assert read.first_fault.endswith("positions.csv:7: latitude: 'x' is not a number")
