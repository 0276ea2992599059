// Pointers, and the index of an invocation in a grid that may be folded into y.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : enable

layout(buffer_reference, std430, buffer_reference_align = 4) restrict readonly buffer FloatIn { float d[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) restrict writeonly buffer FloatOut { float d[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) restrict readonly buffer UintIn { uint d[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) restrict writeonly buffer UintOut { uint d[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) restrict readonly buffer IntIn { int d[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) restrict writeonly buffer IntOut { int d[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) restrict readonly buffer Vec4In { vec4 d[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) restrict writeonly buffer Vec4Out { vec4 d[]; };

#define GLOBAL_INDEX (gl_GlobalInvocationID.x + gl_GlobalInvocationID.y * (gl_NumWorkGroups.x * gl_WorkGroupSize.x))

// The first of N elements of an invocation that lie a workgroup (256) apart: neighbours read neighbours, N reads in flight.
#define FIRST_OF(N) ((gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x) * (256 * N) + gl_LocalInvocationID.x)
