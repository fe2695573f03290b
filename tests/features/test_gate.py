"""The ridge gate: on codes whose origin is known, and how often its interval has the truth in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from bvc.features.gate import BLOCKS, GateBatch, Gated, GatePlan, Standing, blocks_of, gate

ROWS = 6000


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sparse_codes(x: Tensor, latents: int, seed: int = 9) -> Tensor:
    """Codes [n, latents] that fire on about one row in sixteen."""
    rows = drawn(seed, latents, x.shape[1])
    return (x @ (rows / rows.norm(dim=-1, keepdim=True)).T - 1.5).relu()


def cut(codes: Tensor, own: Tensor, other: Tensor, texts: Tensor, size: int) -> Iterator[GateBatch]:
    for part in torch.arange(len(codes)).split(size):  # type: ignore[no-untyped-call]
        yield GateBatch(codes[part], own[part], other[part], texts[part])


def judged(
    codes: Tensor,
    own: Tensor,
    other: Tensor,
    *,
    texts: Tensor | None = None,
    size: int = 1000,
    plan: GatePlan | None = None,
) -> list[Gated]:
    numbers = torch.arange(len(codes)) if texts is None else texts
    return gate(partial(cut, codes, own, other, numbers, size), plan)


def standings(found: list[Gated]) -> set[Standing]:
    return {each.standing for each in found}


def test_codes_are_shared_with_the_same_activations_and_with_a_linear_map_of_them() -> None:
    x = drawn(0, ROWS, 12)
    mapping = drawn(1, 12, 12) @ torch.diag(torch.logspace(0, 2, 12)) @ drawn(2, 12, 20)
    codes = sparse_codes(x, 10)
    for other in (x, x @ mapping + 5):
        found = judged(codes, x, other)
        assert standings(found) == {Standing.SHARED}
        assert all(0.96 < each.nu < 1.04 and each.low <= each.nu <= each.high for each in found)
        assert all(each.own > 0.1 for each in found)


def test_codes_of_what_the_other_lacks_are_exclusive() -> None:
    x = drawn(0, ROWS, 12)
    found = judged(sparse_codes(x, 10), x, drawn(5, ROWS, 30))
    assert standings(found) == {Standing.EXCLUSIVE}
    assert all(abs(each.nu) < 0.1 and each.high < 0.2 for each in found)


def test_the_other_side_is_judged_on_texts_it_was_not_fitted_on() -> None:
    """With as many dimensions as rows a fit without a held-out half explains everything."""
    x = drawn(0, 900, 8)
    found = judged(sparse_codes(x, 5), x, drawn(5, 900, 400))
    assert all(each.other < 0.1 for each in found)


def test_latents_that_fire_too_rarely_are_undecided() -> None:
    x = drawn(0, ROWS, 12)
    codes = torch.zeros(ROWS, 2)
    codes[::200, 0] = 5 + x[::200, 0].abs()
    codes[:, 1] = (x[:, 1] - 1).relu()
    x[:, 0] = codes[:, 0]
    rare, common = judged(codes, x, drawn(5, ROWS, 12), plan=GatePlan(firings=20))
    assert (rare.standing, common.standing) == (Standing.UNDECIDED, Standing.EXCLUSIVE)
    assert 0 < rare.firings < 20 < common.firings
    assert rare.own > 0.9
    eager = judged(codes, x, drawn(5, ROWS, 12), plan=GatePlan(firings=5))[0]
    assert eager.standing is Standing.EXCLUSIVE


def test_a_code_that_neither_side_explains_is_undecided() -> None:
    codes = (drawn(7, ROWS, 40) - 1.5).relu()
    found = judged(codes, drawn(0, ROWS, 12), drawn(1, ROWS, 12))
    assert standings(found) == {Standing.UNDECIDED}


def test_a_latent_that_never_fires_is_undecided() -> None:
    assert [each.standing for each in judged(torch.zeros(500, 1), drawn(0, 500, 4), drawn(1, 500, 4))] == ["undecided"]


def test_batches_make_no_difference() -> None:
    x, other = drawn(0, ROWS, 12), drawn(0, ROWS, 12)[:, :6]
    codes = sparse_codes(x, 6)
    for one, two in zip(judged(codes, x, other, size=64), judged(codes, x, other, size=ROWS), strict=True):
        assert abs(one.nu - two.nu) < 1e-9
        assert one.firings == two.firings


def test_the_text_is_the_unit_not_the_row() -> None:
    x = drawn(0, ROWS, 6)
    other = torch.cat([x[:, :3], drawn(1, ROWS, 3)], dim=1)
    codes, many = sparse_codes(x, 8), torch.arange(ROWS).repeat_interleave(10)
    plain = judged(codes, x, other)
    repeated = [side.repeat_interleave(10, dim=0) for side in (codes, x, other)]
    clustered = judged(*repeated, texts=many)
    rows = judged(*repeated)
    widths = [sum(e.high - e.low for e in found) for found in (plain, clustered, rows)]
    assert 0.8 < widths[1] / widths[0] < 1.25
    assert widths[2] < 0.5 * widths[1]


def test_blocks_scatter_texts_evenly() -> None:
    counts = blocks_of(torch.arange(25_600)).bincount(minlength=BLOCKS)
    assert int(counts.min()) > 80
    assert int(counts.max()) < 120
    assert int(blocks_of(torch.tensor([2**40, 0, 10**12])).max()) < BLOCKS


def test_nothing_to_judge_gives_nothing() -> None:
    assert judged(torch.zeros(50, 0), drawn(0, 50, 3), drawn(1, 50, 3)) == []
    assert gate(lambda: iter(())) == []


def truth(codes: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """nu [c] of the whole population, by least squares on very many rows."""
    explained = []
    for side in (own, other):
        x, f = side - side.mean(0), codes - codes.mean(0)
        made = x @ torch.linalg.lstsq(x, f).solution
        explained.append(1 - (f - made).square().sum(0) / f.square().sum(0))
    return explained[1] / explained[0]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held, total = 0, 0
    noise = 0.8
    x = drawn(100, 200_000, 8)
    other = x + noise * drawn(101, 200_000, 8)
    expected = truth(sparse_codes(x, 24), x, other)
    assert 0.4 < float(expected.mean()) < 0.8
    for trial in range(40):
        mine = drawn(1000 + trial, 8000, 8)
        found = judged(sparse_codes(mine, 24), mine, mine + noise * drawn(2000 + trial, 8000, 8))
        held += sum(each.low <= nu <= each.high for each, nu in zip(found, expected.tolist(), strict=True))
        total += len(found)
    assert 0.91 <= held / total <= 0.98
