// Mean and spread of parts of the data, joined as Chan, Golub & LeVeque 1979 do; and three sums in their place backward.
// Needs lanes.glsl; every invocation must come to over_lanes, and lane 0 gets the result.
struct Moments {
    float count, mean, squares;  // squares: the sum of squared distances from the mean
};
const Moments NO_MOMENTS = Moments(0.0, 0.0, 0.0);

Moments join(Moments a, Moments b) {
    if (b.count == 0.0) return a;
    float count = a.count + b.count, share = b.count / count, apart = b.mean - a.mean;
    return Moments(count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share);
}

shared float parts[3][256];

void put(uint t, vec3 v) {
    parts[0][t] = v.x;
    parts[1][t] = v.y;
    parts[2][t] = v.z;
}
vec3 get(uint t) { return vec3(parts[0][t], parts[1][t], parts[2][t]); }

vec3 over_lanes(vec3 part) {
    uint t = gl_LocalInvocationIndex;
    put(t, part);
    for (uint apart = depth >> 1; apart > 0; apart >>= 1) {
        barrier();
        if (lane < apart) put(t, part += get(t + apart * lane_step()));
    }
    return part;
}

Moments over_lanes(Moments part) {
    uint t = gl_LocalInvocationIndex;
    put(t, vec3(part.count, part.mean, part.squares));
    for (uint apart = depth >> 1; apart > 0; apart >>= 1) {
        barrier();
        if (lane < apart) {
            vec3 other = get(t + apart * lane_step());
            part = join(part, Moments(other.x, other.y, other.z));
            put(t, vec3(part.count, part.mean, part.squares));
        }
    }
    return part;
}
