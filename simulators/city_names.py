"""Names for the stops of a made-up city: neutral Ukrainian words and their official romanisation."""

from __future__ import annotations

from collections.abc import Iterator

# Adjective stems that take -а in the feminine and -ий in the masculine.
WORDS = (
    "Каштанов Липов Вишнев Яблунев Берегов Лугов Садов Кленов Дубов Соснов Березов Калинов Ясенев Абрикосов Горіхов "
    "Бузков Польов Лісов Озерн Річков Джерельн Сонячн Зорян Тих Світл Зелен Блакитн Срібляст Кришталев Бурштинов "
    "Гончарн Ковальськ Ткацьк Пекарськ Столярськ Друкарськ Музичн Театральн Бібліотечн Студентськ Вокзальн Портов "
    "Заводськ Ринков Стадіонн Шкільн Поштов Музейн Мостов Крут Долинн Травнев Вербов Малинов Медов Росян Ранков "
    "Вечірн Хмарн Веселков Пташин Солов'їн Журавлин Лебедин"
)
STEMS = WORDS.split()
SUFFIXED = ("ин", "їн")  # stems that are whole words in the masculine already

# Ukrainian and English frames, and the gender of the adjective.
KINDS = (
    ("Вул. {}", "{} St", "f"),
    ("Парк {}", "{} Park", "m"),
    ("Пл. {}", "{} Sq", "f"),
    ("Сквер {}", "{} Garden", "m"),
)

CYRILLIC = "абвгґдежзиіклмнопрстуфхцчшщ"
ROMAN = "a b v h g d e zh z y i k l m n o p r s t u f kh ts ch sh shch"

# Cabinet of Ministers resolution 55 of 2010; the second form stands inside a word.
LATIN = {**dict(zip(CYRILLIC, ROMAN.split(" "), strict=True)), "ь": "", "'": ""}
LATIN_START = {"є": "ye", "ї": "yi", "й": "y", "ю": "yu", "я": "ya"}
LATIN_INSIDE = {"є": "ie", "ї": "i", "й": "i", "ю": "iu", "я": "ia"}


def stop_names() -> Iterator[tuple[str, str]]:
    """Pairs of a Ukrainian and an English name, all different: streets first, then parks, squares and gardens."""
    for ukrainian, english, gender in KINDS:
        for stem in STEMS:
            word = _adjective(stem, gender)
            yield ukrainian.format(word), english.format(romanise(word))


def romanise(text: str) -> str:
    """Ukrainian in Latin letters."""
    words = []
    for word in text.split(" "):
        letters = []
        for i, letter in enumerate(word):
            low = letter.lower()
            after_z = low == "г" and i > 0 and word[i - 1].lower() == "з"  # so that it is not read as "zh"
            special = LATIN_INSIDE if i else LATIN_START
            latin = "gh" if after_z else special.get(low, LATIN.get(low, letter))
            letters.append(latin.capitalize() if letter != low else latin)
        words.append("".join(letters))
    return " ".join(words)


def _adjective(stem: str, gender: str) -> str:
    if gender == "f":
        return stem + "а"
    return stem if stem.endswith(SUFFIXED) else stem + "ий"
