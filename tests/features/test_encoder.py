"""Encoding while a model runs: a probe's numbers are its own, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bvc.evidence import FeatureBlock
from bvc.features import encoder as encoder_module
from bvc.features.dictionary import Dictionary
from bvc.features.encoder import DictionaryEncoder, decode_sparse
from tests.features.toy import random_dictionary

WIDTH, LATENTS = 24, 60


def stream(rows: int, positions: int, seed: int = 0) -> torch.Tensor:
    return torch.randn((rows, positions, WIDTH), generator=torch.Generator().manual_seed(seed)) * 2


def mask(*texts: str) -> torch.Tensor:
    """ "..xx" : two positions of padding, then two that count."""
    return torch.tensor([[letter == "x" for letter in text] for text in texts])


def same(a: FeatureBlock, b: FeatureBlock) -> bool:
    names = ("lengths", *FeatureBlock.BY_PROBE, *FeatureBlock.FIELDS)
    return all(
        getattr(a, name).dtype == getattr(b, name).dtype and np.array_equal(getattr(a, name), getattr(b, name))
        for name in names
    )


def expected(dictionary: Dictionary, x: torch.Tensor) -> dict[int, tuple[int, float, float, int]]:
    """Latent: positions, largest value, sum and place of the largest, for one probe's positions x [p, d]."""
    f = dictionary.encode(x).double()
    return {
        j: (int((f[:, j] > 0).sum()), float(f[:, j].max()), float(f[:, j].sum()), int(f[:, j].argmax()))
        for j in range(LATENTS)
        if (f[:, j] > 0).any()
    }


@pytest.mark.parametrize("kind", ["jumprelu", "topk", "relu", "batchtopk"])
def test_a_block_says_what_its_fields_mean(kind: str) -> None:
    dictionary = random_dictionary(kind)
    x, held = stream(3, 9), mask("xxxxxxxxx", "....xxxxx", ".xxx.x...")
    block = DictionaryEncoder(dictionary).encode(x, held)
    assert block.positions.tolist() == [9, 5, 4]
    for probe in range(3):
        own, row = x[probe, held[probe]], block.rows(probe, probe + 1)
        truth = expected(dictionary, own)
        assert row.latent.tolist() == sorted(truth)
        assert row.fired.tolist() == [truth[j][0] for j in sorted(truth)]
        assert row.strongest == pytest.approx([truth[j][1] for j in sorted(truth)], rel=1e-5)
        assert row.total == pytest.approx([truth[j][2] for j in sorted(truth)], rel=1e-5)
        assert row.peak.tolist() == [truth[j][3] for j in sorted(truth)]
        centered = own * dictionary.spec.scale - dictionary.weights["decoder_bias"]
        missed = own * dictionary.spec.scale - dictionary.decode(dictionary.encode(own)) * dictionary.spec.scale
        assert float(row.energy[0]) == pytest.approx(float(centered.square().sum(1).mean()), rel=1e-5)
        assert float(row.missed[0]) == pytest.approx(float(missed.square().sum(1).mean()), rel=1e-4)


def test_types_are_those_of_the_record() -> None:
    block = DictionaryEncoder(random_dictionary()).encode(stream(2, 5), torch.ones(2, 5, dtype=torch.bool))
    types = {name: str(getattr(block, name).dtype) for name in ("lengths", *block.BY_PROBE, *block.FIELDS)}
    assert types == {
        "lengths": "int64",
        "positions": "uint32",
        "energy": "float32",
        "missed": "float32",
        "latent": "uint32",
        "fired": "uint16",
        "strongest": "float32",
        "total": "float32",
        "peak": "uint16",
    }


@pytest.mark.parametrize("garbage", [0.0, 1e30, math.inf, -math.inf, math.nan])
def test_padding_does_not_enter(garbage: float) -> None:
    encoder = DictionaryEncoder(random_dictionary())
    x, held = stream(3, 9), mask("xxxxxxxxx", "....xxxxx", ".xxx.x...")
    clean = encoder.encode(x, held)
    dirty = torch.where(held[..., None], x, torch.full_like(x, garbage))
    assert same(encoder.encode(dirty, held), clean)


def test_neighbors_and_the_shape_of_the_batch_do_not_enter() -> None:
    encoder = DictionaryEncoder(random_dictionary(width=WIDTH, latents=LATENTS))
    x, lengths = stream(16, 40), [1, 2, 3, 5, 7, 8, 11, 13, 16, 17, 23, 29, 31, 32, 39, 40]
    held = torch.arange(40)[None, :] < torch.tensor(lengths)[:, None]
    together = encoder.encode(x, held)
    for row, length in enumerate(lengths):
        alone = encoder.encode(x[row : row + 1], held[row : row + 1])
        assert same(alone, together.rows(row, row + 1))
        assert same(encoder.encode(x[row : row + 1, :length], held[row : row + 1, :length]), alone)
    padded_left = torch.cat([stream(16, 25, seed=9), x], dim=1)
    held_left = torch.cat([torch.zeros(16, 25, dtype=torch.bool), held], dim=1)
    assert same(encoder.encode(padded_left, held_left), together)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    shuffled = encoder.encode(x[order], held[order])
    assert all(same(shuffled.rows(i, i + 1), together.rows(int(j), int(j) + 1)) for i, j in enumerate(order))


def test_probes_that_fire_nothing_or_hold_nothing() -> None:
    dictionary = random_dictionary(weights=dict(random_dictionary().weights) | {"threshold": torch.full((60,), 1e6)})
    block = DictionaryEncoder(dictionary).encode(stream(2, 4), mask("xxxx", "...."))
    assert block.lengths.tolist() == [0, 0]
    assert block.positions.tolist() == [4, 0]
    assert block.energy[0] > 0
    assert block.missed[0] == pytest.approx(block.energy[0])
    assert (block.energy[1], block.missed[1]) == (0, 0)
    assert len(DictionaryEncoder(dictionary).encode(stream(1, 4)[:0], mask("xxxx")[:0])) == 0


def test_long_probes_are_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = DictionaryEncoder(random_dictionary())
    x, held = stream(2, 700), torch.ones(2, 700, dtype=torch.bool)
    held[1, 300:] = False
    chunked = encoder.encode(x, held)
    monkeypatch.setattr(encoder_module, "_CHUNK", 1000)
    whole = encoder.encode(x, held)
    for name in ("lengths", "positions", "latent", "fired", "peak"):
        assert np.array_equal(getattr(chunked, name), getattr(whole, name)), name
    for name in ("energy", "missed", "strongest", "total"):
        np.testing.assert_allclose(getattr(chunked, name), getattr(whole, name), rtol=1e-5)


def test_of_equal_peaks_the_first_counts() -> None:
    encoder = DictionaryEncoder(random_dictionary())
    x = stream(1, 1).expand(1, 600, WIDTH)
    block = encoder.encode(x, torch.ones(1, 600, dtype=torch.bool))
    assert len(block.peak)
    assert block.peak.tolist() == [0] * len(block.peak)
    assert block.fired.tolist() == [600] * len(block.peak)


def test_half_precision_streams_are_read_as_float32() -> None:
    encoder, held = DictionaryEncoder(random_dictionary()), torch.ones(2, 5, dtype=torch.bool)
    x = stream(2, 5).to(torch.bfloat16)
    assert same(encoder.encode(x, held), encoder.encode(x.float(), held))


def test_it_says_what_it_reads() -> None:
    dictionary = random_dictionary()
    encoder = DictionaryEncoder(dictionary)
    assert (encoder.layer, encoder.digest) == ("layer.03", dictionary.spec.digest)


@pytest.mark.parametrize("shape", [(2, 5, WIDTH + 1), (2, 6, WIDTH), (2, 70_000, WIDTH)])
def test_streams_that_do_not_fit_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        held = torch.ones(2, 70_000 if shape[1] == 70_000 else 5, dtype=torch.bool)
        DictionaryEncoder(random_dictionary()).encode(torch.zeros(1, 1, 1).expand(shape), held)


def test_gradients_of_the_model_are_left_alone() -> None:
    x = stream(1, 4).requires_grad_()
    DictionaryEncoder(random_dictionary()).encode(x, torch.ones(1, 4, dtype=torch.bool))
    assert x.grad is None


def test_sparse_decoding_is_the_dense_product() -> None:
    generator = torch.Generator().manual_seed(0)
    f = torch.rand((20, 60), generator=generator) * (torch.rand((20, 60), generator=generator) < 0.2)
    f[3] = 0
    f[19] = 0
    decoder = torch.randn((60, 24), generator=generator)
    torch.testing.assert_close(decode_sparse(f, decoder), f @ decoder)
