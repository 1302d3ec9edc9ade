#version 450
// SPDX-License-Identifier: Apache-2.0
// cube.vert - one instance a body which the compute pass placed
#extension GL_GOOGLE_include_directive : require
#include "scene.glsl"
layout(set = 0, binding = 1, std430) readonly buffer Bodies { Body bodies[]; };
layout(location = 0) in vec3 position;
layout(location = 1) in vec2 uv;
layout(location = 2) in vec3 normal;
layout(location = 0) out vec2 texel;
layout(location = 1) out vec3 tint;

void main()
{
	Body body = bodies[gl_InstanceIndex];
	float s = float(frame.spin.x) * UNIT, c = float(frame.spin.y) * UNIT;
	mat3 turn = mat3(c, 0.0, s, 0.0, 1.0, 0.0, -s, 0.0, c);
	vec3 n = turn * normal;
	float lit = max(dot(n, vec3(frame.light.xyz) * UNIT), 0.0);
	gl_Position = project(turn * position * body.position.w + body.position.xyz);
	texel = uv;
	tint = body.color.rgb * (0.30 + 0.70 * lit);
}
