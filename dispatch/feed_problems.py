"""What is wrong with a feed: faults that spoil one row are listed, faults that spoil the whole refuse it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of fault in one file: where it was seen first, what was done about it, and how many rows have it."""

    file: str
    line: int | None  # 1 is the header
    code: str
    message: str
    count: int = 1


class FeedError(Exception):
    """The feed cannot be used; the text says which file and line, why, and what to do."""

    def __init__(self, file: str, line: int | None, message: str) -> None:
        super().__init__(f"{file}{f', line {line}' if line is not None else ''}: {message}")
        self.file = file
        self.line = line
        self.message = message


class Problems:
    """The faults found so far, one entry for each file and code."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Problem] = {}

    def add(self, problem: Problem) -> None:
        """Remember a fault; of one kind in one file the first line and message stay and the counts add up."""
        key = (problem.file, problem.code)
        before = self._found.get(key)
        self._found[key] = problem if before is None else replace(before, count=before.count + problem.count)

    def list(self) -> list[Problem]:
        """All faults, the most frequent first."""
        return sorted(self._found.values(), key=lambda problem: (-problem.count, problem.file, problem.code))
