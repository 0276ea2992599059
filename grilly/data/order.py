"""Random orders that stay the same on every machine and with every NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["LOADER", "SPLIT", "permutation"]

# Who draws: the two never share a random number.
LOADER, SPLIT = 0, 1


def permutation(n: int, seed: int, stream: int, purpose: int = LOADER) -> npt.NDArray[np.int64]:
    """The numbers 0 to n - 1 in a random order that depends on the arguments alone.

    Args:
        n: how many.
        seed: 0 to 2**64 - 1.
        stream: one order among those of a seed, such as the epoch.
        purpose: LOADER or SPLIT.

    Example:
        >>> sorted(permutation(4, seed=0, stream=7).tolist())
        [0, 1, 2, 3]
    """
    # Sorting raw bits: NumPy promises the bits of Philox for ever, but not the algorithm of
    # Generator.permutation, and a run may be resumed with a newer NumPy.
    key = np.array([seed, stream], dtype=np.uint64)
    counter = np.array([0, 0, 0, purpose], dtype=np.uint64)
    bits = np.random.Philox(key=key, counter=counter).random_raw(n)
    return np.argsort(bits, kind="stable").astype(np.int64, copy=False)
