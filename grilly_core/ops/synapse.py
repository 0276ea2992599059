"""Synapses: traces that decay over time, and release that depresses and facilitates; all steps at once.

The order of operations written here is the one every backend follows, without contraction, so that neurons behind a
synapse emit the same spikes everywhere. Gradients through time are in ``synapse_vjp.py``.
"""

from __future__ import annotations

from grilly_core.errors import ArgumentError, ShapeError
from grilly_core.op import composite
from grilly_core.ops.compare import where
from grilly_core.ops.infer import float_unary
from grilly_core.ops.shape import concat, stack
from grilly_core.tensor import Tensor, scalar

__all__ = ["check_steps", "delay_line", "dual_timescale", "release", "stp_synapse", "synapse_filter"]


def check_steps(x: Tensor, states: dict[str, Tensor], coefficients: dict[str, Tensor]) -> None:
    """Refuse shapes that do not fit together.

    Args:
        x: input, ``[T, ...]``.
        states: by name, each ``[...]``.
        coefficients: by name, each 0-d.
    """
    float_unary(x.spec)
    if x.ndim < 1 or x.shape[0] < 1:
        raise ShapeError(f"needs at least one time step on axis 0, got input {x.shape}")
    for name, state in states.items():
        if state.shape != x.shape[1:]:
            raise ShapeError(
                f"the state {name} has shape {state.shape}, the input needs {x.shape[1:]} (input {x.shape})"
            )
    for name, coefficient in coefficients.items():
        if coefficient.shape != ():
            raise ShapeError(f"{name} must be a 0-d tensor, got shape {coefficient.shape}")


def check_line(x: Tensor, line: Tensor | None) -> int:
    """The delay in steps of a delay line that fits the input ``[T, ...]``."""
    if line is None:
        return 0
    if line.ndim < 1 or line.shape[0] < 1 or line.shape[1:] != x.shape[1:]:
        raise ShapeError(
            f"the delay line has shape {line.shape}; input {x.shape} needs (delay, *{x.shape[1:]}) with a delay of at "
            "least 1, or None for no delay"
        )
    return line.shape[0]


def delayed(x: Tensor, line: Tensor | None, t: int) -> Tensor:
    """What arrives at step ``t``: first what the line holds."""
    delay = 0 if line is None else line.shape[0]
    return line[t] if line is not None and t < delay else x[t - delay]


def delay_line(line: Tensor, x: Tensor) -> Tensor:
    """What is still on its way after the inputs ``x [T, ...]``: the last steps of ``line [delay, ...]`` and x.

    Example:
        >>> from grilly_core.tensor import tensor
        >>> delay_line(tensor([1.0, 2.0, 3.0]), tensor([4.0])).tolist()
        [2.0, 3.0, 4.0]
    """
    delay, steps = line.shape[0], x.shape[0]
    if steps >= delay:
        return x[steps - delay :]
    both: Tensor = concat([line[steps:], x], axis=0)
    return both


@composite()
def synapse_filter(
    x: Tensor, y: Tensor, decay: Tensor, line: Tensor | None = None, /
) -> tuple[Tensor, Tensor]:
    """A trace: ``y[t] = y[t-1] decay + x[t - delay]``.

    Shapes: x ``[T, ...]``, y before the first step ``[...]``, decay 0-d, line ``[delay, ...]``: the inputs of the steps
    before x, oldest first (None: no delay). Returns y of every step ``[T, ...]`` and the last ``[...]``.
    """
    check_steps(x, {"y": y}, {"decay": decay})
    check_line(x, line)
    out = []
    for t in range(x.shape[0]):
        y = y * decay + delayed(x, line, t)
        out.append(y)
    return stack(out), y


@composite()
def dual_timescale(
    x: Tensor,
    fast: Tensor,
    slow: Tensor,
    decay_fast: Tensor,
    decay_slow: Tensor,
    w_fast: Tensor,
    w_slow: Tensor,
    /,
) -> tuple[Tensor, Tensor, Tensor]:
    """Two traces of the same input, weighed: ``fast[t] w_fast + slow[t] w_slow``, each as ``synapse_filter``.

    Shapes: x ``[T, ...]``, fast and slow before the first step ``[...]``, the rest 0-d. Returns the sum of every step
    ``[T, ...]`` and the last of both traces ``[...]``.
    """
    check_steps(
        x,
        {"fast": fast, "slow": slow},
        {"decay_fast": decay_fast, "decay_slow": decay_slow, "w_fast": w_fast, "w_slow": w_slow},
    )
    out = []
    for t in range(x.shape[0]):
        fast = fast * decay_fast + x[t]
        slow = slow * decay_slow + x[t]
        out.append(fast * w_fast + slow * w_slow)
    return stack(out), fast, slow


def release(
    value: Tensor, x: Tensor, u: Tensor, r: Tensor, decay_u: float, decay_r: float, use: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``value`` times what each spike of ``x`` releases, 0 without a spike, ``[T, ...]``; and u and r after it."""
    check_steps(x, {"u": u, "r": r}, {})
    for name, number in (("decay_u", decay_u), ("decay_r", decay_r), ("use", use)):
        if not 0 <= number <= 1:
            raise ArgumentError(f"{name} must lie in [0, 1], got {number}")
    zero = scalar(0.0, x.spec.dtype, x._backend)
    out = []
    for t in range(x.shape[0]):
        u = u * decay_u
        r = (r - 1.0) * decay_r + 1.0
        spike = x[t] > 0.0
        raised = u + (1.0 - u) * use
        released = raised * r
        out.append(where(spike, value[t] * released, zero))
        u = where(spike, raised, u)
        r = where(spike, r - released, r)
    return stack(out), u, r


@composite()
def stp_synapse(
    x: Tensor, u: Tensor, r: Tensor, /, *, decay_u: float, decay_r: float, use: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Short-term plasticity: a spike (``x > 0``) releases the share ``u`` of what is left, ``r``.

    Every step first ``u <- u decay_u`` and ``r <- 1 + (r - 1) decay_r``; then at a spike ``u <- u + use (1 - u)``, the
    output is ``x u r`` and ``r <- r - u r``; without one it is 0. Shapes: x ``[T, ...]``, u and r before the first step
    ``[...]``. Returns the output of every step ``[T, ...]`` and the last u and r ``[...]``. Gradients flow to x alone:
    whether there was a spike, and so u and r, counts as constant.

    Source: Tsodyks, Pawelzik & Markram 1998.
    """
    return release(x, x, u.detach(), r.detach(), decay_u, decay_r, use)
