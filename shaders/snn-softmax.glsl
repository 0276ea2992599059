#version 460
// Softmax along an axis.
#include "softmax.glsl"
