// SPDX-License-Identifier: Apache-2.0
#version 450
layout(push_constant) uniform Push
{
	uint frame;
};
layout(location = 0) out vec3 colour;

void main()
{
	float angle = float(gl_VertexIndex) * 2.0943951 + float(frame) * 0.01;
	gl_Position = vec4(cos(angle), sin(angle), 0.0, 1.0);
	colour = vec3(gl_VertexIndex == 0, gl_VertexIndex == 1, gl_VertexIndex == 2);
}
