#version 450
// SPDX-License-Identifier: Apache-2.0
// floor.vert - vertices come from a buffer
#extension GL_GOOGLE_include_directive : require
#include "scene.glsl"
layout(location = 0) in vec3 position;
layout(location = 1) in vec2 uv;
layout(location = 0) out vec2 texel;
layout(location = 1) out float fog;

void main()
{
	gl_Position = project(position);
	texel = uv;
	fog = clamp(gl_Position.w * (1.0 / 28.0), 0.0, 1.0);
}
