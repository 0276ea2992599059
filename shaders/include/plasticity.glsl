// Where the spikes on the two sides of a weight lie: a dense layer is a convolution of single pixels.
layout(constant_id = 0) const uint KH = 1;
layout(constant_id = 1) const uint KW = 1;
layout(constant_id = 2) const uint STRIDE_H = 1;
layout(constant_id = 3) const uint STRIDE_W = 1;
layout(constant_id = 4) const uint PADDING_H = 0;
layout(constant_id = 5) const uint PADDING_W = 0;
layout(constant_id = 6) const uint DILATION_H = 1;
layout(constant_id = 7) const uint DILATION_W = 1;

const uint AHEAD = 8;  // steps whose spikes are asked for at once

struct Sides { uint steps, batch, channels, outs, groups, height, width, out_height, out_width; };

uint pre_size(Sides s) { return s.batch * s.channels * s.height * s.width; }
uint post_size(Sides s) { return s.batch * s.outs * s.out_height * s.out_width; }
uint weight_count(Sides s) { return s.outs * (s.channels / s.groups) * (KH * KW); }

// Output and input channel of weight i, and its place in the kernel.
uvec4 weight_place(Sides s, uint i) {
    uint within = s.channels / s.groups, tap = i % (KH * KW), rest = i / (KH * KW);
    uint o = rest / within, channel = o / (s.outs / s.groups) * within + rest % within;
    return uvec4(o, channel, tap / KW, tap % KW);
}

// The elements of one step of pre and post that meet in image n at output row y and column x; false outside the image.
bool meet(Sides s, uvec4 place, uint n, uint y, uint x, out uint pre, out uint post) {
    uint row = y * STRIDE_H + place.z * DILATION_H - PADDING_H, column = x * STRIDE_W + place.w * DILATION_W - PADDING_W;
    pre = ((n * s.channels + place.y) * s.height + row) * s.width + column;
    post = ((n * s.outs + place.x) * s.out_height + y) * s.out_width + x;
    return row < s.height && column < s.width;  // below 0 is far above
}
