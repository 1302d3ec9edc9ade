/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vfu_caps.c - capabilities of a vfio-user connection
 * Threads: values.
 */
#include "passthrough/vfu_caps.h"

#include "passthrough/vfu_proto.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* A number that may be left out; clamped to [1, most]. */
static int take_number(const json_t *object, const char *key, uint32_t most, uint32_t *out,
		       struct error *err)
{
	const json_t *value = json_object_get(object, key);
	if (!value) {
		return 0;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 1) {
		return error_set(err, -EINVAL, "capability %s is not a positive number", key);
	}
	*out = json_integer_value(value) > most ? most : (uint32_t)json_integer_value(value);
	return 0;
}

int vfu_caps_parse(struct vfu_caps *caps, const void *text, size_t len, struct error *err)
{
	*caps = (struct vfu_caps){.max_fds = 1, .max_data = VFU_DATA_LIMIT, .max_maps = 65535};
	if (!len) {
		return 0;
	}
	if (((const char *)text)[len - 1] != '\0') {
		return error_set(err, -EINVAL, "the capabilities do not end with a NUL");
	}
	json_error_t why;
	json_t *root = json_loads(text, 0, &why);
	if (!json_is_object(root)) {
		json_decref(root);
		return error_set(err, -EINVAL, "the capabilities are not a JSON object");
	}
	const json_t *object = json_object_get(root, "capabilities");
	int status = take_number(object, "max_msg_fds", VFU_MAX_FDS, &caps->max_fds, err);
	if (!status) {
		status = take_number(object, "max_data_xfer_size", VFU_DATA_LIMIT, &caps->max_data,
				     err);
	}
	if (!status) {
		status = take_number(object, "max_dma_maps", UINT32_MAX, &caps->max_maps, err);
	}
	json_decref(root);
	return status;
}

char *vfu_caps_print(const struct vfu_caps *caps)
{
	json_t *root = json_pack("{s:{s:I,s:I,s:I,s:I}}", "capabilities", "max_msg_fds",
				 (json_int_t)caps->max_fds, "max_data_xfer_size",
				 (json_int_t)caps->max_data, "max_dma_maps",
				 (json_int_t)caps->max_maps, "pgsizes", (json_int_t)4096);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}
