"""Where latents fire most, against a look at everything at once."""

from __future__ import annotations

import torch

from bvc.features.strongest import Place, Strongest


def _world(tokens: int, latents: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(3)
    codes = torch.rand((tokens, latents), generator=chance) - 0.7
    codes[:, 0] = 0
    window = torch.arange(tokens) // 40
    return codes.clamp(min=0), window, torch.arange(tokens) % 40


def _add_in_parts(strongest: Strongest, codes: torch.Tensor, window: torch.Tensor, position: torch.Tensor) -> None:
    for start in range(0, len(codes), 700):
        span = slice(start, start + 700)
        strongest.add(codes[span], window[span], position[span])


def test_counts_are_those_of_the_whole() -> None:
    codes, window, position = _world(5000, 9)
    strongest = Strongest(lambda x: x, 9, 3)
    _add_in_parts(strongest, codes, window, position)
    assert strongest.tokens == 5000
    assert torch.equal(strongest.rates, (codes > 0).double().mean(0))
    fired = (codes > 0).sum(0)
    assert torch.allclose(strongest.strengths, codes.double().sum(0) / fired.clamp(min=1))
    assert strongest.strengths[0] == 0


def test_places_are_the_best_of_the_best_windows() -> None:
    codes, window, position = _world(5000, 9)
    strongest = Strongest(lambda x: x, 9, 3)
    _add_in_parts(strongest, codes, window, position)
    for latent in range(1, 9):
        by_window = {int(w): codes[window == w, latent] for w in window.unique()}
        want = sorted(by_window, key=lambda w: -float(by_window[w].max()))[:3]
        found = strongest.places(latent)
        assert [place.window for place in found] == want
        assert found[0] == Place(float(by_window[want[0]].max()), want[0], int(by_window[want[0]].argmax()))


def test_a_dead_latent_has_no_places() -> None:
    codes, window, position = _world(500, 4)
    strongest = Strongest(lambda x: x, 4, 2)
    strongest.add(codes, window, position)
    assert strongest.places(0) == []
