"""The convolution kernels against sums written out tap by tap in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grilly_numpy.kernels import conv_plan
from grilly_numpy.kernels.conv import KERNELS, conv2d, conv2d_input_vjp, conv2d_weight_vjp
from grilly_numpy.kernels.windows import span

Array = np.ndarray[Any, np.dtype[Any]]

# (n, c, o, groups, size, kernel, stride, padding, dilation)
CASES = [
    (3, 1, 4, 1, (6, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    (2, 3, 5, 1, (7, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    (2, 20, 24, 1, (5, 7), (3, 3), (1, 1), (1, 1), (1, 1)),  # one product for each vertical tap
    (2, 20, 3, 1, (5, 7), (3, 3), (1, 1), (0, 0), (1, 1)),
    (2, 4, 6, 2, (8, 5), (3, 2), (2, 1), (1, 0), (1, 1)),
    (2, 30, 8, 1, (9, 9), (3, 3), (2, 2), (1, 1), (1, 1)),
    (1, 18, 4, 1, (11, 10), (4, 3), (3, 2), (2, 1), (2, 3)),
    (2, 3, 4, 1, (9, 8), (3, 3), (1, 1), (2, 2), (2, 2)),
    (2, 6, 6, 6, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),  # depthwise
    (2, 4, 8, 4, (7, 7), (5, 3), (2, 2), (2, 1), (1, 1)),
    (2, 5, 7, 1, (4, 6), (1, 1), (1, 1), (0, 0), (1, 1)),
    (2, 6, 9, 3, (4, 6), (1, 1), (1, 1), (0, 0), (1, 1)),
    (2, 5, 7, 1, (5, 5), (1, 1), (2, 2), (0, 0), (1, 1)),
    (2, 2, 3, 1, (5, 5), (1, 1), (1, 1), (2, 1), (1, 1)),  # more padding than the kernel reaches
    (1, 2, 3, 1, (4, 4), (4, 4), (1, 1), (0, 0), (1, 1)),
    (2, 1, 2, 1, (1, 9), (1, 5), (1, 1), (0, 2), (1, 1)),
    (2, 2, 2, 1, (8, 8), (2, 2), (3, 3), (0, 0), (1, 1)),  # input that no window reads
    (2, 2, 2, 1, (2, 3), (3, 7), (1, 1), (1, 3), (1, 1)),  # a kernel wider than the image
    (0, 3, 4, 1, (5, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    (0, 3, 16, 1, (5, 5), (3, 3), (2, 2), (1, 1), (1, 1)),
]


class Reference:
    """Forward and gradients, from the definition."""

    def __init__(self, case: Any, dtype: str = "float64") -> None:
        n, c, o, self.groups, self.size, self.kernel, self.stride, self.padding, self.dilation = case
        rng = np.random.default_rng(CASES.index(case) if case in CASES else 99)
        self.x = rng.standard_normal((n, c, *self.size)).astype(dtype)
        self.weight = rng.standard_normal((o, c // self.groups, *self.kernel)).astype(dtype)
        self.bias = rng.standard_normal(o).astype(dtype)
        out = [
            (self.size[i] + 2 * self.padding[i] - self.dilation[i] * (self.kernel[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in (0, 1)
        ]
        self.g = rng.standard_normal((n, o, *out)).astype(dtype)
        self.attributes = dict(
            stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups
        )
        self.y, self.gx, self.gw = self.compute()

    def compute(self) -> tuple[Array, Array, Array]:
        (ph, pw), (sh, sw), (dh, dw) = self.padding, self.stride, self.dilation
        padded = np.pad(self.x.astype(np.float64), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        weight, g = self.weight.astype(np.float64), self.g.astype(np.float64)
        y, gp, gw = np.zeros(g.shape), np.zeros(padded.shape), np.zeros(weight.shape)
        cg = weight.shape[1]
        per_group = len(weight) // self.groups
        for o in range(len(weight)):
            chans = slice(o // per_group * cg, (o // per_group + 1) * cg)
            for r in range(g.shape[2]):
                for q in range(g.shape[3]):
                    rows = slice(r * sh, r * sh + dh * (self.kernel[0] - 1) + 1, dh)
                    cols = slice(q * sw, q * sw + dw * (self.kernel[1] - 1) + 1, dw)
                    window = padded[:, chans, rows, cols]
                    y[:, o, r, q] = (window * weight[o]).sum(axis=(1, 2, 3)) + self.bias[o]
                    up = g[:, o, r, q][:, None, None, None]
                    gp[:, chans, rows, cols] += up * weight[o]
                    gw[o] += (up * window).sum(axis=0)
        return y, gp[:, :, ph : ph + self.size[0], pw : pw + self.size[1]], gw

    def check(self, x: Array, weight: Array, bias: Array, g: Array, tolerance: float) -> None:
        close: dict[str, Any] = dict(rtol=tolerance, atol=tolerance * 30)
        y = conv2d(None, x, weight, bias, **self.attributes)
        gx = conv2d_input_vjp(None, g, weight, input_size=self.size, **self.attributes)
        gw = conv2d_weight_vjp(None, g, x, kernel_size=self.kernel, **self.attributes)
        for got, expected in ((y, self.y), (gx, self.gx), (gw, self.gw)):
            assert got.dtype == x.dtype
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, **close)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
def test_matches_definition(case: Any, dtype: str, tolerance: float) -> None:
    reference = Reference(case, dtype)
    reference.check(reference.x, reference.weight, reference.bias, reference.g, tolerance)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_blocks_change_nothing(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv_plan, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(conv_plan, "_MIN_COLUMNS", 1)
    reference = Reference(case)
    reference.check(reference.x, reference.weight, reference.bias, reference.g, 1e-13)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("rows", [0, 10_000])
def test_one_product_or_one_for_each_row(case: Any, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv_plan, "_FOLD_ROWS", rows)
    reference = Reference(case)
    reference.check(reference.x, reference.weight, reference.bias, reference.g, 1e-13)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_strided_read_only_arguments(case: Any) -> None:
    def awkward(a: Array) -> Array:
        big = np.zeros((*a.shape[::-1], 2), a.dtype)
        big[..., 0] = a.T
        view = big[..., 0].T
        view.flags.writeable = False
        return view

    reference = Reference(case)
    x, weight, bias, g = map(awkward, (reference.x, reference.weight, reference.bias, reference.g))
    reference.check(x, weight, bias, g, 1e-13)


def test_no_bias() -> None:
    reference = Reference(CASES[1])
    y = conv2d(None, reference.x, reference.weight, None, **reference.attributes)
    np.testing.assert_allclose(y, reference.y - reference.bias[:, None, None], rtol=1e-12, atol=1e-12)


def test_same_bits_every_time() -> None:
    reference = Reference((40, 16, 16, 1, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1)), "float32")

    def results() -> list[bytes]:
        return [
            conv2d(None, reference.x, reference.weight, None, **reference.attributes).tobytes(),
            conv2d_weight_vjp(
                None, reference.g, reference.x, kernel_size=(3, 3), **reference.attributes
            ).tobytes(),
        ]

    first = results()
    assert all(results() == first for _ in range(3))


def test_special_values_pass_without_warning() -> None:
    x = np.array([[[[np.inf, -np.inf], [1e300, 1.0]]]])
    weight = np.full((1, 1, 1, 1), 1e300)
    attributes: dict[str, Any] = dict(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
    y = conv2d(None, x, weight, None, **attributes)
    assert y.ravel().tolist() == [np.inf, -np.inf, np.inf, 1e300]
    assert conv2d_weight_vjp(None, x, x, kernel_size=(1, 1), **attributes).item() == np.inf


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("offset", range(-7, 8))
def test_span(size: int, stride: int, offset: int) -> None:
    at, source = span(size, 4, offset, stride)
    pairs = [(o, o * stride + offset) for o in range(4) if 0 <= o * stride + offset < size]
    assert list(zip(range(4)[at], range(size)[source], strict=True)) == pairs


def test_table() -> None:
    assert set(KERNELS) == {"conv2d", "conv2d_input_vjp", "conv2d_weight_vjp"}
