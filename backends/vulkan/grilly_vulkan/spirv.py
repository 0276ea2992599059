"""Reading SPIR-V: what a shader declares of capabilities and specialisation constants."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["CAPABILITY_FEATURES", "capabilities", "constants", "instructions", "version"]

CAPABILITY_FEATURES = {
    9: "shaderFloat16",
    11: "shaderInt64",
    22: "shaderInt16",
    4433: "storageBuffer16BitAccess",
    5345: "vulkanMemoryModel",
    5346: "vulkanMemoryModelDeviceScope",
    5347: "bufferDeviceAddress",
    6022: "cooperativeMatrix",
}
"""Features that capabilities of our shaders need; the others are part of every Vulkan 1.2 device with subgroups."""

_TYPES = {20: "b", 21: "i", 22: "f"}
_SPEC_CONSTANTS = (48, 49, 50)  # true, false, a number
_DECORATE, _SPEC_ID, _FUNCTION = 71, 1, 54


def instructions(code: bytes) -> Iterator[tuple[int, memoryview]]:
    """Opcode and operands of each instruction."""
    words = memoryview(code).cast("I")
    at = 5
    while at < len(words):
        opcode, count = words[at] & 0xFFFF, words[at] >> 16
        if count == 0:
            raise ValueError("not SPIR-V: an instruction of no words")
        yield opcode, words[at + 1 : at + count]
        at += count


def version(code: bytes) -> tuple[int, int]:
    """SPIR-V version as (major, minor)."""
    words = memoryview(code).cast("I")
    if words[0] != 0x07230203:
        raise ValueError("not SPIR-V: wrong magic number")
    return words[1] >> 16 & 0xFF, words[1] >> 8 & 0xFF


def capabilities(code: bytes) -> set[int]:
    """Numbers of the capabilities that the shader declares."""
    found = set()
    for opcode, operands in instructions(code):
        if opcode == 17:
            found.add(operands[0])
        elif opcode not in (10, 11):
            break
    return found


def constants(code: bytes) -> dict[int, str]:
    """Specialisation constants: id and kind, 'f' float, 'i' integer, 'b' bool."""
    kinds, ids, found = {}, {}, {}
    for opcode, operands in instructions(code):
        if opcode == _DECORATE and operands[1] == _SPEC_ID:
            ids[operands[0]] = operands[2]
        elif opcode in _TYPES:
            kinds[operands[0]] = _TYPES[opcode]
        elif opcode in _SPEC_CONSTANTS and operands[1] in ids:
            found[ids[operands[1]]] = kinds[operands[0]]
        elif opcode == _FUNCTION:
            break
    return found
