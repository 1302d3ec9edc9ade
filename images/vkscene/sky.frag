#version 450
// SPDX-License-Identifier: Apache-2.0
// sky.frag - dusk from the horizon up
layout(location = 0) in vec2 where;
layout(location = 0) out vec4 color;

void main()
{
	vec3 top = vec3(0.05, 0.07, 0.20), low = vec3(0.85, 0.45, 0.35);
	color = vec4(mix(top, low, where.y * where.y), 1.0);
}
