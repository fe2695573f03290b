"""Taking probes one by one: distinct ids, distinct content, and all problems in one report at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bvc.errors import BadInput
from bvc.records import Probe
from bvc.suites.fields import FieldError
from bvc.wording import printable, some_of


@dataclass(frozen=True)
class Place:
    """Where a probe stands: `number` is a line, or where `unit` is "row" a row counted from 1."""

    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.unit} {self.number}"


@dataclass
class ProbeCollector:
    """Probes of the file `file` in order. `drop_repeats` leaves out and counts a probe that asks what an earlier one
    does; without it that is a problem. Two probes with one id are always a problem."""

    file: str
    drop_repeats: bool = False
    probes: list[Probe] = field(default_factory=list)
    repeats: int = 0
    _problems: list[tuple[Place, FieldError]] = field(default_factory=list)
    _asked: dict[str, Place] = field(default_factory=dict)
    _named: dict[str, Place] = field(default_factory=dict)

    def add(self, place: Place, read: Callable[[], Probe]) -> None:
        """Take the probe that `read` returns, and note the FieldError that it raises instead."""
        try:
            probe = read()
            if self.drop_repeats and probe.id in self._asked:
                self.repeats += 1
                return
            self._distinct(probe, place)
        except FieldError as problem:
            self._problems.append((place, problem))
        else:
            self.probes.append(probe)

    def _distinct(self, probe: Probe, place: Place) -> None:
        if (first := self._asked.setdefault(probe.id, place)) != place:
            raise FieldError(f"asks the same as {first}", "remove one of the two, or merge their tags")
        if probe.name is not None and (first := self._named.setdefault(probe.name, place)) != place:
            raise FieldError(f"has the id '{printable(probe.name)}' of {first}", "an id labels one probe")

    def result(self) -> tuple[Probe, ...]:
        """All probes. Raises BadInput for the first problem, naming the places of the others, or when there are no
        probes."""
        if self._problems:
            raise self._report()
        if not self.probes:
            raise BadInput("holds no probes", file=self.file)
        return tuple(self.probes)

    def _report(self) -> BadInput:
        (place, problem), *others = self._problems
        is_line = place.unit == "line"
        message = problem.message if is_line else f"{place} {problem.message}"
        more = _more([other for other, _ in others])
        return BadInput(message + more, file=self.file, line=place.number if is_line else None, hint=problem.hint)


def _more(places: Sequence[Place]) -> str:
    if not places:
        return ""
    numbers = some_of(sorted({place.number for place in places}))
    plural = "s" if len(places) > 1 else ""
    return f" (and {len(places)} more problem{plural}, {places[0].unit}{plural} {numbers})"
