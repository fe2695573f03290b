"""The direction that is steered along: a latent of a dictionary, or any vector; and random ones beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bvc.api.encoding import misfit
from bvc.api.features import latent_card
from bvc.api.steer_records import Direction
from bvc.dictionaries import LatentCard, StoredDictionary
from bvc.errors import NotComparable, UsageError
from bvc.records import ModelIdentity
from bvc.repository.dictionaries import chosen_dictionary, read_arrays, read_cards
from bvc.repository.repository import Repository

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_UNKNOWN = "how strongly the latent fires is not known: strengths are shares of the stream's length"
_TARGET = re.compile(r"(?:(?P<name>.+):)?(?P<latent>\d{1,9})")


@dataclass(frozen=True)
class KnownLatent:
    """Where a direction comes from: the dictionary, what the latent's card says, and remarks."""

    stored: StoredDictionary
    card: LatentCard
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The dictionary's."""
        return self.stored.name

    @property
    def promoted(self) -> tuple[str, ...]:
        """The tokens that the latent raises most."""
        return tuple(token for token, _ in self.card.promoted)

    def check(self, model: ModelIdentity) -> None:
        """Raises NotComparable for a model (found on disk) that the dictionary does not read."""
        why = misfit(self.stored, model, None)
        if why is not None:
            raise NotComparable(f"it cannot be steered: {why}")


def find_direction(
    repository: Repository, target: int | str | Direction, dictionary: str | None
) -> tuple[Direction, KnownLatent | None]:
    """The direction that `target` names: a latent's number, `NAME:NUMBER`, or the direction itself.

    Raises UsageError for another target and for a number that the dictionary does not have, and what
    `chosen_dictionary` raises.
    """
    if isinstance(target, Direction):
        return target, None
    found = _TARGET.fullmatch(str(target).strip())
    if found is None:
        raise UsageError(f"{target!r} is not the number of a latent", hint="write 17, or NAME:17")
    if found["name"] and dictionary and found["name"] != dictionary:
        raise UsageError(f"the latent is of dictionary {found['name']}, and --dictionary says {dictionary}")
    return _latent(repository, chosen_dictionary(repository, found["name"] or dictionary), int(found["latent"]))


def _latent(repository: Repository, stored: StoredDictionary, number: int) -> tuple[Direction, KnownLatent]:
    card = latent_card(stored, read_cards(repository, stored), number)
    row = read_arrays(repository, stored)["decoder"][number] / stored.spec.scale
    unit, notes = (card.strength, ()) if card.strength > 0 else (None, (_UNKNOWN,))
    name = f"latent {number} of {stored.name}"
    return Direction(row, stored.spec.layer, name, unit, number), KnownLatent(stored, card, notes)


def lengths(direction: Direction, stream: float, count: int, seed: int) -> tuple[list[npt.NDArray[np.float32]], float]:
    """The vector of strength 1 and `count` random ones as long, each [d]; and that length as a share of `stream`.

    Raises UsageError for a direction without length or with numbers that are not finite.
    """
    import numpy as np

    from bvc.compare.steering import random_directions

    vector = _array(direction.vector)
    length = float(np.linalg.norm(vector)) if vector.ndim == 1 else 0.0
    if not np.isfinite(length) or length == 0 or len(vector) < 2:
        raise UsageError(f"{direction.name} is no direction: it needs finite numbers, not all of them 0")
    vector = vector * (stream / length if direction.unit is None else direction.unit)
    ways = [vector, *random_directions(vector, count, seed)]
    return [np.asarray(way, np.float32) for way in ways], float(np.linalg.norm(vector)) / stream


def _array(vector: Any) -> npt.NDArray[np.float64]:
    """A tensor (of any device), an array or numbers as an array."""
    import numpy as np

    plain = vector.detach().cpu().float().numpy() if hasattr(vector, "detach") else vector
    return np.asarray(plain, np.float64)
