"""P4, P5: writers on one branch, readers beside them."""

from __future__ import annotations

import threading

from bvc.store.fsck import fsck
from bvc.store.store import Store
from tests.store.build import MAIN, add_commit, array
from tests.torture.crowd import check_all_reachable, end_reader, end_writer, soak, start_reader, start_writer


def test_two_processes_on_one_branch(store: Store) -> None:
    writers = [start_writer(store.root, name, 6) for name in ("left", "right")]
    reader = start_reader(store.root)
    commits = [end_writer(writer) for writer in writers]
    assert [len(found) for found in commits] == [6, 6]
    assert end_reader(reader) >= 1
    check_all_reachable(store.root, commits[0] + commits[1])


def test_a_few_kills_beside_readers(store: Store) -> None:
    commits, kills, _ = soak(store.root, kills=2, seed=3)
    assert kills == 6
    assert commits >= 0


def test_a_reader_sees_old_or_new_never_half(store: Store) -> None:
    """While a transaction is open, others see none of it, and are not kept waiting."""
    first = add_commit(store, "m0")
    with Store.open(store.root) as reader, store.begin() as transaction:
        transaction.blob(b"new")
        sha = transaction.chunk(array(9))
        assert reader.refs.head().commit == first
        assert [i.id for i in reader.history.walk([first])] == [first]
        assert not reader.chunks.has(sha)
        assert fsck(reader).problems == ()


def test_threads_of_one_process(store: Store) -> None:
    found: list[str] = []
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with Store.open(store.root) as mine:
                found.extend(add_commit(mine, f"t{number}-{n}") for n in range(4))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {i.id for i in store.history.walk([str(store.refs.get(MAIN))])} == set(found)
    assert len(found) == 12
