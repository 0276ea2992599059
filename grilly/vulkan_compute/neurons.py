"""Shaders of neurons: one step or all, forward and backward, and the flat ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from grilly._checks import finite_number
from grilly.vulkan_compute.door import Door
from grilly_core import ops
from grilly_core.surrogate import ATan, Surrogate
from grilly_core.tensor import Tensor

__all__ = ["Neurons"]

Array = np.ndarray


def _constants(
    tau: float | None,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    surrogate: Surrogate,
    detach_reset: bool = False,
) -> dict[str, Any]:
    """Attributes of the ops of a neuron that leaks, or with ``tau`` None does not."""
    attrs: dict[str, Any] = {
        "v_threshold": v_threshold, "v_reset": v_reset, "detach_reset": detach_reset, "surrogate": surrogate
    }  # fmt: skip
    if tau is not None:
        attrs |= {"k": 1.0 / finite_number(tau, "tau (time steps)", 1.0), "decay_input": decay_input}
    return attrs


class Neurons(Door):
    """``node_forward`` to ``gif_neuron``."""

    def _potential(self, v: Any, like: Tensor, v_reset: float | None) -> Tensor:
        return self._state(v, like, v_reset or 0.0)

    def node_forward(
        self,
        x: Any,
        v: Any = None,
        *,
        tau: float | None = 2.0,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        decay_input: bool = True,
    ) -> tuple[Array, Array]:
        """``snn-node-forward``: one step of leaky (``tau`` None: plain) integrate-and-fire neurons, see ``nn.LIFNode``.

        Args:
            x: input, ``[...]``.
            v: potential before the step, ``[...]``; None: ``v_reset``, or 0 when that is None.
            tau, v_threshold, v_reset, decay_input: as ``nn.LIFNode``.

        Returns:
            Spikes ``[...]`` and the potential after the reset ``[...]``.
        """
        given = self._place(x)
        attrs = _constants(tau, v_threshold, v_reset, decay_input, ATan())
        pair: tuple[Array, Array] = self._run(
            ops.if_step if tau is None else ops.lif_step, given, self._potential(v, given, v_reset), **attrs
        )
        return pair

    def node_backward(
        self,
        grad_spikes: Any,
        grad_v: Any,
        x: Any,
        v: Any = None,
        *,
        tau: float | None = 2.0,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        decay_input: bool = True,
        detach_reset: bool = False,
        surrogate_function: Surrogate = ATan(),
    ) -> tuple[Array, Array]:
        """``snn-node-backward``: gradient of :meth:`node_forward` at its two arguments.

        Args:
            grad_spikes: gradient at the spikes, ``[...]``.
            grad_v: gradient at the potential after the step, ``[...]``, or None.
            x, v: what forward had, ``[...]``.
            tau, v_threshold, v_reset, decay_input, detach_reset, surrogate_function: as ``nn.LIFNode``.

        Returns:
            Gradients at x and at v, ``[...]`` each.
        """
        given = self._place(x)
        attrs = _constants(tau, v_threshold, v_reset, decay_input, surrogate_function, detach_reset)
        grad_x, grad_v0 = self._run(
            ops.if_multi_step_recompute_vjp if tau is None else ops.lif_multi_step_recompute_vjp,
            self._place(grad_spikes).expand_dims(0),
            grad_v,
            given.expand_dims(0),
            self._potential(v, given, v_reset),
            **attrs,
        )
        return grad_x[0], grad_v0

    def multistep_forward(
        self,
        x: Any,
        v: Any = None,
        *,
        tau: float | None = 2.0,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        decay_input: bool = True,
        save_h: bool = False,
    ) -> tuple[Array, ...]:
        """``snn-multistep-forward``: all steps of :meth:`node_forward` in one dispatch.

        Args:
            x: input, ``[T, ...]``.
            v: potential before the first step, ``[...]``; None: ``v_reset``, or 0 when that is None.
            tau, v_threshold, v_reset, decay_input: as ``nn.LIFNode``.
            save_h: also return the potentials before the reset, which :meth:`multistep_backward` needs.

        Returns:
            Spikes ``[T, ...]``, the last potential ``[...]`` and, with ``save_h``, H ``[T, ...]``.
        """
        given = self._place(x)
        attrs = _constants(tau, v_threshold, v_reset, decay_input, ATan())
        first = given[0] if given.ndim and given.shape[0] else given
        made: tuple[Array, ...] = self._run(
            ops.if_multi_step if tau is None else ops.lif_multi_step,
            given,
            self._potential(v, first, v_reset),
            save_h=save_h,
            **attrs,
        )
        return made

    def multistep_backward(
        self,
        grad_spikes: Any,
        grad_v: Any,
        h: Any,
        *,
        tau: float | None = 2.0,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        decay_input: bool = True,
        detach_reset: bool = False,
        surrogate_function: Surrogate = ATan(),
    ) -> tuple[Array, Array]:
        """``snn-multistep-backward``: gradient through time of :meth:`multistep_forward`.

        Args:
            grad_spikes: gradient at the spikes, ``[T, ...]``.
            grad_v: gradient at the last potential, ``[...]``, or None.
            h: potentials before the reset, ``[T, ...]``, from ``multistep_forward(..., save_h=True)``.
            tau, v_threshold, v_reset, decay_input, detach_reset, surrogate_function: as ``nn.LIFNode``.

        Returns:
            Gradients at x ``[T, ...]`` and at the first potential ``[...]``.
        """
        attrs = _constants(tau, v_threshold, v_reset, decay_input, surrogate_function, detach_reset)
        pair: tuple[Array, Array] = self._run(
            ops.if_multi_step_vjp if tau is None else ops.lif_multi_step_vjp,
            grad_spikes,
            grad_v,
            None,
            h,
            **attrs,
        )
        return pair

    def surrogate_gradient(self, u: Any, *, surrogate_function: Surrogate = ATan()) -> Array:
        """``snn-surrogate-gradient``: what a surrogate puts in place of the derivative of the step.

        Args:
            u: potential minus threshold, ``[...]``.
            surrogate_function: a built-in surrogate such as ``nn.ATan()``.

        Returns:
            The derivative, ``[...]``.
        """
        out: Array = self._run(ops.surrogate_gradient, u, surrogate=surrogate_function)
        return out

    def lif_neuron(
        self,
        x: Any,
        v: Any = None,
        wait: Any = None,
        *,
        threshold: float = 1.0,
        decay: float = 0.9,
        refractory: int = 0,
    ) -> tuple[Array, Array, Array]:
        """``snn-lif-neuron``: one step of ``v = decay v + x`` with an absolute refractory period, see ``nn.LIFNeuron``.

        Args:
            x: input, ``[...]``.
            v: potential before the step, ``[...]``; None: 0.
            wait: steps left to be silent, ``[...]``; None: 0.
            threshold, decay, refractory: as ``nn.LIFNeuron``.

        Returns:
            Spikes, v and wait, ``[...]`` each.
        """
        given = self._place(x)
        states = (self._state(v, given), self._state(wait, given))
        made: tuple[Array, Array, Array] = self._run(
            ops.lif_neuron, given, *states, threshold=threshold, decay=decay, refractory=refractory
        )
        return made

    def gif_neuron(
        self,
        x: Any,
        v: Any = None,
        eta: Any = None,
        gamma: Any = None,
        *,
        v_threshold: float = 1.0,
        decay: float = 0.9,
        tau_eta: float = 20.0,
        tau_gamma: float = 20.0,
        a: float = 0.1,
        b: float = 0.1,
    ) -> tuple[Array, Array, Array, Array]:
        """``snn-gif-neuron``: one step of generalised integrate-and-fire neurons (Mensi et al. 2012).

        ``v = decay v + x - eta``, fires at ``v >= v_threshold + gamma``, is reset to 0; then
        ``eta <- eta e^(-1/tau_eta) + a S`` and ``gamma <- gamma e^(-1/tau_gamma) + b S``.

        Args:
            x: input, ``[...]``.
            v, eta, gamma: potential, spike-triggered current and rise of the threshold, ``[...]`` each; None: 0.
            v_threshold: threshold at rest.
            decay: share of the potential that a step keeps.
            tau_eta, tau_gamma: time constants in steps, above 0.
            a, b: what a spike adds to eta and gamma.

        Returns:
            Spikes, v, eta and gamma, ``[...]`` each.
        """
        given = self._place(x)
        states = [self._state(state, given) for state in (v, eta, gamma)]
        made: tuple[Array, Array, Array, Array] = self._run(
            ops.gif_neuron,
            given,
            *states,
            v_threshold=v_threshold,
            decay=decay,
            tau_eta=tau_eta,
            tau_gamma=tau_gamma,
            a=a,
            b=b,
        )
        return made
