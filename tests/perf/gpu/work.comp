// SPDX-License-Identifier: Apache-2.0
#version 450
// A little arithmetic for each invocation; the constant makes pipelines that no cache has seen.
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint seed = 1;
layout(set = 0, binding = 0) buffer Words
{
	uint words[];
};
layout(push_constant) uniform Push
{
	uint add;
};

void main()
{
	uint value = gl_GlobalInvocationID.x ^ seed;
	for (uint i = 0; i < 8; i++) {
		value = value * 1664525u + 1013904223u + add;
	}
	words[gl_GlobalInvocationID.x % words.length()] = value;
}
