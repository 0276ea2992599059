#version 460
// Layer norm.
#include "norm-rows.glsl"
