"""Dictionaries as objects of the repository: one ref each, one Git commit a version, arrays in packs. Layer 2.

`refs/bvc/dictionaries/NAME` leads to a Git commit whose tree holds `dictionary.json` (what fixes the dictionary, and
its card), `latents/NNNNN.json` (a thousand latents a file) and `signatures/dictionary.json` (the tiles of its arrays).
Importing this module loads no numpy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from bvc import codec
from bvc.codec import canonical
from bvc.config import is_suite_name
from bvc.dictionaries import TILE_NUMBERS, DictionaryCard, DictionarySpec, LatentCard, StoredDictionary
from bvc.errors import AmbiguousId, BadInput, DamagedObject, UnknownRevision, UsageError
from bvc.ids import looks_like_id
from bvc.records import FORMAT_VERSION, CommitInfo, Json
from bvc.repository.decode import dictionary_of, latents_of, weights_of
from bvc.repository.manifest import Field
from bvc.repository.notes import NoteAuthor, advance_tree
from bvc.repository.repository import Repository
from bvc.store.check_dictionaries import CARD_FILE, DICTIONARY_TRAILER, WEIGHTS_FILE
from bvc.store.fsck import SIGNATURES
from bvc.store.objects import FILE_MODE, TREE_MODE, TreeEntry
from bvc.wording import nearest

if TYPE_CHECKING:
    import numpy as np

    from bvc.repository.snapshot_view import SnapshotView
    from bvc.store.store import Store
    from bvc.store.transaction import Transaction

DICTIONARIES = "refs/bvc/dictionaries/"
NONE = "none"
"""What the setting `features.dictionary` says where commits are to record no features."""

_LATENTS = "latents"
_LATENTS_PER_FILE = 1000
_FSCK = "run `bvc fsck`"

_T = TypeVar("_T")


# Reading


def dictionaries(repository: Repository) -> list[StoredDictionary]:
    """The newest version of each dictionary, sorted by name. Raises DamagedObject."""
    store = repository.store
    return [_newest(store, ref, tip) for ref, tip in store.refs.all(DICTIONARIES).items()]


def dictionary_versions(repository: Repository, name: str) -> list[StoredDictionary]:
    """All versions of one dictionary, newest first. Raises UnknownRevision where there is none, DamagedObject."""
    store = repository.store
    tip = store.refs.get(_ref(name))
    if tip is None:
        raise _unknown(repository, name)
    return [_stored(store, name, info) for info in store.history.walk([tip])]


def find_dictionary(repository: Repository, wanted: str) -> StoredDictionary:
    """The newest version of the dictionary called `wanted`, else any version whose digest begins with it (at least four
    hex digits).

    Raises UnknownRevision where there is none, AmbiguousId where several fit, DamagedObject.
    """
    names = {ref.removeprefix(DICTIONARIES) for ref in repository.store.refs.all(DICTIONARIES)}
    if wanted in names:
        return dictionary_versions(repository, wanted)[0]
    if not looks_like_id(wanted):
        raise _unknown(repository, wanted)
    found: dict[str, StoredDictionary] = {}
    for name in sorted(names):
        for version in dictionary_versions(repository, name):
            if version.spec.digest.startswith(wanted):
                found.setdefault(version.spec.digest, version)
    if len(found) > 1:
        raise AmbiguousId(
            f"{wanted} fits {len(found)} dictionaries: {', '.join(d[:12] for d in sorted(found))}",
            hint="give more digits, or a name",
        )
    for only in found.values():
        return only
    raise _unknown(repository, wanted)


def default_dictionary(repository: Repository) -> StoredDictionary | None:
    """The dictionary with which commits record features: that of the setting `features.dictionary`, else the only one
    there is; None without one, where several could be meant, and where the setting says "none".

    Raises UnknownRevision for a setting that names none that exists, DamagedObject.
    """
    wanted = repository.config.features_dictionary
    if wanted == NONE:
        return None
    if wanted:
        return find_dictionary(repository, wanted)
    refs = repository.store.refs.all(DICTIONARIES)
    return dictionaries(repository)[0] if len(refs) == 1 else None


def chosen_dictionary(
    repository: Repository, wanted: str | None, how: str = "say which: --dictionary NAME"
) -> StoredDictionary:
    """The dictionary that `wanted` names, else `default_dictionary`; `how` is the hint to choose among several.

    Raises UsageError where none is meant, and as `find_dictionary` does.
    """
    if wanted is not None:
        return find_dictionary(repository, wanted)
    found = default_dictionary(repository)
    if found is not None:
        return found
    names = [ref.removeprefix(DICTIONARIES) for ref in repository.store.refs.all(DICTIONARIES)]
    if not names:
        raise UsageError("this project has no dictionary", hint="`bvc features fit` makes one")
    raise UsageError("bvc.toml does not say which dictionary is meant", hint=f"{how}; there are: {', '.join(names)}")


def read_cards(repository: Repository, stored: StoredDictionary) -> list[LatentCard]:
    """The cards of a dictionary's latents, as far as it has any, by latent. Raises DamagedObject."""
    store = repository.store
    top = _files(store, _tree(store, stored))
    if _LATENTS not in top:
        return []
    read = partial(latents_of, stored.spec)
    files = sorted(_files(store, top[_LATENTS]).items())
    cards = [card for _, oid in files for card in _decode(store, oid, "a list of latents", read)]
    return sorted(cards, key=lambda card: card.latent)


def read_arrays(repository: Repository, stored: StoredDictionary) -> dict[str, np.ndarray[Any, Any]]:
    """A dictionary's arrays by the names of `bvc.dictionaries.WEIGHTS`, float32, each tile checked by its SHA-256.
    Loads numpy. Raises DamagedObject."""
    return {name: _array(repository.store, name, field) for name, field in _fields(repository.store, stored).items()}


def _fields(store: Store, stored: StoredDictionary) -> dict[str, Field]:
    signatures = _files(store, _tree(store, stored)).get(SIGNATURES)
    oid = None if signatures is None else _files(store, signatures).get(WEIGHTS_FILE)
    if oid is None:
        raise DamagedObject(f"dictionary {stored.name} has no arrays", hint=_FSCK)
    return _decode(store, oid, "a dictionary's signature", partial(weights_of, stored.spec))


def _array(store: Store, name: str, field: Field) -> np.ndarray[Any, Any]:
    import numpy as np

    flat = np.concatenate([_tile(store, sha) for sha in field.tiles])
    if flat.size != np.prod(field.shape, dtype=np.int64):
        raise DamagedObject(f"the tiles of a dictionary's {name} do not have its shape", hint=_FSCK)
    return flat.reshape(field.shape)


def _tile(store: Store, sha: str) -> np.ndarray[Any, Any]:
    from bvc.store.packs import chunk_digest, damaged

    tile = store.chunks.get(sha)
    if tile.ndim != 1 or tile.dtype.str != "<f4" or tile.size > TILE_NUMBERS:
        raise DamagedObject(f"chunk {sha} is no tile of a dictionary", hint=_FSCK)
    if chunk_digest(tile) != sha:
        raise damaged(sha, "it does not have the SHA-256 that names it")
    return tile


def _newest(store: Store, ref: str, tip: str) -> StoredDictionary:
    return _stored(store, ref.removeprefix(DICTIONARIES), store.history.info(tip))


def _stored(store: Store, name: str, info: CommitInfo) -> StoredDictionary:
    oid = _files(store, info.tree).get(CARD_FILE)
    if oid is None:
        raise DamagedObject(f"commit {info.id} of dictionary {name} has no {CARD_FILE}", hint=_FSCK)
    spec, card = _decode(store, oid, "a dictionary", dictionary_of)
    return StoredDictionary(name, spec, card, info.id)


def _tree(store: Store, stored: StoredDictionary) -> str:
    return store.history.info(stored.commit).tree


def _files(store: Store, tree: str) -> dict[str, str]:
    return {entry.name: entry.oid for entry in store.objects.tree(tree)}


def _decode(store: Store, oid: str, what: str, make: Callable[[Any], _T]) -> _T:
    try:
        return make(codec.parse(store.objects.blob(oid)))
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedObject(f"object {oid} is not {what}", hint=_FSCK) from error


def _ref(name: str) -> str:
    return f"{DICTIONARIES}{name}"


def _unknown(repository: Repository, wanted: str) -> UnknownRevision:
    names = [ref.removeprefix(DICTIONARIES) for ref in repository.store.refs.all(DICTIONARIES)]
    close = nearest(wanted, names)
    hint = f"did you mean '{close}'?" if close else f"there are: {', '.join(names)}" if names else "there is none yet"
    return UnknownRevision(f"no dictionary is called {wanted!r}", hint=hint)


# Writing


def put_dictionary(
    repository: Repository,
    name: str,
    spec: DictionarySpec,
    card: DictionaryCard,
    cards: Sequence[LatentCard],
    arrays: Mapping[str, np.ndarray[Any, Any]],
    author: str,
) -> str:
    """Stores a dictionary as the newest version of `name` and returns its digest; what is the newest already is not
    stored again. When this returns, neither a kill nor a power cut can take it back.

    `arrays` are those of `bvc.dictionaries.WEIGHTS`, float32 of the shapes that `spec` says; that they have the SHA-256
    `spec.weights` is for the caller to see to. `author` is a `Name <mail>`. Raises UsageError for a name that cannot be
    one, BadInput for arrays or records that are not a dictionary's.
    """
    check_dictionary_name(name)
    _check_records(spec, card, cards)
    store = repository.store
    now = int(time.time())
    with store.begin() as transaction:
        top = _entries(transaction, spec, card, cards, _tiles(transaction, spec, arrays))
        tip = store.refs.get(_ref(name))
        if tip is not None and store.history.info(tip).tree == transaction.tree(list(top.values())):
            return spec.digest

        def edit(entries: dict[str, TreeEntry]) -> None:
            entries.clear()
            entries |= top

        subject = f"dictionary {name}\n\n{DICTIONARY_TRAILER}: sha256:{spec.digest}"
        by = NoteAuthor(author, now, time.localtime(now).tm_gmtoff)
        advance_tree(transaction, store, _ref(name), edit, subject, by)
    return spec.digest


def check_dictionary_name(name: str) -> None:
    """Raises UsageError for a name that no dictionary can have."""
    if not is_suite_name(name) or name.endswith(".lock") or ".." in name or name == NONE:
        raise UsageError(
            f"{name!r} cannot be the name of a dictionary",
            hint="use letters, digits, `_`, `.` and `-`, such as `lineage-l15`",
        )


def _check_records(spec: DictionarySpec, card: DictionaryCard, cards: Sequence[LatentCard]) -> None:
    """What is stored must be what can be read."""
    try:
        dictionary_of(codec.parse(canonical(_dictionary_json(spec, card))))
        latents_of(spec, {"version": FORMAT_VERSION, "latents": [asdict(latent) for latent in cards]})
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput(f"this is not a dictionary: {error}") from error


def _dictionary_json(spec: DictionarySpec, card: DictionaryCard) -> Json:
    return {"version": FORMAT_VERSION, "spec": spec.to_json(), "card": asdict(card)}


def _entries(
    transaction: Transaction,
    spec: DictionarySpec,
    card: DictionaryCard,
    cards: Sequence[LatentCard],
    fields: Json,
) -> dict[str, TreeEntry]:
    """The top of a dictionary's tree by name."""
    signature = {"version": FORMAT_VERSION, "channel": "dictionary", "fields": fields}
    files = {
        CARD_FILE: _file(transaction, CARD_FILE, _dictionary_json(spec, card)),
        SIGNATURES: _folder(transaction, SIGNATURES, [_file(transaction, WEIGHTS_FILE, signature)]),
    }
    if cards:
        files[_LATENTS] = _folder(transaction, _LATENTS, list(_latent_files(transaction, cards)))
    return files


def _latent_files(transaction: Transaction, cards: Sequence[LatentCard]) -> Iterator[TreeEntry]:
    for number, start in enumerate(range(0, len(cards), _LATENTS_PER_FILE)):
        rows = [asdict(latent) for latent in cards[start : start + _LATENTS_PER_FILE]]
        yield _file(transaction, f"{number:05d}.json", {"version": FORMAT_VERSION, "latents": rows})


def _file(transaction: Transaction, name: str, value: Any) -> TreeEntry:
    return TreeEntry(name, FILE_MODE, transaction.blob(canonical(value)))


def _folder(transaction: Transaction, name: str, entries: Sequence[TreeEntry]) -> TreeEntry:
    return TreeEntry(name, TREE_MODE, transaction.tree(entries))


def _tiles(transaction: Transaction, spec: DictionarySpec, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Json:
    """Stores the arrays in tiles. Raises BadInput for other arrays than a dictionary has."""
    import numpy as np

    shapes = spec.shapes
    if arrays.keys() != shapes.keys():
        raise BadInput(f"a dictionary has the arrays {', '.join(shapes)}, not {', '.join(sorted(arrays))}")
    fields: Json = {}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise BadInput(f"the array {name} of a dictionary must be finite float32 numbers of shape {shape}")
        flat = np.ascontiguousarray(array, "<f4").reshape(-1)
        starts = range(0, flat.size, TILE_NUMBERS)
        tiles = [transaction.chunk(flat[start : start + TILE_NUMBERS]) for start in starts]
        fields[name] = {"dtype": "<f4", "shape": list(shape), "tiles": tiles}
    return fields


def feature_dictionary(view: SnapshotView, channel: str = "feature") -> str | None:
    """The digest of the dictionary whose latents a snapshot's features are (along the references, or as the feature
    `channel` says); None where it has no features. Features of two dictionaries do not compare."""
    manifest = view.signatures.manifests.get(channel)
    return None if manifest is None else manifest.dictionary
