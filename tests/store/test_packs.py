"""Array packs: what goes in comes out, and nothing that was altered does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bvc.errors import DamagedObject
from bvc.store.packs import (
    END,
    RAW,
    SHUFFLED_ZSTD,
    PackWriter,
    chunk_digest,
    decode,
    encode,
    file_digest,
    normal_form,
    pack_names,
    pack_path,
    read_entries,
)
from tests.store.build import array

Array = np.ndarray[Any, Any]
TYPES = ["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]
ARRAYS = st.sampled_from(TYPES).flatmap(lambda t: hnp.arrays(t, hnp.array_shapes(min_dims=0, min_side=0, max_side=9)))


@given(ARRAYS)
def test_every_array_survives(original: Array) -> None:
    sha = chunk_digest(original)
    back = decode(encode(normal_form(original), sha), sha)
    assert back.dtype == original.dtype
    assert back.shape == original.shape
    assert back.tobytes() == original.tobytes()


@given(ARRAYS)
def test_layout_in_memory_does_not_change_identity(original: Array) -> None:
    swapped = original.astype(original.dtype.newbyteorder(">"))
    for other in (np.asfortranarray(original).reshape(original.shape), swapped):
        assert chunk_digest(normal_form(other)) == chunk_digest(normal_form(original))


def test_type_and_shape_are_part_of_the_identity() -> None:
    numbers = np.arange(12, dtype="<i4")
    digests = {chunk_digest(a) for a in (numbers, numbers.reshape(3, 4), numbers.reshape(4, 3), numbers.view("<u4"))}
    assert len(digests) == 4


@pytest.mark.parametrize("dtype", ["object", "<U3", "<c8", "<M8[s]", "<f16"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(ValueError, match="cannot be stored"):
        normal_form(np.zeros(2, dtype=dtype))


def test_smooth_numbers_are_compressed_and_noise_is_kept_raw() -> None:
    smooth = np.linspace(0, 1, 4096, dtype="<f4")
    noise = np.frombuffer(np.random.default_rng(0).bytes(4096), "|u1")
    records = [encode(a, chunk_digest(a)) for a in (smooth, noise)]
    assert [r[4] for r in records] == [SHUFFLED_ZSTD, RAW]
    assert len(records[0]) < smooth.nbytes


@pytest.mark.parametrize("made", [array(1, rows=2), np.zeros((40, 4), "<f2")], ids=["raw", "compressed"])
def test_every_flipped_bit_of_a_record_is_noticed(made: Array) -> None:
    sha = chunk_digest(made)
    record = encode(made, sha)
    for position in range(len(record)):
        for bit in range(8):
            altered = bytearray(record)
            altered[position] ^= 1 << bit
            with pytest.raises(DamagedObject):
                decode(bytes(altered), sha)


def test_every_cut_of_a_record_is_noticed() -> None:
    sha = chunk_digest(array(2, rows=2))
    record = encode(array(2, rows=2), sha)
    for length in range(len(record)):
        with pytest.raises(DamagedObject):
            decode(record[:length], sha)


def test_a_sound_record_in_the_place_of_another_is_refused() -> None:
    sha = chunk_digest(array(1))
    with pytest.raises(DamagedObject, match="stands in its place"):
        decode(encode(array(1), sha), chunk_digest(array(2)))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(DamagedObject):
        decode(b"BVCR" + data, "00" * 32)


def write_pack(folder: Path, seeds: range) -> Path:
    writer = PackWriter(folder)
    for seed in seeds:
        writer.add(array(seed), chunk_digest(array(seed)))
    return pack_path(folder / "packs", writer.finish(folder / "packs"))


def test_a_pack_is_named_by_its_bytes_and_read_only(tmp_path: Path) -> None:
    path = write_pack(tmp_path, range(3))
    assert file_digest(path) == path.stem
    assert pack_names(tmp_path / "packs") == [path.stem]
    assert path.stat().st_mode & 0o222 == 0
    data = path.read_bytes()
    for entry, seed in zip(read_entries(path), range(3), strict=True):
        found = decode(data[entry.offset : entry.offset + entry.length], entry.sha)
        assert found.tobytes() == array(seed).tobytes()


def test_the_same_chunks_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, two = write_pack(tmp_path / "a", range(3)), write_pack(tmp_path / "b", range(3))
    assert one.name == two.name


def test_a_damaged_footer_is_noticed(tmp_path: Path) -> None:
    path = write_pack(tmp_path, range(2))
    data = path.read_bytes()
    path.chmod(0o644)
    for position in range(len(data) - 120, len(data)):
        altered = bytearray(data)
        altered[position] ^= 4
        path.write_bytes(altered)
        with pytest.raises(DamagedObject, match="footer"):
            read_entries(path)
    path.write_bytes(data[: -len(END)])
    with pytest.raises(DamagedObject, match="no footer"):
        read_entries(path)
