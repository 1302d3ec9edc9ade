#version 450
// SPDX-License-Identifier: Apache-2.0
// floor.frag - the tiled texture, fading into the horizon
layout(set = 0, binding = 2) uniform sampler2D tiles;
layout(location = 0) in vec2 texel;
layout(location = 1) in float fog;
layout(location = 0) out vec4 color;

void main()
{
	vec3 tile = texture(tiles, texel).rgb;
	color = vec4(mix(tile, vec3(0.85, 0.45, 0.35), fog * fog), 1.0);
}
