// Derivatives of the built-in surrogates at u = H - v_threshold; the host computes `scale` and `top` of each from its alpha.
float derivative(uint surrogate, float u, float scale, float top) {
    float z = u * scale, d = abs(z) + 1.0, e;
    switch (surrogate) {
        case 0: return top / (z * z + 1.0);    // ATan
        case 1:                                // Sigmoid: s (1 - s) = e / (1 + e)^2, where nothing cancels or overflows
            e = exp(-abs(z));
            return top * e / ((1.0 + e) * (1.0 + e));
        case 2: return top / (d * d);          // FastSigmoid, SuperSpike
        case 3:                                // PiecewiseQuadratic
            e = top - abs(z);
            return e > 0.0 || e != e ? e : 0.0;
        case 4: return top * exp(-abs(z));     // PiecewiseExp
        case 5: return top * exp(-(z * z));    // Erf
        case 6: return abs(u) < scale ? top : 0.0;  // Rect
    }
    return top;                                // StraightThrough
}
