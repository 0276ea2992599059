"""Convolution and pooling layers against loops."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from layer_checks import check_layer, normal

import grilly.functional as F
from grilly import nn
from grilly.errors import ArgumentError, ShapeError


def conv(
    x: np.ndarray, weight: np.ndarray, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> np.ndarray:
    """Convolution over any number of spatial axes, one output at a time."""
    axes = x.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    kernel = weight.shape[2:]
    extents = [(x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(axes)]
    out = np.zeros((x.shape[0], weight.shape[0], *extents))
    per_in, per_out = weight.shape[1], weight.shape[0] // groups
    for o in range(weight.shape[0]):
        first = o // per_out * per_in
        for place in itertools.product(*map(range, extents)):
            seen = tuple(
                slice(p * s, p * s + d * (k - 1) + 1, d)
                for p, s, d, k in zip(place, stride, dilation, kernel, strict=True)
            )
            window = x[(slice(None), slice(first, first + per_in), *seen)]
            out[(slice(None), o, *place)] = (window * weight[o]).sum(axis=tuple(range(1, window.ndim)))
            if bias is not None:
                out[(slice(None), o, *place)] += bias[o]
    return out


SETTINGS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"stride": 2, "padding": 1},
    {"padding": 2, "dilation": 2},
    {"groups": 2, "padding": 1},
    {"groups": 4, "stride": 3},
]


def whole(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("axes", [1, 2])
def test_convolution(axes: int, settings: dict[str, Any]) -> None:
    layer = (nn.Conv1d if axes == 1 else nn.Conv2d)(4, 8, 3, **settings)
    layer.to(dtype="float64")
    x = normal(2, 4, 9, *(7,) * (axes - 1))
    attrs = {
        name: settings.get(name, usual) for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1))
    }
    groups = settings.get("groups", 1)
    bias = None if layer.bias is None else layer.bias.numpy()
    wanted = conv(x, layer.weight.numpy(), bias, *(whole(v, axes) for v in attrs.values()), groups)
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-12, atol=1e-12)
    function = F.conv1d if axes == 1 else F.conv2d
    np.testing.assert_allclose(
        function(x, layer.weight, layer.bias, **attrs, groups=groups), wanted, rtol=1e-12, atol=1e-12
    )


def test_convolution_with_a_setting_per_axis() -> None:
    layer = nn.Conv2d(2, 3, (1, 3), stride=(2, 1), padding=[0, 2], dilation=(1, 2)).to(dtype="float64")
    x = normal(2, 2, 6, 7)
    wanted = conv(x, layer.weight.numpy(), layer.bias.numpy(), (2, 1), (0, 2), (1, 2), 1)
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("settings", SETTINGS[2:5], ids=str)
def test_gradients_of_convolution(settings: dict[str, Any]) -> None:
    check_layer(nn.Conv1d(4, 4, 3, **settings), normal(2, 4, 8))
    check_layer(nn.Conv2d(4, 4, 3, **settings), normal(2, 4, 7, 6))
    check_layer(nn.Conv2d(4, 4, 3, **settings, step_mode="m"), normal(2, 2, 4, 7, 6))


def pool(x: np.ndarray, kernel: Any, stride: Any, padding: Any, function: Any, fill: float) -> np.ndarray:
    """Pooling over the last axes, one window at a time."""
    axes = len(kernel)
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], constant_values=fill)
    extents = [(x.shape[2 + i] - kernel[i]) // stride[i] + 1 for i in range(axes)]
    out = np.zeros((*x.shape[:2], *extents))
    for place in itertools.product(*map(range, extents)):
        seen = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, stride, kernel, strict=True))
        out[(..., *place)] = function(x[(..., *seen)], axis=tuple(range(2, 2 + axes)))
    return out


WINDOWS: list[tuple[Any, Any, Any]] = [(2, None, 0), (3, 2, 1), (3, 1, 0), (2, 3, 1)]


@pytest.mark.parametrize("kernel, stride, padding", WINDOWS)
@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("name", ["Max", "Avg"])
def test_pooling(name: str, axes: int, kernel: int, stride: int | None, padding: int) -> None:
    x = normal(2, 3, 9, *(8,) * (axes - 1))
    layer = getattr(nn, f"{name}Pool{axes}d")(kernel, stride, padding)
    function, fill = (np.max, -np.inf) if name == "Max" else (np.mean, 0.0)
    step = kernel if stride is None else stride
    wanted = pool(x, (kernel,) * axes, (step,) * axes, (padding,) * axes, function, fill)
    layer.to(dtype="float64")
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-12)
    if axes == 2:
        named = F.max_pool2d if name == "Max" else F.avg_pool2d
        np.testing.assert_allclose(named(x, kernel, stride, padding), wanted, rtol=1e-12)
    check_layer(layer, x)


def test_pooling_with_a_setting_per_axis() -> None:
    x = normal(1, 2, 7, 6)
    wanted = pool(x, (3, 2), (1, 2), (1, 0), np.max, -np.inf)
    np.testing.assert_array_equal(nn.MaxPool2d((3, 2), (1, 2), (1, 0)).to(dtype="float64")(x), wanted)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11])
def test_adaptive_pooling(size: int) -> None:
    x = normal(2, 3, 7)
    stretches = [x[..., i * 7 // size : -(-(i + 1) * 7 // size)].mean(-1) for i in range(size)]
    layer = nn.AdaptiveAvgPool1d(size).to(dtype="float64")
    np.testing.assert_allclose(layer(x), np.stack(stretches, -1), rtol=1e-12)
    check_layer(layer, x)
    square = normal(2, 3, 7, 5)
    wanted = np.stack([square[..., 0:4, :].mean(-2), square[..., 3:7, :].mean(-2)], -2)
    wide = F.adaptive_avg_pool2d(square, (2, 5))
    np.testing.assert_allclose(wide, wanted, rtol=1e-12)
    check_layer(nn.AdaptiveAvgPool2d((2, size)), square)


LAYERS = [
    lambda **k: nn.Conv1d(2, 3, 2, **k),
    lambda **k: nn.MaxPool1d(2, **k),
    lambda **k: nn.AvgPool1d(2, **k),
    lambda **k: nn.AdaptiveAvgPool1d(2, **k),
    lambda **k: nn.Conv2d(2, 3, 2, **k),
    lambda **k: nn.MaxPool2d(2, **k),
    lambda **k: nn.AvgPool2d(2, **k),
    lambda **k: nn.AdaptiveAvgPool2d(2, **k),
    lambda **k: nn.BatchNorm2d(2, **k),
]


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_multi_step_mode_equals_single_steps(number: int) -> None:
    x = np.random.default_rng(0).integers(-8, 9, (3, 2, 2, 6, 6)).astype("float32") / 8
    if number < 4:
        x = x[..., 0]
    single, multi = LAYERS[number](), LAYERS[number](step_mode="m")
    multi.load_state_dict(single.state_dict())
    single.eval()
    multi.eval()
    np.testing.assert_allclose(multi(x), np.stack([single(step).numpy() for step in x]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_wrong_ranks_name_the_layer_and_the_shape_it_takes(number: int) -> None:
    single, multi = ("[N, C, L]", "[T, N, C, L]") if number < 4 else ("[N, C, H, W]", "[T, N, C, H, W]")
    rank = single.count(",") + 1
    for mode, wanted in (("s", single), ("m", multi)):
        layer = LAYERS[number](step_mode=mode)
        name = type(layer).__name__
        for ndim in set(range(7)) - {wanted.count(",") + 1}:
            with pytest.raises(ShapeError) as raised:
                layer(np.zeros((2,) * ndim))
            text = str(raised.value)
            assert text.startswith(f"{name} in step_mode={mode!r} takes {wanted}, got shape {(2,) * ndim}")
            other = rank + 1 if mode == "s" else rank
            assert (("step_mode='m' or wrap" if mode == "s" else "set step_mode='s'") in text) == (
                ndim == other
            )


def test_wrong_channels_and_extents() -> None:
    with pytest.raises(ShapeError, match=r"Conv2d has in_channels=2, got 3 in shape \(1, 3, 4, 4\)"):
        nn.Conv2d(2, 2, 1)(np.zeros((1, 3, 4, 4)))
    with pytest.raises(ShapeError, match="window of"):
        nn.Conv2d(1, 1, 9)(np.zeros((1, 1, 3, 3)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.Conv2d(2, 2, 0), r"Conv2d: kernel_size must be an integer of at least 1 or 2 of them, got 0"),
        (lambda: nn.Conv2d(2, 2, (3, 3, 3)), r"got \(3, 3, 3\)"),
        (lambda: nn.Conv2d(2, 2, 3, padding="same"), "Conv2d: padding .* got 'same'"),
        (lambda: nn.Conv1d(2, 2, 3, padding=-1), "Conv1d: padding must be an integer of at least 0 or a tuple of one"),
        (lambda: nn.Conv1d(2, 2, 3, stride=1.5), "Conv1d: stride"),
        (lambda: nn.Conv2d(2, 2, 3, dilation=0), "Conv2d: dilation"),
        (lambda: nn.Conv2d(0, 2, 3), "Conv2d: in_channels must be an integer of at least 1, got 0"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "groups=4 must divide in_channels=4 and out_channels=6"),
        (lambda: nn.Conv2d(4, 6, 3, groups=0), "Conv2d: groups"),
        (lambda: nn.MaxPool2d(2, padding=2), "MaxPool2d: padding 2 must be at most half of kernel_size 2"),
        (lambda: nn.AvgPool1d(None), "AvgPool1d: kernel_size"),
        (lambda: nn.AdaptiveAvgPool2d((1, 0)), "AdaptiveAvgPool2d: output_size"),
        (lambda: nn.MaxPool2d(2, step_mode="S"), "MaxPool2d: step_mode must be 's'"),
        (lambda: F.max_pool2d(normal(1, 1, 2, 2), 1.5), "kernel_size must be an integer of at least 1 or 2 of them"),
    ],
)  # fmt: skip
def test_refused_settings(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
