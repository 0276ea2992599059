// Many arrays in one dispatch: a workgroup takes one chunk of one of them and finds the arrays in a table of addresses.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : enable

// Not restrict: results may be written over what was read.
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float d[]; };

layout(buffer_reference, std430, buffer_reference_align = 8) restrict readonly buffer Addresses { Floats d[]; };

struct Chunk { uint tensor, start, count; };
layout(buffer_reference, std430, buffer_reference_align = 4) restrict readonly buffer Chunks { Chunk d[]; };

const uint EACH = 4;  // elements of an invocation; a chunk has EACH * 256
