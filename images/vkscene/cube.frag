#version 450
// SPDX-License-Identifier: Apache-2.0
// cube.frag - the crate texture, tinted and lit
layout(set = 0, binding = 3) uniform sampler2D crate;
layout(location = 0) in vec2 texel;
layout(location = 1) in vec3 tint;
layout(location = 0) out vec4 color;

void main()
{
	color = vec4(texture(crate, texel).rgb * tint, 1.0);
}
