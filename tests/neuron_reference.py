"""Neurons and their gradients through time, written out in NumPy from their formulas."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Run", "backward", "forward"]


class Run(NamedTuple):
    """Spikes, charged potentials and potentials after the reset of every step, each ``[T, ...]``."""

    s: np.ndarray
    h: np.ndarray
    v: np.ndarray


def forward(
    x: np.ndarray, v: Any, k: Any, v_threshold: float, v_reset: float | None, decay_input: bool = True
) -> Run:
    """All steps, one operation after the other in x's dtype; ``k`` None does not leak."""
    one, threshold = x.dtype.type(1), x.dtype.type(v_threshold)
    r = x.dtype.type(0.0 if v_reset is None else v_reset)
    k = None if k is None else x.dtype.type(k)
    v = np.broadcast_to(np.asarray(v, x.dtype), x.shape[1:])
    rows = []
    for now in x:
        if k is None:
            h = v + now
        elif decay_input:
            h = v + (now - (v - r)) * k
        else:
            h = (v - (v - r) * k) + now
        s = (h >= threshold).astype(x.dtype)
        v = h - s * threshold if v_reset is None else (one - s) * h + s * r
        rows.append((s, h, v))
    return Run(*(np.stack(part) for part in zip(*rows, strict=True)))


def backward(
    run: Run,
    x: np.ndarray,
    v0: np.ndarray,
    g_s: np.ndarray,
    surrogate: np.ndarray,
    k: float | None,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Gradients of x, of the initial potential and of k; ``surrogate`` is its derivative at every step."""
    r = 0.0 if v_reset is None else v_reset
    g_v, g_x, g_k = np.zeros_like(v0), np.empty_like(x), 0.0
    for t in range(len(x) - 1, -1, -1):
        sg = np.zeros_like(surrogate[t]) if detach_reset else surrogate[t]
        s, h = run.s[t], run.h[t]
        through = 1 - v_threshold * sg if v_reset is None else (1 - s) + (r - h) * sg
        g_h = g_s[t] * surrogate[t] + g_v * through
        before = run.v[t - 1] if t else v0
        if k is None:
            g_x[t], g_v = g_h, g_h
            continue
        g_x[t], g_v = (g_h * k if decay_input else g_h), (1 - k) * g_h
        g_k += float((g_h * ((x[t] if decay_input else 0) - (before - r))).sum())
    return g_x, g_v, g_k
