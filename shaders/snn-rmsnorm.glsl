#version 460
// Root-mean-square norm.
#include "norm-rows.glsl"
