"""Tiny feeds in, networks and refusals out."""

import io
import zipfile

import numpy as np
import pytest

from dispatch.feed import Feed, read_feed
from dispatch.feed_problems import FeedError, Problem
from dispatch.timetable import running_at, runs_on, trips_on

# Four stops on one straight street, about 1,113 m of latitude each; two trips, one of them past midnight.
TINY = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\nA,Tiny,https://example.com/,Europe/Kyiv\n",
    "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
    "wd,1,1,1,1,1,0,0,20260105,20260118\n",
    "routes.txt": "route_id,route_short_name,route_long_name,route_type,route_color\nR,1,One,3,00aa11\n",
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\n"
    "a,Alpha,50.40,30.5\nb,Beta,50.41,30.5\nc,Gamma,50.42,30.5\nd,Delta,50.43,30.5\n",
    "shapes.txt": "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\nX,50.40,30.5,1\nX,50.43,30.5,2\n",
    "trips.txt": "route_id,service_id,trip_id,direction_id,shape_id\nR,wd,t1,0,X\nR,wd,t2,0,X\n",
    "stop_times.txt": "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    "t1,08:00:00,08:00:00,a,1\nt1,08:02:00,08:02:30,b,2\nt1,08:04:00,08:04:00,c,3\nt1,08:06:00,08:06:00,d,4\n"
    "t2,23:58:00,23:58:00,a,1\nt2,24:00:00,24:00:30,b,2\nt2,24:02:00,24:02:00,c,3\nt2,24:04:00,24:04:00,d,4\n",
}
STEP_M = 1111.95  # a hundredth of a degree of latitude


def tiny(**changes: str | None) -> bytes:
    """The tiny feed as a zip, with some tables replaced or, by None, left out; `stop_times` names stop_times.txt."""
    tables = TINY | {f"{name}.txt": text for name, text in changes.items()}
    return packed({name: text.encode() for name, text in tables.items() if text is not None})


def packed(tables: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in tables.items():
            archive.writestr(name, content)
    return file.getvalue()


def times(*rows: str) -> str:
    return "\n".join(["trip_id,arrival_time,departure_time,stop_id,stop_sequence", *rows]) + "\n"


def find(feed: Feed, code: str) -> Problem:
    (found,) = [problem for problem in feed.problems if problem.code == code]
    return found


def test_reads_a_good_feed_without_a_problem() -> None:
    feed = read_feed(tiny())
    network = feed.network
    assert feed.problems == []
    assert feed.counts == {"agencies": 1, "routes": 1, "trips": 2, "stops": 4, "shapes": 1, "stop_times": 8}
    assert network.trip_id == ["t1", "t2"]
    assert len(network.pattern_id) == 1
    assert network.pattern_id[0].startswith("R:0:")
    assert network.pattern_headsign == ["Delta"]
    assert network.pattern_drawn.tolist() == [True]
    assert network.pattern_stop_along_m == pytest.approx([0, STEP_M, 2 * STEP_M, 3 * STEP_M], abs=0.5)
    assert network.route_color == ["00aa11"]
    assert network.departure_s.tolist()[4:] == [86_280, 86_430, 86_520, 86_640]


def test_reads_the_same_ids_and_version_again() -> None:
    first, second = read_feed(tiny()).network, read_feed(tiny()).network
    assert first.pattern_id == second.pattern_id
    assert first.feed_version == second.feed_version
    assert len(first.feed_version) == 12


def test_takes_version_and_start_from_feed_info() -> None:
    info = "feed_publisher_name,feed_version,feed_start_date\nP, v7 ,20260106\n"
    network = read_feed(tiny(feed_info=info)).network
    assert network.feed_version == "v7"
    assert str(network.feed_start_date) == "2026-01-06"


def test_is_not_troubled_by_bom_order_quotes_spaces_blank_lines_and_line_ends() -> None:
    plain = read_feed(tiny()).network
    shapes = "shape_pt_sequence,shape_pt_lon,shape_id,shape_pt_lat\r\n20,30.5,X,50.43\r\n10,30.5,X,50.40\r\n"
    stops = (
        '\ufeff"stop_id", stop_name ,stop_lat,stop_lon\n\na ,"Alpha, ""the first""\nand last",50.40,30.5\n'
        "b,Beta,50.41,30.5\nc,Gamma,50.42, 30.5\nd,Delta,50.43,30.5\n\n"
    )
    lines = TINY["stop_times.txt"].splitlines()
    shuffled = "\n".join([lines[0], *reversed(lines[1:])])
    feed = read_feed(tiny(shapes=shapes, stops=stops, stop_times=shuffled))
    assert feed.problems == []
    assert feed.network.stop_name[0] == 'Alpha, "the first"\nand last'
    assert feed.network.pattern_stop_along_m == pytest.approx(plain.pattern_stop_along_m)
    assert feed.network.departure_s.tolist() == plain.departure_s.tolist()


def test_takes_single_digit_hours() -> None:
    network = read_feed(tiny(stop_times=times("t1,8:00:00,8:00:00,a,1", "t1,9:05:07, 9:05:07,b,2"))).network
    assert network.departure_s.tolist() == [28_800, 32_707]


def test_fills_open_times_by_distance() -> None:
    rows = times(
        "t1,08:00:00,08:00:00,a,1", "t1,,,b,2", "t1,,,c,3", "t1,08:06:00,,d,4", "t2,,9:00:00,a,1", "t2,9:01:00,,b,2"
    )
    feed = read_feed(tiny(stop_times=rows))
    assert feed.problems == []
    assert feed.network.arrival_s.tolist()[:4] == [28_800, 28_920, 29_040, 29_160]
    assert feed.network.departure_s.tolist()[4:] == [32_400, 32_460]


def test_takes_as_timepoints_what_half_of_the_trips_have_as_such() -> None:
    rows = TINY["stop_times.txt"].splitlines()
    flags = ["timepoint", "1", "0", "1", "1", "1", "", "0", "0"]
    with_them = "\n".join(f"{row},{flag}" for row, flag in zip(rows, flags, strict=True)) + "\n"
    assert read_feed(tiny(stop_times=with_them)).network.pattern_stop_timed.tolist() == [True, False, True, True]
    assert read_feed(tiny()).network.pattern_stop_timed.tolist() == []


def test_draws_straight_lines_where_no_shape_is() -> None:
    feed = read_feed(tiny(shapes=None, trips="route_id,service_id,trip_id\nR,wd,t1\nR,wd,t2\n"))
    assert feed.problems == []
    assert feed.network.pattern_drawn.tolist() == [False]
    assert feed.network.pattern_stop_along_m == pytest.approx([0, STEP_M, 2 * STEP_M, 3 * STEP_M], abs=0.5)
    assert feed.network.point_along_m == pytest.approx(feed.network.pattern_stop_along_m)


def test_draws_straight_lines_where_the_shape_belongs_elsewhere() -> None:
    shapes = "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\nX,50.40,30.6,1\nX,50.43,30.6,2\n"
    feed = read_feed(tiny(shapes=shapes))
    assert feed.network.pattern_drawn.tolist() == [False]
    assert "straight lines" in find(feed, "shape_off_stops").message


def test_applies_exceptions_to_the_calendar() -> None:
    dates = "service_id,date,exception_type\nwd,20260106,2\nholiday,20260106,1\n"
    trips = "route_id,service_id,trip_id,direction_id,shape_id\nR,wd,t1,0,X\nR,holiday,t2,0,X\n"
    network = read_feed(tiny(calendar_dates=dates, trips=trips)).network
    monday, tuesday = np.datetime64("2026-01-05").item(), np.datetime64("2026-01-06").item()
    assert [network.trip_id[trip] for trip in trips_on(network, monday)] == ["t1"]
    assert [network.trip_id[trip] for trip in trips_on(network, tuesday)] == ["t2"]


def test_takes_dates_alone_for_a_calendar() -> None:
    network = read_feed(tiny(calendar=None, calendar_dates="service_id,date,exception_type\nwd,20260110,1\n")).network
    assert str(network.first_date) == "2026-01-10"
    assert network.service_runs.tolist() == [[True]]


def test_expands_frequencies() -> None:
    rows = (
        "trip_id,start_time,end_time,headway_secs,exact_times\nt1,06:00:00,06:30:00,600,1\nt1,23:50:00,24:10:00,900,\n"
    )
    network = read_feed(tiny(frequencies=rows)).network
    day = np.datetime64("2026-01-05").item()
    runs = runs_on(network, day)
    starts = (runs.start_s - runs.day_start_s[0]).tolist()
    assert starts == [21_600, 22_200, 22_800, 85_800, 86_280, 86_700]  # t2 keeps its own time, the end is no departure
    assert network.frequency_exact.tolist() == [True, False]
    assert runs.offset_s.tolist()[0] == 21_600 - 28_800
    (running,) = running_at(network, network.day_start_s(day) + 86_150).trip
    assert network.trip_id[running] == "t1"


def test_finds_blocks_by_rule_only_where_none_is_given() -> None:
    trips = "route_id,service_id,trip_id,block_id\nR,wd,t1,\nR,wd,t2,seven\n"
    assert read_feed(tiny(trips=trips)).network.block_id == ["seven"]
    network = read_feed(tiny(trips=trips), block_pattern="^(t)").network
    assert [network.block_id[block] for block in network.trip_block] == ["t", "seven"]


def test_tells_directions_apart_where_none_is_stated() -> None:
    back = times("t1,8:00:00,8:00:00,a,1", "t1,8:06:00,8:06:00,d,2", "t2,9:00:00,9:00:00,d,1", "t2,9:06:00,9:06:00,a,2")
    network = read_feed(
        tiny(shapes=None, trips="route_id,service_id,trip_id\nR,wd,t1\nR,wd,t2\n", stop_times=back)
    ).network
    assert network.pattern_direction[network.trip_pattern].tolist() == [0, 1]


def test_reads_a_zipped_folder() -> None:
    nested = packed({f"gtfs/{name}": text.encode() for name, text in TINY.items()})
    assert len(read_feed(nested).network.trip_id) == 2


# What costs a row, a call or a trip, and what is said about it.

LOSSES = {
    "unknown stop": (
        {"stop_times": TINY["stop_times.txt"].replace("24:02:00,24:02:00,c", "24:02:00,24:02:00,zz")},
        (
            "stop_times.txt",
            8,
            "unknown_stop",
            "trip t2 calls at stop zz, which is not in stops.txt; the call is left out",
        ),
        2,
    ),
    "bad time": (
        {"stop_times": TINY["stop_times.txt"].replace("24:02:00,24:02:00,c", "24:61:00,24:02:00,c")},
        ("stop_times.txt", 8, "bad_time", "24:61:00"),
        1,
    ),
    "back in time": (
        {"stop_times": TINY["stop_times.txt"].replace("24:02:00,24:02:00,c", "08:02:00,08:02:00,c")},
        ("stop_times.txt", 8, "decreasing_times", "trip t2 goes back in time to 08:02:00"),
        1,
    ),
    "departs before it arrives": (
        {"stop_times": TINY["stop_times.txt"].replace("24:00:00,24:00:30,b", "24:00:30,24:00:00,b")},
        ("stop_times.txt", 7, "decreasing_times", "trip t2 goes back"),
        1,
    ),
    "no time at the end": (
        {"stop_times": TINY["stop_times.txt"].replace("24:04:00,24:04:00,d", ",,d")},
        ("stop_times.txt", 9, "open_end", "trip t2 has no time at its first or last stop"),
        1,
    ),
    "sequence twice": (
        {"stop_times": TINY["stop_times.txt"].replace("24:04:00,d,4", "24:04:00,d,3")},
        ("stop_times.txt", 9, "duplicate_sequence", "stop_sequence 3 twice"),
        1,
    ),
    "no sequence": (
        {"stop_times": TINY["stop_times.txt"].replace("24:04:00,d,4", "24:04:00,d,x")},
        ("stop_times.txt", 9, "bad_sequence", "the stop_sequence x"),
        1,
    ),
    "one stop": (
        {"stop_times": times("t1,8:00:00,8:00:00,a,1", "t1,8:01:00,8:01:00,b,2", "t2,9:00:00,9:00:00,a,1")},
        ("trips.txt", 3, "too_few_stops", "trip t2 calls at fewer than two stops"),
        1,
    ),
    "stop_times of no trip": (
        {"stop_times": TINY["stop_times.txt"] + "t9,9:00:00,9:00:00,a,1\n"},
        ("stop_times.txt", 10, "unknown_trip", "trip t9 is not in trips.txt"),
        2,
    ),
    "unknown route": (
        {"trips": TINY["trips.txt"].replace("R,wd,t2", "Q,wd,t2")},
        ("trips.txt", 3, "unknown_route", "trip t2 is of route Q"),
        1,
    ),
    "unknown service": (
        {"trips": TINY["trips.txt"].replace("R,wd,t2", "R,we,t2")},
        ("trips.txt", 3, "unknown_service", "trip t2 is of service we"),
        1,
    ),
    "unknown shape": (
        {"trips": TINY["trips.txt"].replace("t2,0,X", "t2,0,Y")},
        ("trips.txt", 3, "unknown_shape", "shape Y, which is not in shapes.txt"),
        2,
    ),
    "trip twice": (
        {"trips": TINY["trips.txt"] + "R,wd,t2,0,X\n"},
        ("trips.txt", 4, "duplicate_id", "trip_id t2 was there before"),
        2,
    ),
    "odd direction": (
        {"trips": TINY["trips.txt"].replace("t2,0,X", "t2,7,X")},
        ("trips.txt", 3, "bad_direction", "direction_id 7; it counts as 0"),
        2,
    ),
    "off the Earth": (
        {"stops": TINY["stops.txt"].replace("50.42", "150.42")},
        ("stops.txt", 4, "bad_coordinate", "stop c has no place on Earth (stop_lat 150.42, stop_lon 30.5)"),
        2,
    ),
    "coordinate in words": (
        {"stops": TINY["stops.txt"].replace("50.42", "nan")},
        ("stops.txt", 4, "bad_coordinate", "stop_lat nan"),
        2,
    ),
    "at zero, zero": (
        {"stops": TINY["stops.txt"].replace("50.42,30.5", "0,0")},
        ("stops.txt", 4, "far_away", "stop c at 0, 0 is more than 1000 km"),
        2,
    ),
    "shape point off the Earth": (
        {"shapes": TINY["shapes.txt"] + "X,50.42,300,3\n"},
        ("shapes.txt", 4, "bad_coordinate", "the point is left out"),
        2,
    ),
    "headway of nothing": (
        {"frequencies": "trip_id,start_time,end_time,headway_secs\nt1,06:00:00,07:00:00,0\n"},
        ("frequencies.txt", 2, "bad_frequency", "every 0 s"),
        2,
    ),
    "colour with a script": (
        {"routes": "route_id,route_type,route_color\nR,3,<b>\n"},
        ("routes.txt", 2, "bad_route_color", "route_color <b>, which is not RRGGBB"),
        2,
    ),
    "type in words": (
        {"routes": "route_id,route_type\nR,tram\n"},
        ("routes.txt", 2, "bad_route_type", "it counts as a bus"),
        2,
    ),
    "too many fields": (
        {"routes": "route_id,route_type\nR,3,and,more\n"},
        ("routes.txt", 2, "too_many_fields", "4 fields where the header names 2"),
        2,
    ),
    "calendar backwards": (
        {"calendar": TINY["calendar.txt"] + "we,0,0,0,0,0,1,1,20260118,20260105\n"},
        ("calendar.txt", 3, "bad_date", "before it begins"),
        2,
    ),
    "exception of no kind": (
        {"calendar_dates": "service_id,date,exception_type\nwd,20260230,3\n"},
        ("calendar_dates.txt", 2, "bad_exception", "date 20260230"),
        2,
    ),
    "two vehicles in one": (
        {
            "trips": "route_id,service_id,trip_id,block_id\nR,wd,t1,B\nR,wd,t2,B\n",
            "stop_times": times(
                "t1,8:00:00,8:00:00,a,1", "t1,8:09:00,8:09:00,b,2", "t2,8:05:00,8:05:00,b,1", "t2,8:10:00,8:10:00,a,2"
            ),
        },
        ("trips.txt", None, "block_overlap", "trip t2 begins before block B has finished"),
        2,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_lists_what_costs_a_row_and_goes_on(name: str) -> None:
    changes, (file, line, code, words), trips = LOSSES[name]
    feed = read_feed(tiny(**changes))
    problem = find(feed, code)
    assert (problem.file, problem.line, problem.count) == (file, line, 1)
    assert words in problem.message
    assert len(feed.network.trip_id) == trips
    assert np.isfinite(feed.network.pattern_stop_along_m).all()


def test_counts_problems_of_a_kind_once() -> None:
    feed = read_feed(tiny(stop_times=TINY["stop_times.txt"] + "t8,9:00:00,9:00:00,a,1\nt9,9:00:00,9:00:00,a,1\n"))
    assert find(feed, "unknown_trip") == Problem(
        "stop_times.txt", 10, "unknown_trip", "trip t8 is not in trips.txt; the row is left out", 2
    )


def test_names_the_line_after_a_quoted_line_break() -> None:
    stops = TINY["stops.txt"].replace("Alpha", '"Al\npha"').replace("50.43", "x")
    assert find(read_feed(tiny(stops=stops)), "bad_coordinate").line == 6


# What refuses the feed, in one sentence.

REFUSALS: dict[str, tuple[bytes, str]] = {
    "not a zip": (b"hello", "feed.zip: is not a zip file; give a GTFS zip or a folder of its tables"),
    "empty file": (b"", "feed.zip: is not a zip file; give a GTFS zip or a folder of its tables"),
    "no stops": (tiny(stops=None), "stops.txt: is missing from feed.zip; a GTFS feed must have it"),
    "no calendar": (
        tiny(calendar=None),
        "calendar.txt: is missing, and so is calendar_dates.txt; a feed must have one of them",
    ),
    "empty table": (tiny(routes=""), "routes.txt: is empty"),
    "header alone": (tiny(routes="route_id,route_type\n"), "routes.txt: has no rows"),
    "missing column": (
        tiny(stop_times="trip_id,arrival_time,departure_time,stop_id\n"),
        "stop_times.txt, line 1: the column stop_sequence is missing; "
        "the header names trip_id, arrival_time, departure_time, stop_id",
    ),
    "semicolons": (
        tiny(routes="route_id;route_type\nR;3\n"),
        "routes.txt, line 1: the column route_id is missing; the header names route_id;route_type",
    ),
    "another encoding": (
        packed(
            {name: text.encode() for name, text in TINY.items()}
            | {"routes.txt": b"route_id,route_type\nR,3\n\xce\xf2,3\n"}
        ),
        "routes.txt, line 3: is not UTF-8 text; save the table in UTF-8",
    ),
    "binary": (
        tiny(routes="route_id,route_type\nR\0,3\n"),
        "routes.txt, line 2: holds a zero byte, which text does not",
    ),
    "open quote": (
        tiny(routes='route_id,route_type\nR,3\n"Q,3\nS,3\n'),
        "routes.txt, line 3: a quoted field is not closed",
    ),
    "no such zone": (
        tiny(agency="agency_name,agency_timezone\nA,\nB,Mars/Olympus\n".replace("A,\n", "")),
        "agency.txt, line 2: agency_timezone 'Mars/Olympus' is no time zone; give one such as Europe/Kyiv",
    ),
    "a zone that is a path": (
        tiny(agency="agency_name,agency_timezone\nA,../../etc/passwd\n"),
        "agency.txt, line 2: agency_timezone '../../etc/passwd' is no time zone; give one such as Europe/Kyiv",
    ),
    "nowhere": (
        tiny(stops="stop_id,stop_lat,stop_lon\na,,\nb,91,0\n"),
        "stops.txt: no stop has a latitude from -90 to 90 and a longitude from -180 to 180",
    ),
    "no trip can run": (
        tiny(
            stop_times=times(
                "t1,8:00:00,8:00:00,a,1", "t1,7:00:00,7:00:00,b,2", "t2,8:00:00,x,a,1", "t2,8:00:00,8:01:00,b,2"
            )
        ),
        "stop_times.txt, line 4: trip t2 arrives at 8:00:00 and departs at x, which are not two times HH:MM:SS; "
        "the trip is left out (and only 0 of the feed's 2 trips can be used)",
    ),
    "no service": (
        tiny(calendar=TINY["calendar.txt"].splitlines()[0] + "\n"),
        "calendar.txt: names no service, and neither does calendar_dates.txt",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses_in_one_sentence(name: str) -> None:
    content, sentence = REFUSALS[name]
    with pytest.raises(FeedError) as refusal:
        read_feed(content)
    assert str(refusal.value) == sentence


def test_refuses_a_zip_bomb_before_it_unpacks() -> None:
    bomb = packed({name: text.encode() for name, text in TINY.items()} | {"stop_times.txt": b"\n" * (60 << 20)})
    with pytest.raises(FeedError, match=r"stop_times\.txt: unpacks to 100 times its size or more"):
        read_feed(bomb)


def test_refuses_a_damaged_zip() -> None:
    whole = tiny()
    place = whole.index(b"stop_times.txt") + 40
    damaged = whole[:place] + bytes(byte ^ 0xFF for byte in whole[place : place + 20]) + whole[place + 20 :]
    with pytest.raises(FeedError, match=r"stop_times\.txt: cannot be unpacked"):
        read_feed(damaged)


def test_refuses_a_rule_without_a_group() -> None:
    with pytest.raises(ValueError, match="has no group"):
        read_feed(tiny(), block_pattern="^t")


def test_refuses_a_feed_that_loses_most_of_its_trips() -> None:
    trips = TINY["trips.txt"] + "Q,wd,t3,0,X\nQ,wd,t4,0,X\nQ,wd,t5,0,X\n"
    with pytest.raises(FeedError, match=r"trips\.txt, line 4: trip t3 is of route Q.*only 2 of the feed's 5 trips"):
        read_feed(tiny(trips=trips))


def test_stops_that_run_backwards_along_their_shape_are_joined_by_straight_lines() -> None:
    backwards = "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\nX,50.43,30.5,1\nX,50.40,30.5,2\n"
    feed = read_feed(tiny(shapes=backwards))
    assert feed.network.pattern_drawn.tolist() == [False]
    assert feed.network.pattern_stop_along_m == pytest.approx([0, STEP_M, 2 * STEP_M, 3 * STEP_M], abs=0.5)
    assert "straight lines" in find(feed, "shape_off_stops").message
