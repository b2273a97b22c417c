"""Metrics: names by Prometheus's conventions, numbers as the services have them at that moment."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from deploy.metrics import HttpMetrics, expose, page
from deploy.metrics_help import HELP


def lines_of(registry: CollectorRegistry) -> list[str]:
    return [line for line in page(registry).decode().splitlines() if not line.startswith("#")]


def test_a_services_plain_numbers_are_read_at_each_scrape() -> None:
    registry = CollectorRegistry()
    counters: dict[str, object] = {"fixes_admitted": 1, "fixes_rejected": {"stale": 2, "off_map": 3}}
    expose(registry, "gateway", counters=lambda: counters, gauges=lambda: {"inbox_fixes": 7})  # type: ignore[return-value]
    counters["fixes_admitted"] = 5
    assert lines_of(registry) == [
        "takt_gateway_fixes_admitted_total 5.0",
        'takt_gateway_fixes_rejected_total{reason="stale"} 2.0',
        'takt_gateway_fixes_rejected_total{reason="off_map"} 3.0',
        "takt_gateway_inbox_fixes 7.0",
    ]


def test_names_with_a_reason_behind_a_dot_share_one_metric() -> None:
    registry = CollectorRegistry()
    expose(registry, "dispatch", counters=lambda: {"fix_refused.stale": 1, "fixes": 9, "fix_refused.full": 2})
    assert lines_of(registry) == [
        'takt_dispatch_fix_refused_total{reason="stale"} 1.0',
        'takt_dispatch_fix_refused_total{reason="full"} 2.0',
        "takt_dispatch_fixes_total 9.0",
    ]


def test_requests_are_counted_by_template_not_by_address() -> None:
    registry = CollectorRegistry()
    metrics = HttpMetrics(registry)
    metrics.answered("/api/v1/stops/{stop_id}/arrivals", "GET", 200, 0.004)
    text = "\n".join(lines_of(registry))
    assert 'takt_http_requests_total{method="GET",route="/api/v1/stops/{stop_id}/arrivals",status="200"} 1.0' in text
    assert 'takt_http_request_duration_seconds_bucket{le="0.005"' in text


def test_a_verdict_is_a_label_and_no_part_of_a_name() -> None:
    registry = CollectorRegistry()
    expose(registry, "ticketing", lambda: {"verdict_accepted": 7, "unavailable_full": 1, "verdict_expired": 2})
    expose(registry, "gateway", lambda: {"taps_answered.accepted": 3, "vehicle_events.alarm": 1})
    assert lines_of(registry) == [
        'takt_ticketing_taps_total{verdict="accepted"} 7.0',
        'takt_ticketing_taps_total{verdict="expired"} 2.0',
        'takt_ticketing_taps_unavailable_total{reason="full"} 1.0',
        'takt_gateway_taps_answered_total{verdict="accepted"} 3.0',
        'takt_gateway_vehicle_events_total{event="alarm"} 1.0',
    ]


def test_a_help_line_says_what_is_counted() -> None:
    registry = CollectorRegistry()
    expose(registry, "ticketing", lambda: {"verdict_accepted": 7})
    help_line = page(registry).decode().splitlines()[0]
    assert help_line == ("# HELP takt_ticketing_taps_total Taps judged and stored, over MQTT and HTTP, by verdict.")


def test_nobody_is_told_when_a_series_began() -> None:
    registry = CollectorRegistry()
    HttpMetrics(registry).answered("/livez", "GET", 200, 0.001)
    assert "_created" not in page(registry).decode()


def test_the_alerts_ask_for_numbers_that_there_are() -> None:
    rules = (Path(__file__).parents[3] / "deploy" / "prometheus" / "alerts.yml").read_text()
    asked = {name.removesuffix("_total") for name in re.findall(r"\btakt_(\w+)", rules)}
    assert asked - set(HELP) == {"http_requests"}
