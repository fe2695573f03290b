"""Walks over made-up commit graphs, against definitions written out in full."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bvc.store.graph import is_ancestor, merge_bases, walk
from bvc.store.index import Node

Graph = dict[str, Node]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to a dozen commits with up to three parents each, and clocks that go wrong."""
    graph: Graph = {}
    for number in range(draw(st.integers(1, 12))):
        earlier = list(graph)
        parents = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True)) if earlier else []
        generation = 1 + max((graph[p].generation for p in parents), default=-1)
        graph[f"c{number:02d}"] = Node(generation, draw(st.integers(0, 5)), tuple(parents))
    return graph


def ancestors(graph: Graph, start: str) -> set[str]:
    found = {start}
    for parent in graph[start].parents:
        found |= ancestors(graph, parent)
    return found


@given(graphs(), st.data())
def test_walk_gives_all_ancestors_once_children_first(graph: Graph, data: st.DataObject) -> None:
    starts = data.draw(st.lists(st.sampled_from(sorted(graph)), min_size=1, max_size=3))
    order = list(walk(starts, graph.__getitem__))
    assert set(order) == set().union(*(ancestors(graph, s) for s in starts))
    assert len(order) == len(set(order))
    place = {oid: number for number, oid in enumerate(order)}
    assert all(place[oid] < place[parent] for oid in order for parent in graph[oid].parents)


@given(graphs(), st.data())
def test_walk_leaves_out_all_that_is_hidden(graph: Graph, data: st.DataObject) -> None:
    """Against `git rev-list` in sets: what the starts reach without what the hidden ones reach."""
    some = st.lists(st.sampled_from(sorted(graph)), max_size=3)
    starts, hidden = data.draw(some), data.draw(some)
    below: set[str] = set().union(*(ancestors(graph, oid) for oid in hidden))
    expected = [oid for oid in walk(starts, graph.__getitem__) if oid not in below]
    assert list(walk(starts, graph.__getitem__, hidden)) == expected


@given(graphs(), st.data())
def test_without_their_merge_bases_two_commits_reach_their_symmetric_difference(
    graph: Graph, data: st.DataObject
) -> None:
    a, b = (data.draw(st.sampled_from(sorted(graph))) for _ in range(2))
    node = graph.__getitem__
    assert set(walk([a, b], node, merge_bases(a, b, node))) == ancestors(graph, a) ^ ancestors(graph, b)


@given(graphs(), st.data())
def test_walk_takes_the_newest_of_those_whose_children_are_out(graph: Graph, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from(sorted(graph)))
    within = ancestors(graph, start)
    done: set[str] = set()
    for oid in walk([start], graph.__getitem__):
        free = [c for c in within - done if all(c not in graph[d].parents for d in within - done)]
        assert graph[oid].date == max(graph[c].date for c in free)
        done.add(oid)


@given(graphs(), st.data())
def test_merge_bases_are_the_best_common_ancestors(graph: Graph, data: st.DataObject) -> None:
    a, b = (data.draw(st.sampled_from(sorted(graph))) for _ in range(2))
    common = ancestors(graph, a) & ancestors(graph, b)
    best = {c for c in common if not any(c in ancestors(graph, other) - {other} for other in common)}
    assert set(merge_bases(a, b, graph.__getitem__)) == best


@given(graphs(), st.data())
def test_is_ancestor(graph: Graph, data: st.DataObject) -> None:
    a, b = (data.draw(st.sampled_from(sorted(graph))) for _ in range(2))
    assert is_ancestor(a, b, graph.__getitem__) == (a in ancestors(graph, b))


def counting(graph: Graph, seen: set[str]) -> Callable[[str], Node]:
    def node(oid: str) -> Node:
        seen.add(oid)
        return graph[oid]

    return node


def line(length: int) -> Graph:
    return {f"c{n:04d}": Node(n, n, (f"c{n - 1:04d}",) if n else ()) for n in range(length)}


def test_a_short_walk_reads_little() -> None:
    seen: set[str] = set()
    steps = walk(["c0999"], counting(line(1000), seen))
    assert [next(steps) for _ in range(20)] == [f"c{n:04d}" for n in range(999, 979, -1)]
    assert len(seen) < 25


def test_near_questions_read_little() -> None:
    seen: set[str] = set()
    node = counting(line(1000), seen)
    assert merge_bases("c0999", "c0990", node) == ["c0990"]
    assert is_ancestor("c0990", "c0999", node)
    assert not is_ancestor("c0999", "c0990", node)
    assert list(walk(["c0999"], node, ["c0990"])) == [f"c{n:04d}" for n in range(999, 990, -1)]
    assert len(seen) < 25
