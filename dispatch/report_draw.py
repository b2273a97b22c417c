"""The drawings of a report, as SVG: stringlines (time across, distance down), headways below, and waits by hour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from html import escape

import numpy as np

from dispatch.report import HeadwayDots, LineReport, Point, Stringline
from dispatch.report_words import Speech

WIDTH = 1180
LEFT, RIGHT, TOP, BOTTOM = 176, 14, 10, 26
PANEL_S = 6 * 3600.0
ONE_PANEL_S = 7.5 * 3600.0
LABEL_PX = 13.0  # the least distance between two names of stops
NAME_CHARS = 22
HEADWAY_PX = 150
TICKS_S = (300, 600, 900, 1800, 3600, 7200)

Window = tuple[float, float]


def windows(from_s: float, to_s: float) -> list[Window]:
    """The span in pieces that are wide enough to be read: whole, or six hours each."""
    if to_s - from_s <= ONE_PANEL_S:
        return [(from_s, to_s)]
    pieces = math.ceil((to_s - from_s) / PANEL_S)
    return [(from_s + n * PANEL_S, min(from_s + (n + 1) * PANEL_S, to_s)) for n in range(pieces)]


def stringlines(name: str, line: LineReport, window: Window, speech: Speech, bounds: tuple[float, float]) -> str:
    """Every run of a line in the window; empty where there is none.

    `name` is the drawing's own on its page, `bounds` are the ratios of bunched and gapped.
    """
    height = min(max(190, 17 * len(line.stops) + 40), 460)
    frame = _Frame(f"s{name}", window, (0.0, max(line.length_m, 1.0)), height)
    plan = "".join(frame.path(piece) for run in line.planned for piece in run.pieces)
    driven = "".join(_run(frame, run) for run in line.driven)
    if not driven:
        return ""
    bunched, gapped, _ = _judged(line.dots, bounds)
    on_line = ~np.isnan(line.dots.place_m)
    parts = [
        frame.open(f"{line.short_name} {line.headsign}"),
        _stop_names(frame, line.stops),
        frame.time_axis(speech),
        f'<g clip-path="url(#{frame.clip})"><path class="plan" d="{plan}"/><g class="run">{driven}</g>',
        _balls(frame, "bunched", line.dots.at_s[bunched & on_line], line.dots.place_m[bunched & on_line]),
        _diamonds(frame, "gapped", line.dots.at_s[gapped & on_line], line.dots.place_m[gapped & on_line]),
        "</g></svg>",
    ]
    return "".join(parts)


def headway_chart(name: str, line: LineReport, window: Window, speech: Speech, bounds: tuple[float, float]) -> str:
    """Each headway at each stop over time, with the timetable's of the same two trips as a dash behind it."""
    dots = line.dots
    inside = (dots.at_s >= window[0]) & (dots.at_s < window[1])
    if not inside.any():
        return ""
    ordinary = np.abs(dots.scheduled_s[inside])
    top_s = max(2.6 * float(np.median(ordinary)), 300.0)
    top_s = min(top_s, max(float(dots.headway_s[inside].max()), float(ordinary.max())) * 1.08)
    frame = _Frame(f"h{name}", window, (top_s, 0.0), HEADWAY_PX)
    shown_s = np.minimum(dots.headway_s, top_s)
    bunched, gapped, between = _judged(dots, bounds)
    dashes = "".join(
        f"M{frame.x(t) - 3:.1f} {frame.y(min(h, top_s)):.1f}h6"
        for t, h in zip(dots.at_s[inside].tolist(), np.abs(dots.scheduled_s[inside]).tolist(), strict=True)
    )
    parts = [
        frame.open(speech.say("headways")),
        _minute_grid(frame, top_s),
        frame.time_axis(speech),
        f'<g clip-path="url(#{frame.clip})"><path class="due" d="{dashes}"/>',
        _balls(frame, "between", dots.at_s[between & inside], shown_s[between & inside]),
        _balls(frame, "bunched", dots.at_s[bunched & inside], shown_s[bunched & inside]),
        _diamonds(frame, "gapped", dots.at_s[gapped & inside], shown_s[gapped & inside]),
        "</g></svg>",
    ]
    return "".join(parts)


def wait_bars(by_hour: list[tuple[int, float, float, int]], speech: Speech) -> str:
    """Planned wait and what came on top of it, for each hour."""
    if not by_hour:
        return ""
    width, height, left, bottom, top = 560, 220, 40, 26, 12
    top_s = max(max(ewt_s, 0.0) + swt_s for _, ewt_s, swt_s, _ in by_hour) * 1.1
    step = (width - left - 8) / len(by_hour)
    unit = (height - bottom - top) / top_s
    foot = height - bottom
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(speech.say("by_hour"))}">']
    for minutes in _minute_steps(top_s):
        y = foot - minutes * 60 * unit
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{width - 8}"/>')
        parts.append(f'<text class="tick" x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{minutes}</text>')
    for nth, (hour, ewt_s, swt_s, count) in enumerate(by_hour):
        bar = min(step * 0.68, 56)
        x = left + nth * step + (step - bar) / 2
        planned, excess = swt_s * unit, max(ewt_s, 0.0) * unit
        said = f"{hour:02d}:00 · SWT {speech.minutes(swt_s)} · EWT {speech.minutes(ewt_s)} · n {count}"
        parts.append(f"<g><title>{escape(said)}</title>")
        parts.append(
            f'<rect class="swt" x="{x:.1f}" y="{foot - planned:.1f}" width="{bar:.1f}" height="{planned:.1f}"/>'
        )
        parts.append(
            f'<rect class="ewt" x="{x:.1f}" y="{foot - planned - excess:.1f}" width="{bar:.1f}" height="{excess:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{x + bar / 2:.1f}" y="{height - 8}" text-anchor="middle">{hour}</text></g>'
        )
    return "".join([*parts, "</svg>"])


class _Frame:
    """A drawing's window of time and range of values; values grow downwards from the first to the second."""

    def __init__(self, clip: str, window: Window, values: tuple[float, float], height: int) -> None:
        self.clip, self.window, self.values, self.height = clip, window, values, height
        self._x_per_s = (WIDTH - LEFT - RIGHT) / (window[1] - window[0])
        self._y_per = (height - TOP - BOTTOM) / (values[1] - values[0])

    def x(self, at_s: float) -> float:
        return LEFT + (at_s - self.window[0]) * self._x_per_s

    def y(self, value: float) -> float:
        return TOP + (value - self.values[0]) * self._y_per

    def open(self, label: str) -> str:
        inner = f'x="{LEFT}" y="{TOP - 4}" width="{WIDTH - LEFT - RIGHT}" height="{self.height - TOP - BOTTOM + 8}"'
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(label)}">'
            f'<clipPath id="{self.clip}"><rect {inner}/></clipPath>'
        )

    def path(self, piece: list[Point]) -> str:
        """The piece as path data; nothing where it lies outside the window."""
        if piece[-1][0] < self.window[0] or piece[0][0] > self.window[1]:
            return ""
        return "M" + "L".join(f"{self.x(t):.1f} {self.y(m):.1f}" for t, m in piece)

    def time_axis(self, speech: Speech) -> str:
        from_s, to_s = self.window
        step_s = next((step for step in TICKS_S if (to_s - from_s) / step <= 13), TICKS_S[-1])
        foot = self.height - BOTTOM
        parts = []
        at_s = math.ceil(from_s / step_s) * step_s
        while at_s <= to_s:
            x = self.x(at_s)
            parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{foot}"/>')
            anchor = "end" if x > WIDTH - RIGHT - 16 else "middle"
            place = f'x="{x:.1f}" y="{self.height - 8}" text-anchor="{anchor}"'
            parts.append(f'<text class="tick" {place}>{speech.clock(at_s)}</text>')
            at_s += step_s
        return "".join(parts)


def _run(frame: _Frame, run: Stringline) -> str:
    data = "".join(frame.path(piece) for piece in run.pieces)
    return f'<path d="{data}"><title>{escape(run.name)}</title></path>' if data else ""


def _stop_names(frame: _Frame, stops: list[tuple[float, str]]) -> str:
    parts = []
    for nth in sorted(_named(frame, stops)):
        along_m, name = stops[nth]
        y = frame.y(along_m)
        short = name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1].rstrip() + "…"
        parts.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="stop" x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(short)}'
            f"<title>{escape(name)}</title></text>"
        )
    return "".join(parts)


def _named(frame: _Frame, stops: list[tuple[float, str]]) -> set[int]:
    """The stops whose names have room: both ends, and between them whoever is far enough from the one before."""
    last = len(stops) - 1
    named, y = {0, last}, frame.y(stops[0][0])
    for nth in range(1, last):
        here = frame.y(stops[nth][0])
        if here - y >= LABEL_PX and frame.y(stops[last][0]) - here >= LABEL_PX:
            named.add(nth)
            y = here
    return named


def _minute_grid(frame: _Frame, top_s: float) -> str:
    parts = []
    for minutes in _minute_steps(top_s):
        y = frame.y(minutes * 60)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{minutes}</text>')
    return "".join(parts)


def _minute_steps(top_s: float) -> Iterator[int]:
    step = next((step for step in (1, 2, 5, 10, 15, 20, 30, 60) if top_s / 60 / step <= 5), 120)
    yield from range(0, int(top_s / 60) + 1, step)


def _judged(dots: HeadwayDots, bounds: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size_s = np.abs(dots.scheduled_s)
    bunched, gapped = dots.headway_s < bounds[0] * size_s, dots.headway_s > bounds[1] * size_s
    return bunched, gapped, ~(bunched | gapped)


def _balls(frame: _Frame, name: str, at_s: Iterable[float], value: Iterable[float]) -> str:
    data = "".join(f"M{frame.x(t):.1f} {frame.y(v):.1f}h0" for t, v in zip(at_s, value, strict=True))
    return f'<path class="ball {name}" d="{data}"/>' if data else ""


def _diamonds(frame: _Frame, name: str, at_s: Iterable[float], value: Iterable[float]) -> str:
    data = "".join(
        f"M{frame.x(t) - 3.6:.1f} {frame.y(v):.1f}l3.6-3.6 3.6 3.6-3.6 3.6z" for t, v in zip(at_s, value, strict=True)
    )
    return f'<path class="diamond {name}" d="{data}"/>' if data else ""
