"""The logarithm of the Gamma function beside the standard library's."""

from __future__ import annotations

import math

import numpy as np

from bvc.compare.gamma import log_gamma


def test_it_is_that_of_the_standard_library() -> None:
    values = np.concatenate([np.linspace(0.25, 5, 40), [64.0, 1e3, 1e6]])
    errors = np.abs(log_gamma(values) - [math.lgamma(v) for v in values])
    assert errors.max() <= 3e-6
    assert errors[values >= 1].max() <= 1e-6
