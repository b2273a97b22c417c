"""A report as one HTML page that needs nothing else: no script, no font, no request; for screens and for paper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from dispatch.measures import HeadwayMeasure, PunctualityMeasure
from dispatch.report import LineReport, Report, Worst
from dispatch.report_draw import headway_chart, stringlines, wait_bars, windows
from dispatch.report_words import Speech

STYLE = """
:root{--paper:#fff;--card:#f6f7f9;--ink:#151922;--soft:#5d6675;--hair:#e4e7ec;--grid:#eceef2;--accent:#1257c9;--plan:#b3bac6;
--bunched:#d02670;--gapped:#c96f00;--good:#11804f;--a:#11804f;--b:#4a8f1d;--c:#9a8200;--d:#c96f00;--e:#d24a1f;--f:#b3123f}
@media(prefers-color-scheme:dark){:root{--paper:#0e1117;--card:#171b23;--ink:#e9ecf2;--soft:#98a1b1;--hair:#2a303b;
--grid:#1e232c;--accent:#79aefc;--plan:#4d5768;--bunched:#ff7eb0;--gapped:#ffb14a;--good:#4cc38a;--a:#4cc38a;--b:#8ccf5a;
--c:#d9c04a;--d:#ffb14a;--e:#ff8a5c;--f:#ff6b8b}}
*{box-sizing:border-box}
html{color-scheme:light dark}
body{margin:0 auto;max-width:1240px;padding:40px 28px 64px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;
font-variant-numeric:tabular-nums}
header{display:flex;justify-content:space-between;align-items:flex-end;gap:24px;flex-wrap:wrap;padding-bottom:20px;
border-bottom:2px solid var(--ink)}
h1{margin:0;font-size:32px;line-height:1.15;letter-spacing:-.02em;font-weight:680}
header p{margin:4px 0 0;color:var(--soft)}
header .when{text-align:right;font-weight:560}
header .when small{display:block;color:var(--soft);font-weight:400}
h2{margin:44px 0 14px;font-size:19px;letter-spacing:-.01em;font-weight:640}
h3{margin:0;font-size:17px;font-weight:620;display:flex;align-items:center;gap:10px}
h3 small{color:var(--soft);font-weight:400;font-size:15px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin-top:24px}
.card{background:var(--card);border-radius:12px;padding:14px 16px 13px}
.card b{display:block;font-size:29px;line-height:1.2;letter-spacing:-.02em;font-weight:640}
.card b i{font-style:normal;font-size:15px;font-weight:500;color:var(--soft);margin-left:4px;letter-spacing:0}
.card span{font-weight:560}.card small{display:block;color:var(--soft);line-height:1.35;margin-top:3px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:12px 36px;align-items:start}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th{font-weight:560;color:var(--soft);text-align:right;padding:6px 8px;border-bottom:1px solid var(--ink);
white-space:nowrap}
td{text-align:right;padding:5px 8px;border-bottom:1px solid var(--hair);white-space:nowrap}
th.t,td.t{text-align:left}td.w{white-space:normal;min-width:150px}
td a{color:inherit;text-decoration:none}td a:hover{text-decoration:underline}
tbody tr:hover{background:var(--card)}
.strong{font-weight:640}
.badge{display:inline-block;min-width:34px;padding:1px 8px;border-radius:6px;text-align:center;font-weight:640;
background:var(--ink);color:var(--paper)}
.los{display:inline-block;width:24px;border-radius:6px;text-align:center;font-weight:640;color:var(--paper)}
.A{background:var(--a)}.B{background:var(--b)}.C{background:var(--c)}.D{background:var(--d)}.E{background:var(--e)}.F{background:var(--f)}
.bar{display:inline-block;width:46px;height:7px;border-radius:4px;background:var(--hair);margin-right:8px;overflow:hidden;
vertical-align:1px}.bar i{display:block;height:100%;background:var(--accent)}
section.line{margin-top:30px;padding-top:22px;border-top:1px solid var(--hair);content-visibility:auto;
contain-intrinsic-size:auto 640px}
.facts{display:flex;gap:4px 22px;flex-wrap:wrap;margin:6px 0 10px;color:var(--soft)}
.facts b{color:var(--ink);font-weight:600}
svg{display:block;width:100%;height:auto;margin:2px 0 8px}
svg text{font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;fill:var(--ink)}
svg text.tick{fill:var(--soft);font-size:11px}
.cap{margin:6px 0 0;padding-left:14.9%;color:var(--soft);font-size:12.5px}
.grid{stroke:var(--grid);fill:none}
.plan{stroke:var(--plan);fill:none;stroke-width:1}
.run path{stroke:var(--accent);fill:none;stroke-width:1.7;stroke-linejoin:round;stroke-linecap:round}
.run path:hover{stroke-width:3.5}
.due{stroke:var(--plan);stroke-width:1.5;fill:none}
.ball{fill:none;stroke-linecap:round;stroke-width:5.5;stroke:var(--accent)}
.ball.between{stroke-opacity:.55;stroke-width:4.5}.ball.bunched{stroke:var(--bunched);stroke-width:7}
.diamond{fill:var(--paper);stroke:var(--gapped);stroke-width:1.8}
.swt{fill:var(--plan)}.ewt{fill:var(--accent)}
.legend{display:flex;gap:6px 20px;flex-wrap:wrap;color:var(--soft);font-size:13.5px;align-items:center}
.legend span{display:inline-flex;align-items:center;gap:7px}.legend svg{width:22px;height:12px;margin:0}
.legend .swatch{width:12px;height:12px;border-radius:3px}
.empty{color:var(--soft)}
footer{margin-top:48px;padding-top:16px;border-top:1px solid var(--hair);color:var(--soft);
font-size:13.5px;max-width:900px}
footer h2{margin:0 0 6px;font-size:15px;color:var(--ink)}footer p{margin:0 0 6px}
@page{size:A4 landscape;margin:11mm}
@media print{:root{--paper:#fff;--card:#f6f7f9;--ink:#151922;--soft:#5d6675;--hair:#e4e7ec;--grid:#eceef2;
--accent:#1257c9;--plan:#b3bac6;--bunched:#d02670;--gapped:#c96f00;--a:#11804f;--b:#4a8f1d;--c:#9a8200;--d:#c96f00;--e:#d24a1f;--f:#b3123f}
html{color-scheme:light;-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{padding:0;max-width:none;font-size:11px}h1{font-size:24px}table{font-size:10px}td,th{padding:3px 6px}
section.line{content-visibility:visible;break-inside:avoid}.cards,.two>div,tr{break-inside:avoid}thead{display:table-header-group}
h2{break-after:avoid}.scroll{overflow:visible}td,th{white-space:normal}}
"""


@dataclass(frozen=True, slots=True)
class PageSettings:
    """Whose page it is, and the ratios at which headways are called bunched and gapped."""

    title: str
    bounds: tuple[float, float]
    alerts: tuple[int, int] | None = None  # opened, acknowledged
    drawn: bool = True  # with the stringlines of every line; many days of a whole city would be too much to open


def render(report: Report, speech: Speech, page: PageSettings) -> str:
    """The page."""
    say = speech.say
    parts = [
        f'<!doctype html><html lang="{speech.language}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(page.title)} · {say('title')}</title><style>{STYLE}</style></head><body>",
        _header(report, speech, page),
        _cards(report, speech, page),
        _waits(report, speech),
        _table(report.lines, speech),
        _drawings(report, speech, page) if page.drawn else "",
        f"<footer><h2>{say('notes')}</h2>",
        *(f"<p>{say(note)}</p>" for note in ("note_1", "note_2", "note_3")),
        "</footer></body></html>\n",
    ]
    return "".join(parts)


def _header(report: Report, speech: Speech, page: PageSettings) -> str:
    when = escape(speech.span(report.from_s, report.to_s))
    return (
        f"<header><div><h1>{escape(page.title)}</h1><p>{speech.say('title')} · {speech.say('subtitle')}</p></div>"
        f'<div class="when">{when}<small>{escape(report.timezone)} · {speech.say("feed")} '
        f"{escape(report.feed_version[:40])}</small></div></header>"
    )


def _cards(report: Report, speech: Speech, page: PageSettings) -> str:
    totals, say = report.totals, speech.say
    awt, swt = speech.minutes(totals.awt_s), speech.minutes(totals.swt_s)
    cards = [
        ("ewt", speech.minutes(totals.awt_s - totals.swt_s), say("minutes"), say("ewt_note", awt=awt, swt=swt)),
        _per_cent("on_time", totals.on_time, say("on_time_note", n=speech.number(totals.departures, 0)), speech),
        _per_cent("bunched", totals.bunched, say("bunched_note"), speech),
        _per_cent("gapped", totals.gapped, say("gapped_note"), speech),
        ("lines", speech.number(totals.lines, 0), "", say("lines_note")),
    ]
    if page.alerts is not None:
        opened, seen = page.alerts
        cards.append(("alerts", speech.number(opened, 0), "", say("alerts_note", n=speech.number(seen, 0))))
    shown = "".join(
        f'<div class="card"><span>{say(name)}</span><b>{figure}<i>{unit}</i></b><small>{escape(note)}</small></div>'
        for name, figure, unit, note in cards
    )
    return f'<div class="cards">{shown}</div>'


def _per_cent(name: str, share: float, note: str, speech: Speech) -> tuple[str, str, str, str]:
    return name, speech.number(100 * share, 0 if share >= 0.1 else 1), "%", note


def _waits(report: Report, speech: Speech) -> str:
    say = speech.say
    bars = wait_bars(report.by_hour, speech)
    key = (
        f'<div class="legend"><span><i class="swatch" style="background:var(--plan)"></i>{say("planned_wait")}</span>'
        f'<span><i class="swatch" style="background:var(--accent)"></i>{say("excess_wait")}, '
        f"{say('minutes')}</span></div>"
    )
    hours = f"<div><h2>{say('by_hour')}</h2>{key}{bars or _empty(speech)}</div>"
    worst_hours = f"<div><h2>{say('worst_hours')}</h2>{_worst(report.hours[:7], 'hour', speech)}</div>"
    worst_stops = f"<h2>{say('worst_stops')}</h2>{_worst(report.stops, 'stop', speech)}"
    return f'<div class="two">{hours}{worst_hours}</div>{worst_stops}'


def _worst(rows: list[Worst], what: str, speech: Speech) -> str:
    if not rows:
        return _empty(speech)
    say = speech.say
    names = [(say("route"), True), (say("direction"), True), (say(what), True), ("EWT", False), ("SWT", False)]
    counts = [(say("pairs"), False), (say("bunched"), False), (say("gapped"), False)] if what == "stop" else []
    body = "".join(_worst_row(row, speech, with_counts=what == "stop") for row in rows)
    head = _head([*names, *counts])
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _worst_row(row: Worst, speech: Speech, *, with_counts: bool) -> str:
    counts = (speech.number(row.pairs, 0), speech.percent(row.bunched), speech.percent(row.gapped))
    more = "".join(f"<td>{figure}</td>" for figure in counts) if with_counts else ""
    return (
        f'<tr><td class="t"><span class="badge">{escape(row.short_name)}</span></td>'
        f'<td class="t w">{escape(row.headsign)}</td><td class="t w">{escape(row.what)}</td>'
        f'<td class="strong">{speech.minutes(row.ewt_s)}</td><td>{speech.minutes(row.swt_s)}</td>{more}</tr>'
    )


def _table(lines: list[LineReport], speech: Speech) -> str:
    say = speech.say
    names = [(say("route"), True), (say("direction"), True), (say("pairs"), False), (say("mean_h"), False)]
    names += [("c_vh", False), (say("los"), False), ("AWT", False), ("SWT", False), ("EWT", False)]
    names += [(say("wa"), False), (say("bunched"), False), (say("gapped"), False), (say("otp"), False)]
    names += [(say("early"), False), (say("late"), False)]
    rows = "".join(_table_row(line, speech) for line in lines)
    return f'<h2>{say("table")}</h2><div class="scroll"><table>{_head(names)}<tbody>{rows}</tbody></table></div>'


def _table_row(line: LineReport, speech: Speech) -> str:
    name = f'<a href="#{_anchor(line)}"><span class="badge">{escape(line.short_name)}</span></a>'
    figures = _headway_cells(line.headway, speech) + _punctuality_cells(line.punctuality, speech)
    cells = "".join(f"<td>{figure}</td>" for figure in figures)
    return f'<tr><td class="t">{name}</td><td class="t w">{escape(line.headsign)}</td>{cells}</tr>'


def _headway_cells(row: HeadwayMeasure | None, speech: Speech) -> list[str]:
    if row is None:
        return ["0", *["–"] * 9]
    return [
        speech.number(row.pairs, 0),
        speech.minutes(row.mean_scheduled_s),
        speech.number(row.c_vh, 2),
        f'<span class="los {row.los}">{row.los}</span>' if row.los else "–",
        speech.minutes(row.awt_s),
        speech.minutes(row.swt_s),
        f'<span class="strong">{speech.minutes(row.ewt_s)}</span>',
        speech.percent(row.wait_assessment),
        speech.percent(row.bunched),
        speech.percent(row.gapped),
    ]


def _punctuality_cells(row: PunctualityMeasure, speech: Speech) -> list[str]:
    share = 0.0 if row.on_time is None else row.on_time
    bar = f'<span class="bar"><i style="width:{100 * share:.0f}%"></i></span>'
    return [bar + speech.percent(row.on_time), speech.percent(row.early), speech.percent(row.late)]


def _drawings(report: Report, speech: Speech, page: PageSettings) -> str:
    lines = "".join(_line(line, report, speech, page.bounds) for line in report.lines)
    return f"<h2>{speech.say('stringlines')}</h2>{_legend(speech)}{lines}"


def _line(line: LineReport, report: Report, speech: Speech, bounds: tuple[float, float]) -> str:
    """A line's stringlines, and under each window's its headways, on the same scale of time."""
    drawings = []
    for nth, window in enumerate(windows(report.from_s, report.to_s)):
        name = f"{_anchor(line)}-{nth}"
        drawings.append(stringlines(name, line, window, speech, bounds))
        chart = headway_chart(name, line, window, speech, bounds)
        drawings.append(f'<p class="cap">{speech.say("headways")}</p>{chart}' if chart else "")
    if not any(drawings):
        return ""
    title = (
        f'<h3><span class="badge"{_badge_color(line.color)}>{escape(line.short_name)}</span>'
        f"{escape(speech.say('towards', headsign=line.headsign))} <small>{escape(line.long_name)}</small></h3>"
    )
    return f'<section class="line" id="{_anchor(line)}">{title}{_facts(line, speech)}{"".join(drawings)}</section>'


def _facts(line: LineReport, speech: Speech) -> str:
    say, row = speech.say, line.headway
    facts = [(say("on_time"), speech.percent(line.punctuality.on_time))]
    if row is None:
        return f'<div class="facts"><span>{say("no_pairs")}</span></div>'
    unit = f"\u00a0{say('minutes')}"
    facts = [
        (say("mean_h"), speech.minutes(row.mean_scheduled_s) + unit),
        ("EWT", speech.minutes(row.ewt_s) + unit),
        ("c_vh", speech.number(row.c_vh, 2) + (f" ({row.los})" if row.los else "")),
        (say("bunched"), speech.percent(row.bunched)),
        (say("gapped"), speech.percent(row.gapped)),
        *facts,
    ]
    return '<div class="facts">' + "".join(f"<span>{name} <b>{figure}</b></span>" for name, figure in facts) + "</div>"


def _legend(speech: Speech) -> str:
    def item(drawing: str, word: str) -> str:
        return f'<span><svg viewBox="0 0 22 12" aria-hidden="true">{drawing}</svg>{speech.say(word)}</span>'

    return (
        '<div class="legend">'
        + item('<g class="run"><path d="M1 11L21 1"/></g>', "legend_driven")
        + item('<path class="plan" d="M1 11L21 1"/>', "legend_plan")
        + item('<path class="ball bunched" d="M11 6h0"/>', "legend_bunched")
        + item('<path class="diamond gapped" d="M7.4 6l3.6-3.6 3.6 3.6-3.6 3.6z"/>', "legend_gapped")
        + item('<path class="ball between" d="M11 6h0"/>', "legend_regular")
        + "</div>"
    )


def _head(names: Iterable[tuple[str, bool]]) -> str:
    cells = "".join(f"<th{' class=t' if is_text else ''}>{escape(name)}</th>" for name, is_text in names)
    return f"<thead><tr>{cells}</tr></thead>"


def _empty(speech: Speech) -> str:
    return f'<p class="empty">{speech.say("none")}</p>'


def _anchor(line: LineReport) -> str:
    """A name for the line that is safe in an address and in a drawing: letters and digits as they are, others coded."""
    safe = "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}" for c in line.route_id)
    return f"r{safe}-{line.direction_id}"


def _badge_color(color: str) -> str:
    """The route's own colour where the feed has one, under letters that can be read on it."""
    if len(color) != 6 or not all(c in "0123456789abcdefABCDEF" for c in color):
        return ""
    red, green, blue = (int(color[at : at + 2], 16) for at in (0, 2, 4))
    letters = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#fff"
    return f' style="background:#{color};color:{letters}"'
