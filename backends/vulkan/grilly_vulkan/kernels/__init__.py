"""All kernels, one module per family of ops; ``kernels`` is the backend's table.

Every kernel gets row-major arrays, unless its module names it in ``STRIDED``: views (transposed, broadcast, sliced) are
made row-major first.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from grilly_core.extend import KernelTable, registry
from grilly_vulkan.array import DeviceArray
from grilly_vulkan.kernels import (
    attention,
    conv,
    elementwise,
    indexing,
    legacy,
    matmul,
    neuron,
    neuron_more,
    neuron_vjp,
    norm,
    norm_time,
    optim,
    plasticity,
    pool,
    random,
    reduce,
    shape,
    softmax,
    synapse,
)

__all__ = ["kernels"]

kernels = KernelTable("grilly_vulkan")


def _row_major(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """``kernel`` behind a check that makes views row-major."""

    @functools.wraps(kernel)
    def checked(device: Any, *arrays: Any, **attrs: Any) -> Any:
        for array in arrays:
            if type(array) is DeviceArray:
                if array.strides is not None:
                    break
            elif array is not None:
                break
        else:
            return kernel(device, *arrays, **attrs)
        return kernel(device, *[_plain(device, array) for array in arrays], **attrs)

    checked.__signature__ = inspect.signature(kernel)  # type: ignore[attr-defined]
    return checked


def _plain(device: Any, array: Any) -> Any:
    if array is None:
        return None
    if isinstance(array, DeviceArray):
        return device.contiguous(array)
    return [device.contiguous(item) for item in array]


for _module in (
    attention,
    conv,
    elementwise,
    indexing,
    legacy,
    matmul,
    neuron,
    neuron_more,
    neuron_vjp,
    norm,
    norm_time,
    optim,
    plasticity,
    pool,
    random,
    reduce,
    shape,
    softmax,
    synapse,
):
    for _name, (_function, _dtypes) in _module.KERNELS.items():
        _kernel = _function if _name in _module.STRIDED else _row_major(_function)
        kernels.register(registry()[_name], dtypes=_dtypes, when=_module.DECLINES.get(_name))(_kernel)
