#version 450
// SPDX-License-Identifier: Apache-2.0
// spark.vert - a small quad a spark, facing the viewer
#extension GL_GOOGLE_include_directive : require
#include "scene.glsl"
layout(set = 0, binding = 1, std430) readonly buffer Bodies { Body bodies[]; };
layout(push_constant) uniform Push { int first; } push;
layout(location = 0) out vec2 where;
layout(location = 1) out vec3 tint;

void main()
{
	Body body = bodies[push.first + gl_InstanceIndex];
	where = vec2(gl_VertexIndex & 1, gl_VertexIndex >> 1) * 2.0 - 1.0;
	vec4 p = project(body.position.xyz);
	p.xy += where * vec2(0.06, 0.08) * body.position.w;
	gl_Position = p;
	tint = body.color.rgb;
}
