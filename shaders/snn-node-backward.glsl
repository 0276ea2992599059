#version 460
// Gradient of one step of spiking neurons.
#include "recompute.glsl"
