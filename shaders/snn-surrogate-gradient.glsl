#version 460
// Derivatives of the built-in surrogates at u = H - v_threshold, four elements an invocation.
#include "common.glsl"
#include "surrogate.glsl"
layout(local_size_x = 256) in;
layout(constant_id = 0) const uint SURROGATE = 0;
layout(push_constant) uniform PC { FloatIn u; UintOut y; uint n; float scale; float top; } pc;

uint element(uint i) { return floatBitsToUint(derivative(SURROGATE, pc.u.d[i], pc.scale, pc.top)); }

#include "four.glsl"
