// Neurons with more than a leak. MODEL 0: KLIF, a rectifier of learned slope k behind the charge; 1: CubaLIF, whose second
// state is a current; 2: ALIF, whose second state raises the threshold. The order of operations is that of every backend.
struct Model { float rate, carry, beta, threshold, r, k, inverse; };

// The charged potential; a current takes the input.
float charged(Model m, float x, float v, inout float second) {
    if (MODEL != 1) return charge(x, v, m.rate, m.r);
    precise float c = second * m.carry + x, h = v * m.rate + c;
    second = c;
    return h;
}

// What is compared with the threshold.
float seen(Model m, float h) {
    if (MODEL != 0) return h;
    precise float f = h * m.k;
    return f > 0.0 || f != f ? f : 0.0;
}

float level(Model m, float second) {
    if (MODEL != 2) return m.threshold;
    precise float raised = second * m.beta + m.threshold;
    return raised;
}

// What is reset, and what a soft reset subtracts.
float base_of(Model m, float f, bool is_scaled) {
    precise float base = f * m.inverse;
    return is_scaled ? base : f;
}

float subtracted(Model m, bool is_scaled) {
    precise float scaled = m.inverse * m.threshold;
    return is_scaled ? scaled : m.threshold;
}

// Fire and reset; a spike raises the threshold.
float fire_and_reset(Model m, float h, bool is_scaled, inout float v, inout float second) {
    float f = seen(m, h), s = fire(f, level(m, second));
    v = reset(base_of(m, f, is_scaled), s, subtracted(m, is_scaled), m.r);
    precise float adapted = second * m.carry + s;
    if (MODEL == 2) second = adapted;
    return s;
}
