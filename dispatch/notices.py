"""Notices: what a dispatcher tells passengers in two languages, made from a template and never from loose words alone.

A template names cause and effect in the words of GTFS-Realtime and has texts with places for values, `{place}` for one.
What is wrong with a request is said by field, all of it at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Annotated

import msgspec

LANGUAGES = ("uk", "en")
SELECTED_MAX = 1000  # routes, stops and trips of one notice; a reader compares each with what it shows
VALUE_CHARS_MAX = 500
ID_CHARS_MAX = 200
SPAN_S_MAX = 400 * 86_400.0
UNIX_S_MAX = 1e11
_PLACE = re.compile(r"\{([a-z_]+)\}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARS_MAX)]
Ids = Annotated[list[Id], msgspec.Meta(max_length=SELECTED_MAX)]
Value = Annotated[str, msgspec.Meta(max_length=VALUE_CHARS_MAX, extra={"free_text": True})]


class Text(msgspec.Struct, frozen=True):
    """The same in Ukrainian and English."""

    uk: str
    en: str


class Field(msgspec.Struct, frozen=True):
    """A value that the template's texts need, and what a form calls it."""

    name: str
    label: Text


class Template(msgspec.Struct, frozen=True):
    """Texts with places for values; cause and effect are those of GTFS-Realtime."""

    id: str
    cause: str
    effect: str
    header: Text
    description: Text
    fields: list[Field]


class NoticeRequest(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """What a notice is about and for how long (Unix seconds): `from` null is now, `until` null until it is closed."""

    template: Annotated[str, msgspec.Meta(max_length=64)]
    route_ids: Ids = []
    stop_ids: Ids = []
    trip_ids: Ids = []
    from_: float | None = None
    until: float | None = None
    values: Annotated[dict[str, Value], msgspec.Meta(max_length=32)] = {}


class Notice(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A notice as passengers get it; `created_by` is null for who may not know dispatchers."""

    id: str
    template: str
    cause: str
    effect: str
    header: Text
    description: Text
    route_ids: list[str]
    stop_ids: list[str]
    trip_ids: list[str]
    from_: float
    until: float | None
    created_by: str | None
    created_at: float
    closed_at: float | None = None


_PLACE_FIELD = Field("place", Text("Місце (вулиця, перехрестя)", "Place (street, junction)"))
_MINUTES_FIELD = Field("minutes", Text("Хвилин", "Minutes"))

TEMPLATES = (
    Template(
        "detour_road_works",
        "CONSTRUCTION",
        "DETOUR",
        Text("Зміна маршруту через дорожні роботи", "Detour because of road works"),
        Text(
            "Рух в обхід: {place}. Проміжні зупинки на цій ділянці не працюють.",
            "Vehicles go around {place}. Stops on that stretch are not served.",
        ),
        [_PLACE_FIELD],
    ),
    Template(
        "detour_accident",
        "ACCIDENT",
        "DETOUR",
        Text("Зміна маршруту через ДТП", "Detour because of an accident"),
        Text("Рух в обхід: {place}.", "Vehicles go around {place}."),
        [_PLACE_FIELD],
    ),
    Template(
        "delays_traffic",
        "OTHER_CAUSE",
        "SIGNIFICANT_DELAYS",
        Text("Затримки через затори", "Delays because of traffic"),
        Text("Затримки до {minutes} хв: {place}.", "Delays of up to {minutes} minutes: {place}."),
        [_MINUTES_FIELD, _PLACE_FIELD],
    ),
    Template(
        "delays_weather",
        "WEATHER",
        "SIGNIFICANT_DELAYS",
        Text("Затримки через погоду", "Delays because of the weather"),
        Text("Транспорт може запізнюватися до {minutes} хв.", "Vehicles may be up to {minutes} minutes late."),
        [_MINUTES_FIELD],
    ),
    Template(
        "no_service_power",
        "TECHNICAL_PROBLEM",
        "NO_SERVICE",
        Text("Рух припинено", "No service"),
        Text("Рух припинено з технічних причин: {place}.", "There is no service for technical reasons: {place}."),
        [_PLACE_FIELD],
    ),
    Template(
        "no_service_emergency",
        "POLICE_ACTIVITY",
        "NO_SERVICE",
        Text("Рух припинено на вимогу служб безпеки", "No service by order of the emergency services"),
        Text("Рух припинено: {place}. Чекайте на повідомлення.", "No service: {place}. Please wait for news."),
        [_PLACE_FIELD],
    ),
    Template(
        "reduced_service",
        "OTHER_CAUSE",
        "REDUCED_SERVICE",
        Text("Менше рейсів", "Fewer departures"),
        Text("Інтервал руху збільшено до {minutes} хв.", "Vehicles come every {minutes} minutes for now."),
        [_MINUTES_FIELD],
    ),
    Template(
        "stop_moved",
        "CONSTRUCTION",
        "STOP_MOVED",
        Text("Зупинку перенесено", "The stop has been moved"),
        Text("Тимчасова зупинка: {place}.", "The stop is for now at {place}."),
        [_PLACE_FIELD],
    ),
    Template(
        "event",
        "DEMONSTRATION",
        "MODIFIED_SERVICE",
        Text("Зміни в русі через масовий захід", "Changed service because of an event"),
        Text("Рух змінено: {place}.", "The service is changed: {place}."),
        [_PLACE_FIELD],
    ),
    Template(
        "message",
        "OTHER_CAUSE",
        "OTHER_EFFECT",
        Text("{header_uk}", "{header_en}"),
        Text("{text_uk}", "{text_en}"),
        [
            Field("header_uk", Text("Заголовок українською", "Header in Ukrainian")),
            Field("header_en", Text("Заголовок англійською", "Header in English")),
            Field("text_uk", Text("Текст українською", "Text in Ukrainian")),
            Field("text_en", Text("Текст англійською", "Text in English")),
        ],
    ),
)
BY_ID = {template.id: template for template in TEMPLATES}


class Known(msgspec.Struct, frozen=True):
    """The ids that the feed in use has."""

    routes: Collection[str]
    stops: Collection[str]
    trips: Collection[str]


def write(request: NoticeRequest, known: Known, notice_id: str, by: str, now_s: float) -> Notice | list[str]:
    """The notice of a request, or everything that is wrong with it, each with its field."""
    template = BY_ID.get(request.template)
    if template is None:
        return [f"template: there is no {request.template}; GET /api/v1/notices/templates lists them"]
    from_s = now_s if request.from_ is None else request.from_
    values = {name: _CONTROL.sub("", value).strip() for name, value in request.values.items()}
    wrong = [*_check_values(template, values), *_check_times(from_s, request.until, now_s), *_check_ids(request, known)]
    if wrong:
        return wrong
    return Notice(
        notice_id,
        template.id,
        template.cause,
        template.effect,
        _fill(template.header, values),
        _fill(template.description, values),
        list(dict.fromkeys(request.route_ids)),
        list(dict.fromkeys(request.stop_ids)),
        list(dict.fromkeys(request.trip_ids)),
        from_s,
        request.until,
        by,
        now_s,
    )


def is_over(notice: Notice, now_s: float) -> bool:
    """Whether passengers need not know of it any more."""
    return notice.closed_at is not None or (notice.until is not None and notice.until <= now_s)


def _fill(text: Text, values: dict[str, str]) -> Text:
    # One pass: a value that looks like a place is only text.
    return Text(*(_PLACE.sub(lambda match: values[match[1]], of) for of in (text.uk, text.en)))


def _check_values(template: Template, values: dict[str, str]) -> list[str]:
    names = [field.name for field in template.fields]
    wrong = [f"values.{name}: must not be empty" for name in names if not values.get(name)]
    return wrong + [f"values.{name}: {template.id} has no such field" for name in values if name not in names]


def _check_times(from_s: float, until_s: float | None, now_s: float) -> list[str]:
    if not 0 <= from_s < UNIX_S_MAX:
        return ["from: is no time in Unix seconds"]
    if from_s > now_s + SPAN_S_MAX:
        return ["from: must not lie more than 400 days ahead"]
    if until_s is None:
        return []
    if not until_s > from_s:
        return ["until: must be later than `from`"]
    if until_s <= now_s:
        return ["until: is over already"]
    return [] if until_s - from_s <= SPAN_S_MAX else ["until: must be within 400 days of `from`"]


def _check_ids(request: NoticeRequest, known: Known) -> list[str]:
    chosen: tuple[tuple[str, list[str], Collection[str]], ...] = (
        ("route_ids", request.route_ids, known.routes),
        ("stop_ids", request.stop_ids, known.stops),
        ("trip_ids", request.trip_ids, known.trips),
    )
    if not any(ids for _, ids, _ in chosen):
        return ["route_ids: name at least one route, stop or trip"]
    if max(len(request.route_ids), 1) * len(request.stop_ids) + len(request.trip_ids) > SELECTED_MAX:
        return [f"stop_ids: routes times stops, and trips, must not be more than {SELECTED_MAX}"]
    if any(len(ids) > SELECTED_MAX for _, ids, _ in chosen):
        return [f"route_ids: a notice is about {SELECTED_MAX} routes, stops or trips at most"]
    return [
        f"{name}: the feed has no {_first(ids, has.__contains__)}"
        for name, ids, has in chosen
        if any(one not in has for one in ids)
    ]


def _first(ids: list[str], is_known: Callable[[str], bool]) -> str:
    return next(one for one in ids if not is_known(one))[:ID_CHARS_MAX]
