#version 450
// SPDX-License-Identifier: Apache-2.0
// spark.frag - a soft disc, added to what is there
layout(location = 0) in vec2 where;
layout(location = 1) in vec3 tint;
layout(location = 0) out vec4 color;

void main()
{
	float d = max(1.0 - dot(where, where), 0.0);
	color = vec4(tint * d, d);
}
