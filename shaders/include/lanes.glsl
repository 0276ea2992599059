// A workgroup of 256 as `width` results with `depth` lanes each, both powers of two. ALONG: neighbouring invocations are
// lanes of one result, whose elements lie in a run; else they are neighbouring results, which lie in a run.
layout(constant_id = 0) const bool ALONG = true;

uint depth, width, lane, column, depth_log;

void take_lanes(uint log2_of_depth) {
    uint t = gl_LocalInvocationIndex;
    depth_log = log2_of_depth;
    depth = 1u << depth_log;
    width = 256u >> depth_log;
    lane = ALONG ? t & (depth - 1) : t >> (8 - depth_log);
    column = ALONG ? t >> depth_log : t & (width - 1);
}

// How many workgroups lie side by side over n results.
uint tiles_of(uint n) { return (n + width - 1) >> (8 - depth_log); }

// How far apart in the workgroup two neighbouring lanes of a result are.
uint lane_step() { return ALONG ? 1 : width; }

uint group_index() { return gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x; }
