// i / d for i < 2^31 as a product: the multiplier and shift are those of grilly_vulkan/division.py.
uint divide(uint i, uint multiplier, uint shift) {
    uint high, low;
    umulExtended(i, multiplier, high, low);
    return (high + i) >> shift;
}
