"""The counter-based generator against published vectors, and the global random state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import grilly
from grilly import random
from grilly_core import ops, selection
from grilly_core.errors import ArgumentError, DTypeError
from grilly_core.ops import random as core_random
from grilly_core.ops.random import philox

pytestmark = pytest.mark.usefixtures("on_numpy")

# Philox4x32-10, from the known-answer tests of Random123 (Salmon et al. 2011): counter, key, words.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words_at(counter: tuple[int, ...], key: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> str:
    """The block of one counter: blocks are counted from 0, so the count is moved to the one wanted."""
    block = counter[1] << 32 | counter[0]
    arange = np.arange
    monkeypatch.setattr(
        core_random.np, "arange", lambda count, dtype: np.array([block], dtype) + arange(count, dtype=dtype)
    )
    words = philox(4, seed=key[1] << 32 | key[0], stream=counter[3] << 32 | counter[2])
    monkeypatch.undo()
    return " ".join(f"{int(word):08x}" for word in words)


@pytest.mark.parametrize("counter, key, wanted", VECTORS)
def test_known_answers(
    counter: tuple[int, ...], key: tuple[int, ...], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert words_at(counter, key, monkeypatch) == wanted


def reference(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 of one block in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, p0 >> 32 ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@pytest.mark.parametrize("counter, key, wanted", VECTORS)
def test_the_reference_of_these_tests(counter: Any, key: Any, wanted: str) -> None:
    assert " ".join(f"{word:08x}" for word in reference(counter, key)) == wanted


@pytest.mark.parametrize(
    "seed, stream", [(0, 0), (1, 0), (0, 1), (2**40 + 3, 2**35 + 7), (2**64 - 1, 2**64 - 1)]
)
def test_element_i_is_word_i_mod_4_of_block_i_div_4(seed: int, stream: int) -> None:
    low = 0xFFFFFFFF
    key = [seed & low, seed >> 32]
    wanted = [word for block in range(3) for word in reference([block, 0, stream & low, stream >> 32], key)]
    for count in (0, 1, 3, 4, 5, 12):
        words = philox(count, seed, stream)
        assert words.dtype == np.uint32 and words.tolist() == wanted[:count]


@pytest.mark.parametrize("bits", [1, 24, 31, 32])
def test_bits_are_the_upper_ones(bits: int) -> None:
    backend = selection.resolve("numpy")
    drawn = ops.random_bits.on(backend, shape=(2, 5), seed=7, stream=3, bits=bits)
    assert drawn.dtype == np.uint32 and drawn.shape == (2, 5)
    np.testing.assert_array_equal(drawn.numpy().reshape(-1), philox(10, 7, 3) >> (32 - bits))


@pytest.mark.parametrize(
    "attrs, message",
    [
        ({"bits": 0}, "random_bits: bits must lie between 1 and 32, got 0"),
        ({"bits": 33}, "bits must lie between 1 and 32"),
        ({"seed": -1}, "random_bits: seed and stream must be unsigned 64-bit numbers, got -1 and 0"),
        ({"stream": 2**64}, "seed and stream must be unsigned 64-bit numbers"),
    ],
)
def test_attributes_out_of_range(
    attrs: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops.random_bits, "plans", {})
    with pytest.raises(ArgumentError, match=message):
        ops.random_bits.on(selection.resolve("numpy"), **{"shape": (1,), "seed": 0, "stream": 0, **attrs})


@pytest.mark.parametrize("dtype, bits", [("float32", 24), ("float64", 32)])
def test_uniform_floats_are_exact_multiples(dtype: str, bits: int) -> None:
    grilly.seed(5)
    drawn = grilly.rand((1000,), dtype=dtype)
    assert drawn.dtype == dtype
    values = drawn.numpy().astype(np.float64)
    np.testing.assert_array_equal(values * 2.0**bits, philox(1000, 5, 0) >> (32 - bits))
    assert values.min() >= 0 and values.max() < 1


def test_draws_follow_seed_and_count() -> None:
    grilly.seed(3)
    first, second = grilly.rand(4).numpy(), grilly.rand(4).numpy()
    assert (first != second).any() and random.get_state() == (3, 2)
    grilly.seed(3)
    np.testing.assert_array_equal(grilly.rand((4,)).numpy(), first)
    state = random.get_state()
    after = grilly.randn((2, 2)).numpy()
    random.set_state(state)
    np.testing.assert_array_equal(grilly.randn((2, 2)).numpy(), after)
    random.set_state((3, 1))
    np.testing.assert_array_equal(grilly.rand(4).numpy(), second)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers(dtype: str) -> None:
    grilly.seed(1)
    drawn = grilly.randn(20_000, dtype=dtype)
    values = drawn.numpy()
    assert values.dtype == dtype and abs(values.mean()) < 0.03 and abs(values.std() - 1) < 0.03
    assert abs((values > 1.96).mean() - 0.025) < 0.005


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", None])
def test_what_is_no_seed(seed: Any) -> None:
    state = random.get_state()
    with pytest.raises(ArgumentError, match=r"a seed must be an integer from 0 to .*, got"):
        grilly.seed(seed)
    assert random.get_state() == state


@pytest.mark.parametrize("draw", [grilly.rand, grilly.randn])
def test_only_floats_are_drawn(draw: Any) -> None:
    with pytest.raises(DTypeError, match="int32"):
        draw(2, dtype="int32")
