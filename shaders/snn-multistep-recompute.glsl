#version 460
// Gradient through time of spiking neurons from their input, several steps.
#include "recompute.glsl"
