"""Metrics: names by Prometheus's conventions, numbers as the services have them at that moment."""

from prometheus_client import CollectorRegistry

from deploy.metrics import HttpMetrics, expose, page


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
