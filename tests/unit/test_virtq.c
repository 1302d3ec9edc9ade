/* SPDX-License-Identifier: Apache-2.0 */
/* test_virtq.c - virtqueues against good and bad drivers, and the status machine */
#include "fake_driver.h"
#include "unit.h"
#include "virtio/virtq.h"

#include "base/log.h"

#include <stdlib.h>

/* A device that keeps the shape of the last chain and answers at once, or holds chains if told to. */
struct probe {
	struct virtio_device base;
	bool hold;
	unsigned popped, resets, activations, readable, writable;
	uint64_t readable_len, writable_len;
	struct virtq_chain *held;
};

static void probe_notify(struct virtio_device *device, unsigned index)
{
	struct probe *probe = (struct probe *)device;
	struct virtq *queue = virtio_device_queue(device, index);
	do {
		virtq_stop_kicks(queue);
		struct virtq_chain *chain;
		while ((chain = virtq_pop(queue))) {
			probe->popped++;
			probe->readable = chain->readable_count;
			probe->writable = chain->writable_count;
			probe->readable_len = chain->readable_len;
			probe->writable_len = chain->writable_len;
			if (probe->hold) {
				chain->next = probe->held;
				probe->held = chain;
			} else {
				virtq_push(queue, chain, (uint32_t)chain->writable_len);
			}
		}
	} while (virtq_want_kicks(queue));
	virtq_interrupt(queue);
}

static void probe_activate(struct virtio_device *device)
{
	((struct probe *)device)->activations++;
}

static void probe_drop_held(struct probe *probe)
{
	while (probe->held) {
		struct virtq_chain *chain = probe->held;
		probe->held = chain->next;
		virtq_drop(virtio_device_queue(&probe->base, 0), chain);
	}
}

static void probe_reset(struct virtio_device *device)
{
	struct probe *probe = (struct probe *)device;
	probe->resets++;
	probe_drop_held(probe);
	virtio_device_reset_done(device);
}

static void probe_destroy(struct virtio_device *device)
{
	struct probe *probe = (struct probe *)device;
	probe_drop_held(probe);
	virtio_device_finish(device);
	free(probe);
}

static const struct virtio_device_ops probe_ops = {
	.activate = probe_activate,
	.notify = probe_notify,
	.reset = probe_reset,
	.destroy = probe_destroy,
};

static struct probe *probe_create(struct fake_driver *d)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	assert_non_null(probe);
	probe->base = (struct virtio_device){
		.name = "probe",
		.ops = &probe_ops,
		.loop = d->loop,
		.gmem = d->gmem,
		.id = VIRTIO_ID_RNG,
		.queue_count = 1,
		.queue_size = 256,
	};
	assert_int_equal(virtio_device_init(&probe->base, NULL), 0);
	return probe;
}

struct rig {
	struct fake_driver d;
	struct probe *probe;
	struct fake_queue *q;
	uint64_t data; /* 64 KiB */
};

static void rig_start(struct rig *rig, uint64_t features, uint16_t size)
{
	fake_init(&rig->d);
	rig->probe = probe_create(&rig->d);
	fake_start(&rig->d, &rig->probe->base, features, size);
	rig->q = &rig->d.queues[0];
	rig->data = fake_alloc(&rig->d, 65536);
}

/* Offer head 0 and expect the device to refuse it, then to work again after a reset. */
static void rig_expect_broken(struct rig *rig)
{
	fake_offer(rig->q, 0);
	fake_kick(&rig->d, 0);
	assert_true(fake_is_broken(&rig->d));
	assert_int_equal(rig->probe->popped, 0);
	assert_int_equal(fake_used_idx(rig->q), 0);
	assert_int_equal(rig->d.config_interrupts, 1);
	fake_reset(&rig->d);
	assert_int_equal(virtio_transport_status(&rig->probe->base), 0);
	rig->d.device = &rig->probe->base;
	fake_start(&rig->d, &rig->probe->base, 0, 4);
	struct fake_buffer buffer = {rig->data, 16, true};
	fake_offer_chain(&rig->d, 0, &buffer, 1);
	fake_kick(&rig->d, 0);
	assert_int_equal(rig->probe->popped, 1);
	fake_finish(&rig->d);
}

static void chain_arrives_whole_and_goes_back(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8);
	struct fake_buffer buffers[] = {
		{rig.data, 16, false}, {rig.data + 100, 0, false}, {rig.data + 16, 512, true}, {rig.data + 600, 1, true}};
	uint16_t head = fake_offer_chain(&rig.d, 0, buffers, 4);
	fake_kick(&rig.d, 0);
	assert_int_equal(rig.probe->readable, 1);
	assert_int_equal(rig.probe->writable, 2);
	assert_int_equal(rig.probe->writable_len, 513);
	uint32_t id, len;
	assert_true(fake_take_used(rig.q, &id, &len));
	assert_int_equal(id, head);
	assert_int_equal(len, 513);
	assert_int_equal(rig.q->interrupts, 1);
	fake_finish(&rig.d);
}

static void copies_stop_at_the_end_of_their_part(void **state)
{
	uint8_t a[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8}, w[2] = {0}, out[8];
	struct iovec readable[] = {{a, 4}, {b, 4}}, writable[] = {{w, 2}}, slice[2];
	struct virtq_chain chain = {.readable_count = 2, .writable_count = 1, .readable = readable, .writable = writable};
	assert_int_equal(virtq_chain_read(&chain, 3, out, 8), 5);
	assert_int_equal(out[0], 4);
	assert_int_equal(out[4], 8);
	assert_int_equal(virtq_chain_read(&chain, 9, out, 8), 0);
	assert_int_equal(virtq_chain_write(&chain, 1, "xy", 2), 1);
	assert_int_equal(w[1], 'x');
	assert_int_equal(virtq_slice(readable, 2, 3, 2, slice), 2);
	assert_ptr_equal(slice[0].iov_base, a + 3);
	assert_int_equal(slice[1].iov_len, 1);
	assert_int_equal(virtq_slice(readable, 2, 7, 2, slice), 0);
}

static void loops_are_refused(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8);
	fake_desc_set(rig.q, 0, rig.data, 8, FAKE_NEXT, 1);
	fake_desc_set(rig.q, 1, rig.data, 8, FAKE_NEXT, 0);
	rig_expect_broken(&rig);
}

static void descriptor_numbers_out_of_range_are_refused(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8);
	fake_desc_set(rig.q, 0, rig.data, 8, FAKE_NEXT, 8);
	rig_expect_broken(&rig);
	rig_start(&rig, 0, 8);
	rig.q->avail[2] = 9; /* overwritten by the offer below, so make the offer itself bad */
	fake_offer(rig.q, 9);
	fake_kick(&rig.d, 0);
	assert_true(fake_is_broken(&rig.d));
	fake_finish(&rig.d);
}

static void buffers_outside_of_memory_are_refused(void **state)
{
	const struct fake_desc bad[] = {
		{FAKE_RAM_BASE + FAKE_RAM_LEN - 4, 8, 0, 0},
		{0, 8, 0, 0},
		{UINT64_MAX - 3, 8, FAKE_WRITE, 0},
		{FAKE_RAM_BASE, UINT32_MAX, 0, 0},
		{FAKE_RAM_BASE - 1, 2, 0, 0},
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rig rig;
		rig_start(&rig, 0, 8);
		rig.q->desc[0] = bad[i];
		rig_expect_broken(&rig);
	}
}

static void readable_after_writable_is_refused(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8);
	fake_desc_set(rig.q, 0, rig.data, 8, FAKE_WRITE | FAKE_NEXT, 1);
	fake_desc_set(rig.q, 1, rig.data, 8, 0, 0);
	rig_expect_broken(&rig);
}

static void four_gigabytes_are_refused(void **state)
{
	struct rig rig;
	rig_start(&rig, VIRTIO_F_INDIRECT_DESC, 8);
	uint64_t table = fake_alloc(&rig.d, 1024 * 16);
	struct fake_desc *desc = fake_ptr(&rig.d, table);
	for (unsigned i = 0; i < 1024; i++) { /* 1024 times the 8 MiB in the middle of RAM */
		desc[i] = (struct fake_desc){FAKE_RAM_BASE, 8 << 20, i < 1023 ? FAKE_NEXT : 0, (uint16_t)(i + 1)};
	}
	fake_desc_set(rig.q, 0, table, 1024 * 16, FAKE_INDIRECT, 0);
	rig_expect_broken(&rig);
}

static void indirect_table_is_walked(void **state)
{
	struct rig rig;
	rig_start(&rig, VIRTIO_F_INDIRECT_DESC, 8);
	struct fake_desc *table = fake_ptr(&rig.d, rig.data);
	for (unsigned i = 0; i < 100; i++) { /* more buffers than the queue has, after a direct one */
		table[i] = (struct fake_desc){rig.data + 4096 + i, 1, FAKE_WRITE | (i < 99 ? FAKE_NEXT : 0),
					      (uint16_t)(i + 1)};
	}
	fake_desc_set(rig.q, 3, rig.data + 8192, 7, FAKE_NEXT, 5);
	fake_desc_set(rig.q, 5, rig.data, 1600, FAKE_INDIRECT, 0);
	fake_offer(rig.q, 3);
	fake_kick(&rig.d, 0);
	assert_int_equal(rig.probe->readable_len, 7);
	assert_int_equal(rig.probe->writable, 100);
	fake_finish(&rig.d);
}

static void bad_indirect_tables_are_refused(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8); /* not negotiated */
	fake_desc_set(rig.q, 0, rig.data, 16, FAKE_INDIRECT, 0);
	rig_expect_broken(&rig);
	const struct fake_desc bad[] = {
		{FAKE_RAM_BASE, 15, FAKE_INDIRECT, 0},	   {FAKE_RAM_BASE, 0, FAKE_INDIRECT, 0},
		{FAKE_RAM_BASE, 1025 * 16, FAKE_INDIRECT, 0}, {FAKE_RAM_BASE, 16, FAKE_INDIRECT | FAKE_NEXT, 1},
		{64, 16, FAKE_INDIRECT, 0},
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig_start(&rig, VIRTIO_F_INDIRECT_DESC, 8);
		rig.q->desc[0] = bad[i];
		rig_expect_broken(&rig);
	}
	rig_start(&rig, VIRTIO_F_INDIRECT_DESC, 8);
	struct fake_desc *table = fake_ptr(&rig.d, rig.data);
	table[0] = (struct fake_desc){rig.data, 16, FAKE_INDIRECT, 0}; /* nested */
	fake_desc_set(rig.q, 0, rig.data, 16, FAKE_INDIRECT, 0);
	rig_expect_broken(&rig);
	rig_start(&rig, VIRTIO_F_INDIRECT_DESC, 8);
	table = fake_ptr(&rig.d, rig.data);
	table[0] = (struct fake_desc){rig.data, 16, FAKE_NEXT, 0}; /* loops within the table */
	fake_desc_set(rig.q, 0, rig.data, 16, FAKE_INDIRECT, 0);
	rig_expect_broken(&rig);
}

static void available_index_may_not_run_away(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8);
	fake_desc_set(rig.q, 0, rig.data, 8, 0, 0);
	rig.q->avail[1] = 9;
	fake_kick(&rig.d, 0);
	assert_true(fake_is_broken(&rig.d));
	fake_finish(&rig.d);
}

static void a_head_in_flight_may_not_come_again(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8);
	rig.probe->hold = true;
	fake_desc_set(rig.q, 0, rig.data, 8, 0, 0);
	fake_offer(rig.q, 0);
	fake_kick(&rig.d, 0);
	assert_false(fake_is_broken(&rig.d));
	fake_offer(rig.q, 0);
	fake_kick(&rig.d, 0);
	assert_true(fake_is_broken(&rig.d));
	assert_int_equal(rig.probe->popped, 1);
	fake_reset(&rig.d);
	assert_int_equal(rig.probe->resets, 1);
	assert_int_equal(virtio_transport_status(&rig.probe->base), 0);
	fake_finish(&rig.d);
}

static void event_idx_decides_across_the_wrap(void **state)
{
	struct rig rig;
	rig_start(&rig, VIRTIO_F_EVENT_IDX, 8);
	uint16_t *used_event = &rig.q->avail[2 + 8];
	unsigned expected = 0;
	for (uint32_t i = 0; i < 70000; i++) {
		bool wanted = i % 3 == 0;
		*used_event = (uint16_t)(wanted ? i : i + 100);
		struct fake_buffer buffer = {rig.data, 4, true};
		fake_offer_chain(&rig.d, 0, &buffer, 1);
		probe_notify(&rig.probe->base, 0);
		expected += wanted;
		uint32_t id, len;
		assert_true(fake_take_used(rig.q, &id, &len));
		uint16_t avail_event;
		memcpy(&avail_event, rig.q->used + 4 + 64, 2);
		assert_int_equal(avail_event, (uint16_t)(i + 1));
	}
	assert_int_equal(rig.q->interrupts, expected);
	fake_finish(&rig.d);
}

static void flags_suppress_interrupts_and_kicks(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8);
	rig.q->avail[0] = 1;
	struct fake_buffer buffer = {rig.data, 4, true};
	fake_offer_chain(&rig.d, 0, &buffer, 1);
	fake_kick(&rig.d, 0);
	assert_int_equal(rig.q->interrupts, 0);
	virtq_stop_kicks(virtio_device_queue(rig.d.device, 0));
	assert_int_equal(rig.q->used[0], 1);
	assert_false(virtq_want_kicks(virtio_device_queue(rig.d.device, 0)));
	assert_int_equal(rig.q->used[0], 0);
	fake_finish(&rig.d);
}

static void unpopped_chain_comes_again(void **state)
{
	struct rig rig;
	rig_start(&rig, 0, 8);
	struct virtq *queue = virtio_device_queue(rig.d.device, 0);
	struct fake_buffer buffer = {rig.data, 4, true};
	uint16_t head = fake_offer_chain(&rig.d, 0, &buffer, 1);
	virtq_unpop(queue, virtq_pop(queue));
	assert_int_equal(virtq_in_flight(queue), 0);
	struct virtq_chain *chain = virtq_pop(queue);
	assert_non_null(chain);
	assert_int_equal(chain->head, head);
	virtq_push(queue, chain, 0);
	fake_finish(&rig.d);
}

static void queues_of_bad_size_or_place_break_the_device(void **state)
{
	const struct virtio_queue_setup bad[] = {
		{0, true, FAKE_RAM_BASE, FAKE_RAM_BASE, FAKE_RAM_BASE},
		{3, true, FAKE_RAM_BASE, FAKE_RAM_BASE, FAKE_RAM_BASE},
		{65535, true, FAKE_RAM_BASE, FAKE_RAM_BASE, FAKE_RAM_BASE},
		{32768, true, FAKE_RAM_BASE, FAKE_RAM_BASE, FAKE_RAM_BASE},
		{8, true, FAKE_RAM_BASE + 8, FAKE_RAM_BASE, FAKE_RAM_BASE},
		{8, true, FAKE_RAM_BASE, FAKE_RAM_BASE + 1, FAKE_RAM_BASE},
		{8, true, FAKE_RAM_BASE, FAKE_RAM_BASE, FAKE_RAM_BASE + 2},
		{8, true, 0, FAKE_RAM_BASE, FAKE_RAM_BASE},
		{8, true, FAKE_RAM_BASE, FAKE_RAM_BASE, FAKE_RAM_BASE + FAKE_RAM_LEN - 64},
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fake_driver d;
		fake_init(&d);
		struct probe *probe = probe_create(&d);
		assert_true(fake_negotiate(&d, &probe->base, VIRTIO_F_VERSION_1));
		virtio_transport_set_queue(&probe->base, 0, &bad[i]);
		virtio_transport_set_status(&probe->base, 0xf, 0);
		fake_pump(&d);
		assert_true(fake_is_broken(&d));
		fake_kick(&d, 0);
		fake_reset(&d);
		assert_int_equal(virtio_transport_status(&probe->base), 0);
		fake_finish(&d);
	}
}

static void features_are_checked(void **state)
{
	struct fake_driver d;
	fake_init(&d);
	struct probe *probe = probe_create(&d);
	assert_false(fake_negotiate(&d, &probe->base, 0)); /* no VERSION_1 */
	fake_reset(&d);
	assert_false(fake_negotiate(&d, &probe->base, VIRTIO_F_VERSION_1 | 1)); /* not offered */
	virtio_transport_set_status(&probe->base, 0xf, 0);
	assert_false(virtio_transport_status(&probe->base) & VIRTIO_STATUS_DRIVER_OK);
	fake_reset(&d);
	assert_true(fake_negotiate(&d, &probe->base, VIRTIO_F_VERSION_1));
	virtio_transport_accept(&probe->base, 0, 1); /* too late */
	assert_int_equal(virtio_transport_accepted(&probe->base, 0), 0);
	fake_finish(&d);
}

static void kicks_before_driver_ok_are_kept_and_reset_wins(void **state)
{
	struct fake_driver d;
	fake_init(&d);
	struct probe *probe = probe_create(&d);
	assert_true(fake_negotiate(&d, &probe->base, VIRTIO_F_VERSION_1));
	fake_setup_queue(&d, 0, 8);
	struct fake_buffer buffer = {fake_alloc(&d, 4096), 4, true};
	fake_offer_chain(&d, 0, &buffer, 1);
	fake_kick(&d, 0);
	assert_int_equal(probe->popped, 0);
	virtio_transport_set_status(&probe->base, 0xf, 0);
	fake_pump(&d);
	assert_int_equal(probe->popped, 1);
	fake_reset(&d);
	assert_true(fake_negotiate(&d, &probe->base, VIRTIO_F_VERSION_1));
	virtio_transport_set_status(&probe->base, 0xf, 0);
	virtio_transport_set_status(&probe->base, 0, 0); /* before the loop saw DRIVER_OK */
	assert_int_equal(virtio_transport_status(&probe->base), 0xf);
	fake_pump(&d);
	assert_int_equal(virtio_transport_status(&probe->base), 0);
	assert_int_equal(probe->activations, 1);
	fake_finish(&d);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_arrives_whole_and_goes_back),
		cmocka_unit_test(copies_stop_at_the_end_of_their_part),
		cmocka_unit_test(loops_are_refused),
		cmocka_unit_test(descriptor_numbers_out_of_range_are_refused),
		cmocka_unit_test(buffers_outside_of_memory_are_refused),
		cmocka_unit_test(readable_after_writable_is_refused),
		cmocka_unit_test(four_gigabytes_are_refused),
		cmocka_unit_test(indirect_table_is_walked),
		cmocka_unit_test(bad_indirect_tables_are_refused),
		cmocka_unit_test(available_index_may_not_run_away),
		cmocka_unit_test(a_head_in_flight_may_not_come_again),
		cmocka_unit_test(event_idx_decides_across_the_wrap),
		cmocka_unit_test(flags_suppress_interrupts_and_kicks),
		cmocka_unit_test(unpopped_chain_comes_again),
		cmocka_unit_test(queues_of_bad_size_or_place_break_the_device),
		cmocka_unit_test(features_are_checked),
		cmocka_unit_test(kicks_before_driver_ok_are_kept_and_reset_wins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
