"""The index's LMDB environment: each of LMDB's traps, and that doubt always ends in forgetting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest

from bvc.store.environment import MAP_SIZE, Environment
from bvc.store.layout import Layout
from bvc.store.seal import is_sealed

ROWS = [(b"x%03d" % n, b"value %d" % n * 20) for n in range(200)]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / ".bvc")
    made.create("main")
    return made


@pytest.fixture
def environment(layout: Layout) -> Iterator[Environment]:
    made = Environment(layout)
    made.put(ROWS)
    yield made
    made.close()


def raw(layout: Layout) -> Any:
    return lmdb.open(str(layout.index), map_size=MAP_SIZE, max_dbs=8)


def answers(layout: Layout, rows: list[tuple[bytes, bytes]] = ROWS) -> list[bytes | None]:
    made = Environment(layout)
    try:
        return made.get_many(key for key, _ in rows)
    finally:
        made.close()


def test_what_is_put_is_found(environment: Environment) -> None:
    assert environment.get(b"x007") == dict(ROWS)[b"x007"]
    assert environment.get(b"absent") is None
    assert environment.scan(b"x01") == ROWS[10:20]
    assert environment.get_many([b"x001", b"no", b"x002"]) == [ROWS[1][1], None, ROWS[2][1]]


def test_update_sees_the_value_before(environment: Environment) -> None:
    environment.update(b"n", lambda value: (value or b"") + b"a")
    environment.update(b"n", lambda value: (value or b"") + b"b")
    assert environment.get(b"n") == b"ab"


def test_synced_and_sparse(environment: Environment, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.close()
    opened: list[dict[str, Any]] = []
    real = lmdb.open

    def spy(*arguments: Any, **options: Any) -> Any:
        made = real(*arguments, **options)
        opened.append({**made.flags(), "map_size": made.info()["map_size"]})
        return made

    monkeypatch.setattr(lmdb, "open", spy)
    assert environment.get(b"x000") is not None
    flags = opened[0]
    assert (flags["sync"], flags["metasync"], flags["writemap"]) == (True, True, False)
    assert flags["map_size"] == MAP_SIZE
    assert (layout.index / "data.mdb").stat().st_blocks * 512 < 1 << 20


def test_stores_in_one_process_share_one_environment(environment: Environment, layout: Layout) -> None:
    other = Environment(layout)
    other.put([(b"y", b"1")])
    assert environment.get(b"y") == b"1"
    other.close()
    assert environment.get(b"y") == b"1"


def test_one_environment_under_two_names(environment: Environment, layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(layout.root)
    other = Environment(Layout(tmp_path / "link"))
    other.put([(b"y", b"1")])
    assert environment.get(b"y") == b"1"
    assert other.get(b"x001") == ROWS[1][1]
    other.close()


def test_an_environment_opened_by_someone_else_is_left_as_it_is(environment: Environment, layout: Layout) -> None:
    environment.close()
    with raw(layout):
        assert environment.get(b"x001") is None
        with pytest.raises(OSError, match="busy"):
            environment.put([(b"y", b"1")])
        environment.close()
    assert environment.get(b"x001") == ROWS[1][1]


def test_lmdb_refuses_a_second_opening(environment: Environment, layout: Layout) -> None:
    assert environment.get(b"x000") is not None
    with pytest.raises(lmdb.Error, match="already open"):
        raw(layout)


def test_both_sides_of_a_fork_go_on(environment: Environment) -> None:
    assert environment.get(b"x000") is not None
    child = os.fork()
    if child == 0:
        environment.put([(b"child", b"was here")])
        os._exit(0 if environment.get(b"x001") == ROWS[1][1] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert environment.get(b"child") == b"was here"
    environment.put([(b"parent", b"too")])
    assert environment.get(b"parent") == b"too"


def test_values_outlive_the_environment(environment: Environment, layout: Layout) -> None:
    value = environment.get(b"x001")
    environment.close()
    (layout.index / "data.mdb").write_bytes(b"")
    assert value == ROWS[1][1]


def test_a_killed_reader_gives_its_slot_back(layout: Layout, environment: Environment) -> None:
    environment.close()
    code = f"import lmdb, sys; e = lmdb.open({str(layout.index)!r}, map_size={MAP_SIZE}, max_dbs=8)\n"
    code += "t = e.begin(); t.get(b'x'); print(len(e.readers().splitlines()), flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as reader:  # type: ignore[call-overload]
        assert reader.stdout.readline().strip() == b"2"
        os.kill(reader.pid, signal.SIGKILL)
    reopened = Environment(layout)
    assert reopened.get(b"x001") == ROWS[1][1]
    reopened.close()
    with raw(layout) as checked:
        assert "no active readers" in checked.readers()


def test_a_flipped_bit_in_a_value_is_a_miss(environment: Environment, layout: Layout) -> None:
    environment.close()
    path = layout.index / "data.mdb"
    data = path.read_bytes()
    path.write_bytes(data.replace(ROWS[5][1], b"w" + ROWS[5][1][1:]))
    assert answers(layout) == [None if n == 5 else value for n, (_, value) in enumerate(ROWS)]


def test_a_value_under_another_key_is_a_miss(environment: Environment, layout: Layout) -> None:
    environment.close()
    with raw(layout) as opened, opened.begin(write=True) as transaction:
        transaction.put(b"x000", transaction.get(b"x001"))
    assert answers(layout)[:2] == [None, ROWS[1][1]]


def test_another_version_is_replaced(environment: Environment, layout: Layout) -> None:
    environment.close()
    with raw(layout) as opened, opened.begin(write=True) as transaction:
        transaction.put(b"v", b"of another time")
    assert answers(layout) == [None] * len(ROWS)
    made = Environment(layout)
    made.put(ROWS)
    made.close()
    assert answers(layout) == [value for _, value in ROWS]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.99])
def test_a_truncated_file_is_replaced(environment: Environment, layout: Layout, share: float) -> None:
    environment.close()
    path = layout.index / "data.mdb"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert answers(layout) == [None] * len(ROWS)
    made = Environment(layout)
    made.put(ROWS)
    assert made.get(b"x001") == ROWS[1][1]
    made.close()


def test_a_file_of_something_else_is_replaced(environment: Environment, layout: Layout) -> None:
    environment.close()
    (layout.index / "data.mdb").write_bytes(b"not LMDB" * 4096)
    assert answers(layout) == [None] * len(ROWS)


def test_a_file_deleted_under_a_running_process_is_made_again(environment: Environment, layout: Layout) -> None:
    assert environment.get(b"x000") is not None
    (layout.index / "data.mdb").unlink()
    environment.put([(b"new", b"1")])
    assert answers(layout, [(b"new", b"")]) == [b"1"]


def test_replace_empties_it_for_everyone_here(environment: Environment, layout: Layout) -> None:
    other = Environment(layout)
    assert other.get(b"x000") is not None
    environment.replace()
    assert other.get(b"x000") is None
    other.put(ROWS)
    assert environment.get(b"x000") == ROWS[0][1]
    other.close()


def test_entries_tell_damaged_ones(environment: Environment, layout: Layout) -> None:
    environment.close()
    path = layout.index / "data.mdb"
    path.write_bytes(path.read_bytes().replace(ROWS[5][1], b"w" + ROWS[5][1][1:]))
    made = Environment(layout)
    assert [key for key, value in made.entries() if value is None] == [b"x005"]
    made.close()


def test_a_file_that_lmdb_could_die_of_is_replaced_unopened(layout: Layout, environment: Environment) -> None:
    """Node sizes in a leaf page, made enormous: LMDB would read far beyond the file."""
    environment.close()
    path = layout.index / "data.mdb"
    data = bytearray(path.read_bytes())
    for page in range(2 * 4096, len(data), 4096):
        for pointer in range(page + 16, page + 16 + 20, 2):
            node = page + int.from_bytes(data[pointer : pointer + 2], "little")
            if page < node < page + 4088:
                data[node + 3] |= 0x40
    path.write_bytes(data)
    assert answers(layout) == [None] * len(ROWS)
    made = Environment(layout)
    made.put(ROWS)
    made.close()
    assert answers(layout) == [value for _, value in ROWS]


def test_a_missing_checksum_is_made_again(layout: Layout, environment: Environment) -> None:
    environment.close()
    (layout.index / "check").unlink()
    assert answers(layout) == [value for _, value in ROWS]
    assert is_sealed(layout.index)
    (layout.index / "check").write_bytes(b"nonsense")
    assert not is_sealed(layout.index)
    assert answers(layout) == [value for _, value in ROWS]


def test_a_reader_does_not_wait_for_a_writer(layout: Layout, environment: Environment) -> None:
    environment.close()
    (layout.index / "check").unlink()
    with environment.exclusive():
        assert answers(layout) == [value for _, value in ROWS]
