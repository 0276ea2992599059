"""Shaders of synapses and plasticity."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly.functional.plasticity import hebbian_update, stdp_update
from grilly.functional.synapse import dual_timescale, stp_synapse, synapse_filter
from grilly.vulkan_compute.door import Door
from grilly_core import ops

__all__ = ["Learning"]

Array = np.ndarray


class Learning(Door):
    """``synapse_filter`` to ``hebbian_update``."""

    def synapse_filter(
        self, x: Any, y: Any = None, line: Any = None, *, tau_syn: float = 5.0, delay: int = 0
    ) -> tuple[Array, ...]:
        """``snn-synapse-filter``: a trace over all steps, ``y[t] = e^(-1/tau_syn) y[t-1] + x[t - delay]``.

        Args:
            x: input, ``[T, ...]``.
            y: the trace before the first step, ``[...]``; None: 0.
            line: the inputs of the ``delay`` steps before x, ``[delay, ...]``; None: 0.
            tau_syn: time constant in steps, above 0.
            delay: steps from an input to its effect.

        Returns:
            The trace after each step ``[T, ...]``, after the last ``[...]``, and with a delay the next ``line``.
        """
        made: tuple[Array, ...] = self._run(synapse_filter, x, y, line, tau_syn=tau_syn, delay=delay)
        return made

    def stp_synapse(
        self,
        x: Any,
        u: Any = None,
        R: Any = None,  # noqa: N803
        *,
        tau_d: float = 200.0,
        tau_f: float = 20.0,
        U: float = 0.2,  # noqa: N803
    ) -> tuple[Array, Array, Array]:
        """``snn-stp-synapse``: release that depresses and facilitates (Tsodyks, Pawelzik & Markram 1998), over all steps.

        Args:
            x: input, ``[T, ...]``; a spike is a value above 0.
            u: utilisation before the first step, ``[...]``; None: 0.
            R: resources before the first step, ``[...]``; None: 1.
            tau_d, tau_f: time constants of recovery and facilitation in steps.
            U: what a spike adds to the utilisation.

        Returns:
            The output of each step ``[T, ...]``, the last u and R ``[...]``.
        """
        made: tuple[Array, Array, Array] = self._run(stp_synapse, x, u, R, tau_d=tau_d, tau_f=tau_f, U=U)
        return made

    def dual_timescale(
        self,
        x: Any,
        fast: Any = None,
        slow: Any = None,
        *,
        tau_fast: float = 5.0,
        tau_slow: float = 50.0,
        w_fast: float = 0.5,
        w_slow: float = 0.5,
    ) -> tuple[Array, Array, Array]:
        """``snn-dual-timescale``: two traces of one input, weighed, ``w_fast fast[t] + w_slow slow[t]``, over all steps.

        Args:
            x: input, ``[T, ...]``.
            fast, slow: the traces before the first step, ``[...]`` each; None: 0.
            tau_fast, tau_slow: time constants in steps, above 0.
            w_fast, w_slow: weights.

        Returns:
            The sum of each step ``[T, ...]``, the last of both traces ``[...]``.
        """
        made: tuple[Array, Array, Array] = self._run(
            dual_timescale, x, fast, slow, tau_fast=tau_fast, tau_slow=tau_slow, w_fast=w_fast, w_slow=w_slow
        )
        return made

    def stdp_trace(self, spikes: Any, trace: Any = None, *, tau: float = 20.0) -> tuple[Array, Array]:
        """``snn-stdp-trace``: running traces of spikes over all steps, ``tr <- tr - tr / tau + s``.

        Args:
            spikes: ``[T, ...]``.
            trace: before the first step, ``[...]``; None: 0.
            tau: time constant in steps, at least 1.

        Returns:
            The trace after each step ``[T, ...]`` and after the last ``[...]``.
        """
        made: tuple[Array, Array] = self._run(ops.stdp_trace, spikes, trace, tau=tau)
        return made

    def stdp_update(
        self,
        weight: Any,
        pre: Any,
        post: Any,
        trace_pre: Any = None,
        trace_post: Any = None,
        *,
        tau_pre: float = 20.0,
        tau_post: float = 20.0,
        a_pre: float = 0.012,
        a_post: float = 0.01,
        w_min: float | None = None,
        w_max: float | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> tuple[Array, Array, Array]:
        """``snn-stdp-update``: spike-timing-dependent plasticity of a weight, see ``F.stdp_update``.

        Where more than 4096 terms make up the change of one weight, ``snn-stdp-trace`` and products run instead.

        Args:
            weight: ``[out, in]``, ``[O, C/groups, K]`` or ``[O, C/groups, KH, KW]``.
            pre: ``[T, N, in]``, ``[T, N, C, L]`` or ``[T, N, C, H, W]``.
            post: ``[T, N, out]``, ``[T, N, O, OL]`` or ``[T, N, O, OH, OW]``.
            trace_pre, trace_post: traces from before, of the shape of one step; None: 0.
            tau_pre, tau_post, a_pre, a_post, w_min, w_max, stride, padding, dilation, groups: as ``F.stdp_update``.

        Returns:
            The new weight and the last traces.
        """
        made: tuple[Array, Array, Array] = self._run(
            stdp_update,
            weight,
            pre,
            post,
            trace_pre,
            trace_post,
            native=False,
            tau_pre=tau_pre,
            tau_post=tau_post,
            a_pre=a_pre,
            a_post=a_post,
            w_min=w_min,
            w_max=w_max,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        return made

    def hebbian_update(
        self,
        weight: Any,
        pre: Any,
        post: Any,
        *,
        lr: float = 0.01,
        decay: float = 0.0,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Array:
        """``snn-hebbian-update``: ``w + lr mean(post pre) - decay w``, see ``F.hebbian_update``.

        Where more than 4096 terms make up the change of one weight, a product runs instead.

        Args:
            weight: ``[out, in]``, ``[O, C/groups, K]`` or ``[O, C/groups, KH, KW]``.
            pre: ``[T, N, in]``, ``[T, N, C, L]`` or ``[T, N, C, H, W]``.
            post: ``[T, N, out]``, ``[T, N, O, OL]`` or ``[T, N, O, OH, OW]``.
            lr: learning rate.
            decay: share of the weight that is forgotten.
            stride, padding, dilation, groups: of the convolution.

        Returns:
            The new weight.
        """
        window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        out: Array = self._run(hebbian_update, weight, pre, post, native=False, lr=lr, decay=decay, **window)
        return out
