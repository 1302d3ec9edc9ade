#version 450
// SPDX-License-Identifier: Apache-2.0
// bodies.comp - place the cubes and the sparks of one frame; the draws read the result
#extension GL_GOOGLE_include_directive : require
#include "scene.glsl"
layout(local_size_x = 64) in;
layout(set = 0, binding = 1, std430) writeonly buffer Bodies { Body bodies[]; };

uint hash(uint x)
{
	x ^= x >> 16;
	x *= 0x7feb352du;
	x ^= x >> 15;
	x *= 0x846ca68bu;
	return x ^ (x >> 16);
}

float unit(uint x)
{
	return float(x & 0xffffu) * (1.0 / 65536.0);
}

void main()
{
	uint i = gl_GlobalInvocationID.x;
	uint cubes = uint(frame.spin.w);
	uint n = uint(frame.spin.z);
	if (i >= bodies.length()) {
		return;
	}
	uint h = hash(i * 747796405u + 1u);
	vec3 hue = vec3(unit(h), unit(h >> 8), unit(hash(h)));
	if (i < cubes) {
		// a 6 x 6 lattice that waves
		float x = float(int(i % 6u)) * 1.7 - 4.25, z = float(int(i / 6u)) * 1.7 - 4.25;
		uint phase = (n * 4u + i * 29u) & 255u;
		float wave = float(phase < 128u ? phase : 255u - phase) * (1.0 / 128.0);
		bodies[i].position = vec4(x, 0.6 + wave * 1.4, z, 0.35 + 0.2 * unit(h >> 4));
		bodies[i].color = vec4(0.35 + 0.65 * hue, 1.0);
	} else {
		// sparks rise and start again
		uint life = (n * 3u + (h & 1023u)) & 1023u;
		float t = float(life) * (1.0 / 1024.0);
		float x = unit(hash(h ^ 5u)) * 12.0 - 6.0, z = unit(hash(h ^ 9u)) * 12.0 - 6.0;
		bodies[i].position = vec4(x, t * 5.0, z, 1.0 - t);
		bodies[i].color = vec4(vec3(1.0, 0.6, 0.2) * (1.0 - t) + hue * 0.2, 1.0);
	}
}
