"""The backend object: arrays on one Vulkan device, kernels recorded into one stream."""

from __future__ import annotations

import atexit
import math
import os
import sys
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np

from grilly_core.extend import (
    ALONE,
    Backend,
    BackendUnavailable,
    ConfigError,
    DeviceLostError,
    OutOfMemoryError,
    Spec,
    UnsupportedOpError,
    flag,
)
from grilly_vulkan._vk import VulkanError
from grilly_vulkan.array import DeviceArray
from grilly_vulkan.blocks import BlockSource
from grilly_vulkan.capabilities import Capabilities
from grilly_vulkan.copies import plan_copy
from grilly_vulkan.device import Device
from grilly_vulkan.division import LIMIT
from grilly_vulkan.instance import choose, destroy_instance
from grilly_vulkan.memory import Allocator
from grilly_vulkan.pipeline import Pipelines
from grilly_vulkan.profiler import profiling
from grilly_vulkan.stream import Stream
from grilly_vulkan.tables import Tables
from grilly_vulkan.transfer import Transfer

__all__ = ["VulkanBackend", "open_backend"]

DTYPES = frozenset({"float32", "int32", "uint32", "bool"})
_BLOCK, _LARGE_BLOCK, _STAGING_BLOCK = 64 << 20, 256 << 20, 16 << 20
_LARGE_HEAP = 16 << 30

_open: weakref.WeakSet[VulkanBackend] = weakref.WeakSet()


class VulkanBackend(Backend):
    """One Vulkan device.

    Kernels get it as their first argument. They make results with :meth:`empty` and record shaders with :meth:`run`.

    Args:
        capabilities: of the device to open.
        flush_at: submit after this many ops; None for the usual rule (see :class:`Stream`).

    Attributes:
        capabilities: what the device can do; variants of kernels are chosen from it.
        stream: records ops.
        memory, staging: device memory, and memory that the host sees, with the bytes in use.
        transfer: counts what went to the device and back.
        tables: small tables that kernels keep on the device.
        simple_products: products for a CPU, without tiles in shared memory; tests set it to see both.
        split_products: large products go to the matrix units, each float32 factor split in two halves.
    """

    name = "vulkan"
    dtypes = DTYPES

    def __init__(self, capabilities: Capabilities, flush_at: int | None = None) -> None:
        from grilly_vulkan.kernels import kernels

        self.kernels = kernels
        self.capabilities = capabilities
        self.device = f"{capabilities.name} ({capabilities.kind}, {capabilities.driver})"
        self.features = frozenset({"deterministic_scatter"})
        self.simple_products = capabilities.is_cpu
        self.split_products = _has_matrix_units(capabilities) and not flag("GRILLY_VK_PLAIN_FLOAT")
        limit, serial, profiled = _memory_limit(capabilities), flag("GRILLY_VK_SYNC"), flag("GRILLY_PROFILE")
        self._device = device = Device(capabilities)
        with ExitStack() as undo:
            undo.callback(device.destroy)
            block = _LARGE_BLOCK if capabilities.memory > _LARGE_HEAP else _BLOCK
            self.memory = Allocator(BlockSource(device, device.local_types()), block, limit)
            undo.callback(self.memory.release_all)
            source = BlockSource(device, device.staging_types(), mapped=True)
            self.staging = Allocator(source, _STAGING_BLOCK, 1 << 62)
            undo.callback(self.staging.release_all)
            self.memory.before_retry = self.staging.before_retry = self.synchronize
            self.pipelines = Pipelines(device)
            undo.callback(self.pipelines.destroy)
            self.stream = Stream(device, flush_at, serial)
            undo.callback(self.stream.destroy)
            self.pipelines.completed = self.stream.completed
            self.transfer = Transfer(self.staging, self.stream, self.pipelines)
            if profiled:
                undo.enter_context(profiling(self.stream))
            self._closing = undo.pop_all()
        self.tables = Tables(self)
        _open.add(self)

    # What core asks for

    def from_numpy(self, array: np.ndarray) -> DeviceArray:
        """A copy on the device."""
        out = self.empty(array.shape, array.dtype.name)
        if out.slot is not None:
            self.transfer.upload(array, out.slot, out.addr)
        return out

    def to_numpy(self, array: DeviceArray) -> np.ndarray:
        """A copy on the host; waits for all recorded work."""
        if array.size == 0:
            return np.zeros(array.shape, array.dtype)
        plain = self.contiguous(array)
        assert plain.slot is not None
        return self.transfer.read(plain.shape, plain.dtype, plain.slot, plain.addr)

    def spec(self, array: DeviceArray) -> Spec:
        """Shape and dtype."""
        return Spec(array.shape, array.dtype)

    def full(self, shape: tuple[int, ...], value: float, dtype: str) -> DeviceArray:
        """A filled array: one element seen everywhere; kernels that cannot take strides copy it."""
        if not math.prod(shape):
            return self.empty(shape, dtype)
        return self.filled((), value, dtype).view(shape, (0,) * len(shape))

    def is_exclusive(self, array: DeviceArray) -> bool:
        """Whether neither this handle nor its memory has another owner: views share a holder."""
        return sys.getrefcount(array) <= ALONE and (
            array.holder is None or sys.getrefcount(array.holder) <= 2
        )

    def synchronize(self) -> None:
        """Return when all recorded work is done."""
        self.stream.wait()

    def profile(self) -> AbstractContextManager[Any]:
        """Time every dispatch inside a ``with`` block; a table goes to standard error, its rows to the list."""
        return profiling(self.stream)

    def peak_memory(self, reset: bool = False) -> int:
        """Most bytes that arrays took together since the last ``reset``."""
        with self._device.lock:
            peak = self.memory.peak
            if reset:
                self.memory.reset_peak()
        return peak

    def close(self) -> None:
        """Wait, then give the device back; arrays that are left become useless but harmless."""
        with self._device.closing():
            self._closing.close()
        _open.discard(self)

    # What kernels ask for

    def empty(self, shape: tuple[int, ...], dtype: str) -> DeviceArray:
        """An array with undefined contents.

        Raises:
            OutOfMemoryError: the device has no room.
            UnsupportedOpError: more elements than shaders can count.
        """
        size = math.prod(shape)
        if size > LIMIT:
            raise UnsupportedOpError(
                f"an array of shape {shape} has {size:,} elements; backend vulkan takes at most {LIMIT:,}. Split it"
            )
        if size == 0:
            return DeviceArray(None, 0, shape, dtype, 0)
        with self._device.lock:
            self._device.check_alive()
            holder = self.memory.hold(4 * size)
        return DeviceArray(holder, holder.slot.addr, shape, dtype, size)

    def filled(self, shape: tuple[int, ...], value: float, dtype: str) -> DeviceArray:
        """A row-major array with every element written (:meth:`full` shows one element everywhere)."""
        out = self.empty(shape, dtype)
        if out.size:
            self.run_each("fill", out.size, (), (out,), (out.size, word(value, dtype)))
        return out

    def run(
        self,
        shader: str,
        groups: int | tuple[int, int, int],
        reads: Sequence[DeviceArray | None],
        writes: Sequence[DeviceArray | None],
        scalars: Sequence[Any] = (),
        constants: tuple[Any, ...] = (),
    ) -> None:
        """Record one dispatch of ``shader``.

        Args:
            shader: name in ``spv/manifest.json``.
            groups: number of workgroups (folded into two dimensions as the device wants), or three extents.
            reads, writes: arrays, in the order of the shader's pointers; None or no elements: a null pointer.
            scalars: the push constants after the pointers.
            constants: specialisation constants 0, 1, ...
        """
        kernel = self.pipelines.get(shader, constants)
        self.forget_contents(writes)
        if self.stream.profiler is not None:
            self.stream.profiler.pending_bytes = 4 * sum(a.stored for a in (*reads, *writes) if a is not None)
        values = [0 if a is None else a.addr for a in reads]
        values += [0 if a is None else a.addr for a in writes]
        values += scalars
        self.stream.op(
            kernel,
            groups,
            [a.slot for a in reads if a is not None and a.slot is not None],
            [a.slot for a in writes if a is not None and a.slot is not None],
            values,
        )

    @staticmethod
    def forget_contents(written: Sequence[DeviceArray | None]) -> None:
        """What was kept of arrays that are written again, in place (``kernels/magnitude.py``), is true no more."""
        for a in written:
            if a is not None and a.holder is not None:
                a.holder.magnitude = None

    def run_each(
        self,
        shader: str,
        count: int,
        reads: Sequence[DeviceArray | None],
        writes: Sequence[DeviceArray | None],
        scalars: Sequence[Any] = (),
        constants: tuple[Any, ...] = (),
    ) -> None:
        """:meth:`run` with at least ``count`` invocations in one dimension (``GLOBAL_INDEX`` in the shader)."""
        kernel = self.pipelines.get(shader, constants)
        self.run(shader, -(-count // kernel.per_group), reads, writes, scalars, constants)

    def contiguous(self, array: DeviceArray) -> DeviceArray:
        """The array itself if it is row-major, else a copy that is."""
        if array.strides is None or array.size == 0:
            return array
        out = self.empty(array.shape, array.dtype)
        copy = plan_copy(array.shape, array.strides)
        self.run(copy.shader, copy.groups, (array,), (out,), copy.scalars, copy.constants)
        return out


def word(value: Any, dtype: str) -> int:
    """The 32 bits that stand for a number on the device."""
    if dtype == "float32":
        with np.errstate(over="ignore"):
            return int(np.float32(value).view(np.uint32))
    if dtype == "bool":
        return int(bool(value))
    return int(value) & 0xFFFFFFFF


def _has_matrix_units(capabilities: Capabilities) -> bool:
    """Whether the shaders ``*-matrix`` run: half factors, subgroups of 32, room for their tiles."""
    return (
        (16, 16, 16) in capabilities.matrices
        and {"shaderFloat16", "storageBuffer16BitAccess"} <= capabilities.features
        and capabilities.subgroup == 32
        and capabilities.shared_memory >= 49152
    )


def _memory_limit(capabilities: Capabilities) -> int:
    text = os.environ.get("GRILLY_VK_MEMORY_MB", "").strip()
    if not text:
        return capabilities.memory
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"GRILLY_VK_MEMORY_MB={text!r} must be a whole number of megabytes")
    return int(text) << 20


def open_backend(device: str | None, automatic: bool) -> VulkanBackend:
    """The backend on the device that is meant.

    Raises:
        BackendUnavailable, ConfigError: see :func:`grilly_vulkan.instance.choose`; also if the driver cannot open it.
    """
    capabilities = choose(device, automatic)
    try:
        return VulkanBackend(capabilities)
    except (OutOfMemoryError, DeviceLostError, VulkanError) as error:
        raise BackendUnavailable(
            f"Vulkan device {capabilities.name} (driver {capabilities.driver}) cannot be opened: {error}"
        ) from error


@atexit.register
def _close_all() -> None:
    for backend in list(_open):
        backend.close()
    destroy_instance()
