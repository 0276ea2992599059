"""What a device can do, as data: kernels choose variants from this alone, and tests can make one up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from grilly_vulkan import _vk
from grilly_vulkan._vk import check, ffi, new

__all__ = ["Capabilities", "read_capabilities"]

_KINDS = {0: "other", 1: "integrated", 2: "discrete", 3: "virtual", 4: "cpu"}


@dataclass(frozen=True)
class Capabilities:
    """Limits and features of one physical device.

    Attributes:
        handle: the ``VkPhysicalDevice`` (None in tests).
        name, driver, vendor: in words (vendor: the PCI id).
        kind: 'discrete', 'integrated', 'virtual', 'cpu' or 'other'.
        uuid: tells one device from another, across drivers.
        api: Vulkan version as (major, minor).
        memory: bytes of its largest device-local heap.
        allocation: bytes that one allocation may have.
        push_constants: bytes.
        shared_memory: bytes per workgroup.
        groups: most workgroups along x.
        invocations: most invocations of a workgroup.
        subgroup: invocations of a subgroup.
        timestamp_ns: nanoseconds per timestamp tick; 0 without timestamps.
        extensions: names of its extensions.
        features: names of the features it has and grilly may use.
        matrices: cooperative matrix shapes (M, N, K) with half-precision factors and float32 sums.
    """

    name: str
    kind: str
    handle: Any = None
    driver: str = ""
    vendor: int = 0
    uuid: bytes = b""
    api: tuple[int, int] = (1, 2)
    memory: int = 1 << 30
    allocation: int = 1 << 30
    push_constants: int = 128
    shared_memory: int = 32768
    groups: int = 65535
    invocations: int = 256
    subgroup: int = 32
    timestamp_ns: float = 0.0
    extensions: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    matrices: frozenset[tuple[int, int, int]] = field(default_factory=frozenset)

    @property
    def is_cpu(self) -> bool:
        """Whether the device is a CPU (lavapipe): for tests, not for speed."""
        return self.kind == "cpu"

    def missing(self) -> list[str]:
        """What grilly cannot do without and this device has not."""
        lacks = []
        if self.api < (1, 2):
            lacks.append(f"Vulkan 1.2 (it has {self.api[0]}.{self.api[1]})")
        lacks += [name for name in ("bufferDeviceAddress", "timelineSemaphore") if name not in self.features]
        if self.push_constants < 128 or self.shared_memory < 32768 or self.invocations < 256:
            lacks.append("128 bytes of push constants, 32 KiB of shared memory and 256 invocations")
        return lacks


def read_capabilities(handle: Any) -> Capabilities:
    """Ask the driver about one physical device."""
    lib = _vk.lib
    driver = new("VkPhysicalDeviceDriverProperties", "PHYSICAL_DEVICE_DRIVER_PROPERTIES")
    largest = new(
        "VkPhysicalDeviceMaintenance3Properties", "PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES", pNext=driver
    )
    ids = new("VkPhysicalDeviceIDProperties", "PHYSICAL_DEVICE_ID_PROPERTIES", pNext=largest)
    groups = new("VkPhysicalDeviceSubgroupProperties", "PHYSICAL_DEVICE_SUBGROUP_PROPERTIES", pNext=ids)
    properties = new("VkPhysicalDeviceProperties2", "PHYSICAL_DEVICE_PROPERTIES_2", pNext=groups)
    lib.vkGetPhysicalDeviceProperties2(handle, properties)
    plain, limits = properties.properties, properties.properties.limits
    extensions = _extensions(handle)
    features = _features(handle, extensions)
    matrices = _matrices(handle) if "cooperativeMatrix" in features else frozenset()
    version = plain.apiVersion
    return Capabilities(
        handle=handle,
        name=ffi.string(plain.deviceName).decode(errors="replace"),
        kind=_KINDS.get(int(ffi.cast("int", plain.deviceType)), "other"),
        driver=f"{ffi.string(driver.driverName).decode(errors='replace')} "
        f"{ffi.string(driver.driverInfo).decode(errors='replace')}".strip(),
        vendor=plain.vendorID,
        uuid=bytes(ffi.buffer(ids.deviceUUID)),
        api=(version >> 22 & 0x7F, version >> 12 & 0x3FF),
        memory=_local_memory(handle),
        allocation=largest.maxMemoryAllocationSize,
        push_constants=limits.maxPushConstantsSize,
        shared_memory=limits.maxComputeSharedMemorySize,
        groups=limits.maxComputeWorkGroupCount[0],
        invocations=limits.maxComputeWorkGroupInvocations,
        subgroup=groups.subgroupSize,
        timestamp_ns=limits.timestampPeriod if limits.timestampComputeAndGraphics else 0.0,
        extensions=extensions,
        features=features,
        matrices=matrices,
    )


def _extensions(handle: Any) -> frozenset[str]:
    count = ffi.new("uint32_t*")
    call = _vk.lib.vkEnumerateDeviceExtensionProperties
    check(call(handle, ffi.NULL, count, ffi.NULL), "vkEnumerateDeviceExtensionProperties")
    entries = ffi.new("VkExtensionProperties[]", count[0])
    check(call(handle, ffi.NULL, count, entries), "vkEnumerateDeviceExtensionProperties")
    return frozenset(ffi.string(entry.extensionName).decode() for entry in entries)


def _features(handle: Any, extensions: frozenset[str]) -> frozenset[str]:
    v12 = new("VkPhysicalDeviceVulkan12Features", "PHYSICAL_DEVICE_VULKAN_1_2_FEATURES")
    v11 = new("VkPhysicalDeviceVulkan11Features", "PHYSICAL_DEVICE_VULKAN_1_1_FEATURES", pNext=v12)
    all_of = new("VkPhysicalDeviceFeatures2", "PHYSICAL_DEVICE_FEATURES_2", pNext=v11)
    matrix = None
    if "VK_KHR_cooperative_matrix" in extensions:
        matrix = new(
            "VkPhysicalDeviceCooperativeMatrixFeaturesKHR", "PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR"
        )
        v12.pNext = matrix
    _vk.lib.vkGetPhysicalDeviceFeatures2(handle, all_of)
    found = {name for name in ("shaderInt64", "shaderInt16") if getattr(all_of.features, name)}
    found |= {name for name in ("storageBuffer16BitAccess",) if getattr(v11, name)}
    wanted = (
        "bufferDeviceAddress", "timelineSemaphore", "shaderFloat16", "vulkanMemoryModel", "vulkanMemoryModelDeviceScope",
        "scalarBlockLayout",
    )  # fmt: skip
    found |= {name for name in wanted if getattr(v12, name)}
    if matrix is not None and matrix.cooperativeMatrix:
        found.add("cooperativeMatrix")
    return frozenset(found)


def _matrices(handle: Any) -> frozenset[tuple[int, int, int]]:
    """Shapes of half-precision products with float32 sums at subgroup scope."""
    from grilly_vulkan.instance import get_instance

    address = _vk.lib.vkGetInstanceProcAddr(
        get_instance(), b"vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"
    )
    if address == ffi.NULL:
        return frozenset()
    call = ffi.cast("PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", address)
    count = ffi.new("uint32_t*")
    check(call(handle, count, ffi.NULL), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR")
    entries = ffi.new("VkCooperativeMatrixPropertiesKHR[]", count[0])
    for entry in entries:
        entry.sType = _vk.lib.VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR
    check(call(handle, count, entries), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR")
    half, single, subgroup = 0, 1, 3
    return frozenset(
        (entry.MSize, entry.NSize, entry.KSize)
        for entry in entries
        if int(ffi.cast("int", entry.scope)) == subgroup
        and int(ffi.cast("int", entry.AType)) == int(ffi.cast("int", entry.BType)) == half
        and int(ffi.cast("int", entry.CType)) == int(ffi.cast("int", entry.ResultType)) == single
    )


def _local_memory(handle: Any) -> int:
    memory = ffi.new("VkPhysicalDeviceMemoryProperties*")
    _vk.lib.vkGetPhysicalDeviceMemoryProperties(handle, memory)
    sizes = [
        memory.memoryHeaps[i].size for i in range(memory.memoryHeapCount) if memory.memoryHeaps[i].flags & 1
    ]
    return max(sizes, default=0)
