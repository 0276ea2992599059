// One neuron: charge, fire, reset, in the order of operations that every backend follows; and the same backwards.
#pragma once
#include "common.cuh"
// KIND: 0 integrates, 1 leaks with decayed input, 2 leaks with input as it is. EXACT: all steps are UNROLL. START: 0 where
// all neurons begin with the same potential, which is there once.
#ifndef EXACT
#define EXACT 0
#define START 1
#define SAVE 1  // forward: potentials are saved
#endif

__device__ inline REAL charge(REAL x, REAL v, REAL k, REAL r) {
    if (KIND == 0) return v + x;
    if (KIND == 1) return v + (x - (v - r)) * k;
    return (v - (v - r) * k) + x;
}

__device__ inline REAL fire(REAL h, REAL threshold) { return h >= threshold ? (REAL)1 : (REAL)0; }

// `soft` subtracts `threshold`, else the potential goes to `r`.
__device__ inline REAL reset(REAL h, REAL s, REAL threshold, REAL r, int soft) {
    if (soft) return h - s * threshold;
    return ((REAL)1 - s) * h + s * r;
}

#ifdef SURROGATE
// Derivatives of the built-in surrogates at u = H - v_threshold; the host computes `scale` and `top` of each from its alpha.
__device__ inline REAL derivative(REAL u, REAL scale, REAL top) {
    REAL z = u * scale, size = fabs(z);
    if (SURROGATE == 0) return top / (z * z + (REAL)1);  // ATan
    if (SURROGATE == 1) {                                // Sigmoid: s (1 - s) = e / (1 + e)^2, where nothing cancels
        REAL e = exp(-size), d = (REAL)1 + e;
        return top * e / (d * d);
    }
    if (SURROGATE == 2) {  // FastSigmoid, SuperSpike
        REAL d = size + (REAL)1;
        return top / (d * d);
    }
    if (SURROGATE == 3) {  // PiecewiseQuadratic
        REAL e = top - size;
        return e > (REAL)0 || e != e ? e : (REAL)0;
    }
    if (SURROGATE == 4) return top * exp(-size);                      // PiecewiseExp
    if (SURROGATE == 5) return top * exp(-(z * z));                   // Erf
    if (SURROGATE == 6) return fabs(u) < scale ? top : (REAL)0;       // Rect
    return top;                                                       // StraightThrough
}

// The gradient at H, but for what arrives at H itself.
__device__ inline REAL potential_gradient(
    REAL g_s, REAL carried, REAL h, REAL threshold, REAL r, int soft, int detach, REAL scale, REAL top
) {
    REAL sg = derivative(h - threshold, scale, top), through;
    if (soft) through = detach ? (REAL)1 : (REAL)1 - threshold * sg;
    else {
        through = (REAL)1 - fire(h, threshold);
        if (!detach) through += (r - h) * sg;
    }
    return g_s * sg + carried * through;
}

// The derivative of H by k; `before` is the potential before the charge.
__device__ inline REAL rate_gradient(REAL x, REAL before, REAL r) {
    return KIND == 1 ? x - (before - r) : -(before - r);
}
#endif
