"""The words of a report in the languages it is written in, and numbers as people write them there."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from babel.dates import format_date

LANGUAGES = ("uk", "en")

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Service report",
        "subtitle": "Regularity and punctuality",
        "feed": "feed",
        "summary": "The service at a glance",
        "ewt": "Excess wait",
        "ewt_note": "riders waited {awt} min, planned {swt} min",
        "on_time": "On time",
        "on_time_note": "of {n} departures, −1 to +5 min",
        "bunched": "Bunched",
        "bunched_note": "of headways, under a quarter of the plan",
        "gapped": "Gapped",
        "gapped_note": "of headways, over twice the plan",
        "lines": "Lines",
        "lines_note": "routes and directions with service seen",
        "alerts": "Alerts",
        "alerts_note": "opened, {n} of them acknowledged",
        "by_hour": "Mean wait by hour",
        "planned_wait": "planned wait",
        "excess_wait": "excess wait",
        "worst_stops": "Stops where riders wait longest beyond the plan",
        "worst_hours": "Hours in which riders wait longest beyond the plan",
        "table": "Measures by route and direction",
        "route": "Route",
        "direction": "Direction",
        "stop": "Stop",
        "hour": "Hour",
        "pairs": "Headways",
        "mean_h": "Plan",
        "los": "LOS",
        "otp": "On time",
        "early": "Early",
        "late": "Late",
        "wa": "Wait ass.",
        "stringlines": "Stringlines and headways",
        "towards": "→ {headsign}",
        "headways": "Headways at stops, minutes",
        "legend_plan": "timetable",
        "legend_driven": "driven",
        "legend_bunched": "bunched",
        "legend_gapped": "gapped",
        "legend_regular": "in between",
        "none": "Nothing stood out: no stop or hour had enough headways that exceeded the plan.",
        "no_pairs": "Too few departures for headways.",
        "minutes": "min",
        "notes": "How to read this",
        "note_1": "Waits and headways are in minutes. AWT = Σh² / 2Σh, SWT the same of the timetable, "
        "EWT = AWT − SWT (TfL). c_vh and LOS as in TCQSM; the letter is given where the planned headway is "
        "ten minutes or less.",
        "note_2": "Wait assessment: the share of headways at most 3 min (in the peak; else 5 min) above "
        "the plan (MTA). Measures are pooled by summing numerators and denominators; "
        "stops and directions are never mixed before.",
        "note_3": "Passages are interpolated between positions. None is made up: across a silence of more than "
        "two minutes, or off the route, there is a break in the line.",
    },
    "uk": {
        "title": "Звіт про рух",
        "subtitle": "Регулярність і точність",
        "feed": "розклад",
        "summary": "Рух одним поглядом",
        "ewt": "Надлишкове очікування",
        "ewt_note": "пасажири чекали {awt} хв, за планом {swt} хв",
        "on_time": "Вчасно",
        "on_time_note": "із {n} відправлень, від −1 до +5 хв",
        "bunched": "Злипання",
        "bunched_note": "інтервалів, менші за чверть планового",
        "gapped": "Розриви",
        "gapped_note": "інтервалів, більші за два планові",
        "lines": "Лінії",
        "lines_note": "маршрути й напрямки, рух яких видно",
        "alerts": "Сповіщення",
        "alerts_note": "з них підтверджено {n}",
        "by_hour": "Середнє очікування за годинами",
        "planned_wait": "планове очікування",
        "excess_wait": "надлишкове очікування",
        "worst_stops": "Зупинки, де понад план чекають найдовше",
        "worst_hours": "Години, коли понад план чекають найдовше",
        "table": "Показники за маршрутами й напрямками",
        "route": "Маршрут",
        "direction": "Напрямок",
        "stop": "Зупинка",
        "hour": "Година",
        "pairs": "Інтервали",
        "mean_h": "План",
        "los": "LOS",
        "otp": "Вчасно",
        "early": "Рано",
        "late": "Пізно",
        "wa": "Дотрим. очік.",
        "stringlines": "Графіки руху та інтервали",
        "towards": "→ {headsign}",
        "headways": "Інтервали на зупинках, хвилини",
        "legend_plan": "розклад",
        "legend_driven": "виконано",
        "legend_bunched": "злипання",
        "legend_gapped": "розрив",
        "legend_regular": "між ними",
        "none": "Нічого помітного: немає зупинки чи години з достатньою кількістю інтервалів понад план.",
        "no_pairs": "Замало відправлень для інтервалів.",
        "minutes": "хв",
        "notes": "Як це читати",
        "note_1": "Очікування й інтервали у хвилинах. AWT = Σh² / 2Σh, SWT так само з розкладу, "
        "EWT = AWT − SWT (TfL). c_vh і LOS за TCQSM; літеру подано там, де плановий інтервал "
        "не перевищує десяти хвилин.",
        "note_2": "Дотримання очікування: частка інтервалів, не більших за плановий на 3 хв (у пік; інакше 5 хв) "
        "(MTA). Показники об'єднано сумами чисельників і знаменників; зупинки й напрямки до того не змішуються.",
        "note_3": "Проходження зупинок інтерпольовано між позиціями. Нічого не вигадано: де мовчання довше "
        "за дві хвилини або машина поза маршрутом, лінія переривається.",
    },
}


@dataclass(frozen=True, slots=True)
class Speech:
    """One language, at one place: words, numbers and local times."""

    language: str
    timezone: str

    def say(self, word: str, **values: str) -> str:
        """A word or sentence, with values put in."""
        return WORDS[self.language][word].format(**values)

    def number(self, value: float | None, digits: int = 1) -> str:
        """A number with the decimal sign of the language; a dash where there is none."""
        if value is None or math.isnan(value):
            return "–"
        text = f"{value:,.{digits}f}".replace("-", "−")
        if self.language == "uk":
            text = text.replace(",", "\u00a0").replace(".", ",")
        return text

    def minutes(self, seconds: float | None, digits: int = 1) -> str:
        """Seconds as minutes."""
        return self.number(None if seconds is None else seconds / 60, digits)

    def percent(self, share: float | None, digits: int = 0) -> str:
        """A share as per cent."""
        return self.number(None if share is None else 100 * share, digits) + (
            "" if share is None or math.isnan(share) else "\u00a0%"
        )

    def clock(self, at_s: float) -> str:
        """Local time, "08:05"."""
        return f"{self._local(at_s):%H:%M}"

    def span(self, from_s: float, to_s: float) -> str:
        """From when to when, with the date (or both)."""
        first, last = self._local(from_s), self._local(to_s)
        if first.date() == last.date():
            return f"{self._date(first)}, {first:%H:%M}–{last:%H:%M}"
        return f"{self._date(first)}, {first:%H:%M} – {self._date(last)}, {last:%H:%M}"

    def _local(self, at_s: float) -> dt.datetime:
        return dt.datetime.fromtimestamp(at_s, ZoneInfo(self.timezone))

    def _date(self, at: dt.datetime) -> str:
        return format_date(at, "long", locale={"en": "en_GB"}.get(self.language, self.language))
