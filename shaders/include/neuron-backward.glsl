// One neuron backwards: what both gradients through time, from saved potentials and from the input, are made of.
#include "neuron.glsl"
#include "surrogate.glsl"
#include "group-sum.glsl"
layout(constant_id = 3) const bool DETACH = false;
layout(constant_id = 4) const uint SURROGATE = 0;
layout(constant_id = 5) const bool EXACT = false;  // T is UNROLL: one round
layout(constant_id = 6) const uint UNROLL = 16;

// The gradient at H, but for what arrives at H itself.
float potential_gradient(float g_s, float carried, float h, float threshold, float r, vec2 shape) {
    float sg = derivative(SURROGATE, h - threshold, shape.x, shape.y), through;
    if (SOFT) through = DETACH ? 1.0 : 1.0 - threshold * sg;
    else {
        through = 1.0 - fire(h, threshold);
        if (!DETACH) through += (r - h) * sg;
    }
    return g_s * sg + carried * through;
}

// The derivative of H by k; `before` is the potential before the charge.
float rate_gradient(float x, float before, float r) { return KIND == 1 ? x - (before - r) : -(before - r); }
