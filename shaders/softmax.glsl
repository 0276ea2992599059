#version 460
// The logarithm of softmax and both gradients; softmax itself is snn-softmax.
#include "softmax.glsl"
