// SPDX-License-Identifier: Apache-2.0
// scene.glsl - what all shaders of vkscene share: the uniforms of a frame, in integers only
#extension GL_EXT_scalar_block_layout : disable

layout(set = 0, binding = 0, std140) uniform Frame {
	ivec4 camera; // sin, cos of the orbit angle (1/16384), height, distance (1/256)
	ivec4 spin;   // sin, cos of the cubes' spin (1/16384), frame number, instances
	ivec4 light;  // direction (1/16384), unused
} frame;

struct Body {
	vec4 position; // w: scale
	vec4 color;
};

const float UNIT = 1.0 / 16384.0;
const float STEP = 1.0 / 256.0;

// World to clip: an orbit camera looking at the origin, 60 degrees, 4:3.
vec4 project(vec3 p)
{
	float s = float(frame.camera.x) * UNIT, c = float(frame.camera.y) * UNIT;
	vec3 q = vec3(c * p.x - s * p.z, p.y, s * p.x + c * p.z);
	float height = float(frame.camera.z) * STEP, distance = float(frame.camera.w) * STEP;
	float len = sqrt(height * height + distance * distance);
	float sp = height / len, cp = distance / len;
	float y = cp * q.y - sp * q.z;
	float z = len - (sp * q.y + cp * q.z);
	float near = 0.5, far = 60.0;
	return vec4(q.x * 1.299, -y * 1.732, (z - near) * far / (far - near), z);
}
