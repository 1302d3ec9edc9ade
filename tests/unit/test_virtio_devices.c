/* SPDX-License-Identifier: Apache-2.0 */
/* test_virtio_devices.c - network card, console and random numbers against a fake driver */
#include "fake_driver.h"
#include "unit.h"

#include "base/log.h"
#include "base/own.h"
#include "devices/virtio_console.h"
#include "devices/virtio_net.h"
#include "devices/virtio_rng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- network ---- */

enum { F_MTU = 1 << 3, F_MAC = 1 << 5, F_MRG = 1 << 15, F_STATUS = 1 << 16, HEADER = 12, RX = 0, TX = 1 };

struct card {
	struct fake_driver d;
	int peer; /* the test's end of the cable */
	uint64_t data;
};

static void card_start(struct card *card, uint64_t features, uint16_t size)
{
	int pair[2];
	fake_init(&card->d);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	card->peer = pair[0];
	const struct virtio_net_config config = {.name = "net0", .mac = {2, 3, 4, 5, 6, 7}, .peer = pair[1]};
	fake_start(&card->d, virtio_net_create(&config, card->d.gmem, card->d.loop, NULL), features, size);
	card->data = fake_alloc(&card->d, 4 << 20);
}

static void card_finish(struct card *card)
{
	if (card->peer >= 0) {
		close(card->peer);
	}
	fake_finish(&card->d);
}

static uint8_t *card_data(struct card *card, size_t at)
{
	return (uint8_t *)fake_ptr(&card->d, card->data) + at;
}

static void card_send(struct card *card, uint32_t frame_len)
{
	struct fake_buffer buffers[] = {{card->data, HEADER, false}, {card->data + HEADER, frame_len, false}};
	fake_offer_chain(&card->d, TX, buffers, 2);
}

static void card_offer_rx(struct card *card, size_t at, uint32_t len)
{
	struct fake_buffer buffer = {card->data + at, len, true};
	fake_offer_chain(&card->d, RX, &buffer, 1);
}

static void peer_send(struct card *card, uint32_t len, uint8_t fill)
{
	uint32_t prefix = htonl(len);
	AUTO_FREE uint8_t *frame = malloc(len + 4);
	memcpy(frame, &prefix, 4);
	memset(frame + 4, fill, len);
	assert_int_equal(send(card->peer, frame, len + 4, MSG_DONTWAIT), len + 4);
}

static void frames_go_out_with_their_length(void **state)
{
	struct card card;
	card_start(&card, F_MAC, 8);
	assert_int_equal(virtio_transport_config_read(card.d.device, 5, 1), 7);
	memset(card_data(&card, HEADER), 0xee, 60);
	card_send(&card, 60);
	card_send(&card, 13); /* not even an Ethernet header: dropped */
	fake_kick(&card.d, TX);
	uint8_t got[128];
	assert_int_equal(recv(card.peer, got, sizeof(got), MSG_DONTWAIT), 64);
	assert_int_equal(got[3], 60);
	assert_int_equal(got[4], 0xee);
	assert_int_equal(fake_used_idx(&card.d.queues[TX]), 2);
	card_finish(&card);
}

static void a_slow_peer_holds_the_transmit_queue(void **state)
{
	struct card card;
	card_start(&card, F_MAC, 256);
	for (unsigned i = 0; i < 40; i++) {
		card_data(&card, HEADER)[i] = 7;
		card_send(&card, 65000);
	}
	fake_kick(&card.d, TX);
	unsigned accepted = fake_used_idx(&card.d.queues[TX]);
	assert_in_range(accepted, 1, 30);
	size_t total = 0;
	AUTO_FREE uint8_t *got = malloc(1 << 20);
	ssize_t len;
	while ((len = recv(card.peer, got, 1 << 20, MSG_DONTWAIT)) > 0) {
		total += (size_t)len;
		fake_pump(&card.d);
	}
	assert_int_equal(total, 40 * 65004);
	assert_int_equal(fake_used_idx(&card.d.queues[TX]), 40);
	card_finish(&card);
}

static void frames_come_in_and_wait_for_buffers(void **state)
{
	struct card card;
	card_start(&card, F_MAC, 8);
	peer_send(&card, 100, 0x11);
	peer_send(&card, 200, 0x22);
	fake_pump(&card.d);
	card_offer_rx(&card, 0, 2048);
	fake_kick(&card.d, RX);
	uint32_t id, len;
	assert_true(fake_take_used(&card.d.queues[RX], &id, &len));
	assert_int_equal(len, HEADER + 100);
	assert_int_equal(card_data(&card, 10)[0], 1); /* number of buffers */
	assert_int_equal(card_data(&card, HEADER)[99], 0x11);
	assert_false(fake_take_used(&card.d.queues[RX], &id, &len));
	card_offer_rx(&card, 4096, 2048);
	fake_kick(&card.d, RX);
	assert_true(fake_take_used(&card.d.queues[RX], &id, &len));
	assert_int_equal(len, HEADER + 200);
	assert_int_equal(card_data(&card, 4096 + HEADER)[0], 0x22);
	card_offer_rx(&card, 0, 100); /* too small for the next: that frame is lost, the buffer is not */
	peer_send(&card, 100, 0x33);
	peer_send(&card, 50, 0x44);
	fake_pump(&card.d);
	assert_true(fake_take_used(&card.d.queues[RX], &id, &len));
	assert_int_equal(len, HEADER + 50);
	card_finish(&card);
}

static void large_frames_spread_over_buffers(void **state)
{
	struct card card;
	card_start(&card, F_MAC | F_MTU | F_MRG, 64);
	peer_send(&card, 65000, 0x55);
	fake_pump(&card.d);
	for (unsigned i = 0; i < 15; i++) {
		card_offer_rx(&card, i * 4096, 4096);
	}
	fake_kick(&card.d, RX); /* not enough yet: nothing may show */
	assert_int_equal(fake_used_idx(&card.d.queues[RX]), 0);
	card_offer_rx(&card, 15 * 4096, 4096);
	fake_kick(&card.d, RX);
	uint32_t id, len, total = 0;
	assert_int_equal(fake_used_idx(&card.d.queues[RX]), 16);
	assert_int_equal(card_data(&card, 10)[0], 16);
	while (fake_take_used(&card.d.queues[RX], &id, &len)) {
		total += len;
	}
	assert_int_equal(total, HEADER + 65000);
	assert_int_equal(card_data(&card, HEADER + 64999)[0], 0x55);
	assert_int_equal(card.d.queues[RX].interrupts, 1);
	card_finish(&card);
}

static void a_frame_that_never_fits_is_dropped(void **state)
{
	struct card card;
	card_start(&card, F_MAC | F_MRG, 8);
	for (unsigned i = 0; i < 8; i++) {
		card_offer_rx(&card, i * 64, 64);
	}
	peer_send(&card, 1000, 1);
	peer_send(&card, 40, 2);
	fake_pump(&card.d);
	uint32_t id, len;
	assert_true(fake_take_used(&card.d.queues[RX], &id, &len));
	assert_int_equal(len, HEADER + 40);
	assert_false(fake_is_broken(&card.d));
	card_finish(&card);
}

static void link_goes_down_with_the_peer(void **state)
{
	struct card card;
	card_start(&card, F_MAC | F_STATUS, 8);
	assert_int_equal(virtio_transport_config_read(card.d.device, 6, 2), 1);
	close(card.peer);
	card.peer = -1;
	fake_pump(&card.d);
	assert_int_equal(virtio_transport_config_read(card.d.device, 6, 2), 0);
	assert_int_equal(card.d.config_interrupts, 1);
	card_send(&card, 60); /* thrown away, but given back */
	fake_kick(&card.d, TX);
	assert_int_equal(fake_used_idx(&card.d.queues[TX]), 1);
	card_finish(&card);
}

static void nonsense_from_the_peer_ends_the_link(void **state)
{
	const uint32_t bad[] = {0, 0x10000000, 70000};
	for (unsigned i = 0; i < 3; i++) {
		struct card card;
		card_start(&card, F_MAC | F_STATUS, 8);
		uint32_t prefix = htonl(bad[i]);
		assert_int_equal(send(card.peer, &prefix, 4, 0), 4);
		fake_pump(&card.d);
		assert_int_equal(virtio_transport_config_read(card.d.device, 6, 2), 0);
		card_finish(&card);
	}
}

static void network_survives_reset(void **state)
{
	struct card card;
	card_start(&card, F_MAC, 8);
	card_offer_rx(&card, 0, 2048);
	fake_reset(&card.d);
	peer_send(&card, 64, 9);
	fake_pump(&card.d);
	fake_start(&card.d, card.d.device, F_MAC, 8);
	card_offer_rx(&card, 0, 2048);
	fake_kick(&card.d, RX);
	uint32_t id, len;
	assert_true(fake_take_used(&card.d.queues[RX], &id, &len));
	assert_int_equal(len, HEADER + 64);
	card_finish(&card);
}

/* ---- console ---- */

struct terminal {
	struct fake_driver d;
	char text[64];
	size_t len, room;
	unsigned readies;
	uint64_t data;
};

static size_t terminal_output(void *opaque, const void *data, size_t len)
{
	struct terminal *t = opaque;
	size_t part = len < t->room ? len : t->room;
	memcpy(t->text + t->len, data, part);
	t->len += part;
	t->room -= part;
	return part;
}

static void terminal_ready(void *opaque)
{
	((struct terminal *)opaque)->readies++;
}

static void terminal_start(struct terminal *t)
{
	*t = (struct terminal){.room = 60};
	fake_init(&t->d);
	const struct virtio_console_config config = {.name = "console0",
						     .output = terminal_output,
						     .input_ready = terminal_ready,
						     .opaque = t,
						     .columns = 80,
						     .rows = 25};
	fake_start(&t->d, virtio_console_create(&config, t->d.gmem, t->d.loop, NULL), 1, 8);
	t->data = fake_alloc(&t->d, 4096);
}

static void terminal_print(struct terminal *t, const char *text)
{
	memcpy(fake_ptr(&t->d, t->data), text, strlen(text));
	struct fake_buffer buffer = {t->data, (uint32_t)strlen(text), false};
	fake_offer_chain(&t->d, 1, &buffer, 1);
	fake_kick(&t->d, 1);
}

static void console_prints_and_waits(void **state)
{
	struct terminal t;
	terminal_start(&t);
	terminal_print(&t, "hello ");
	t.room = 3;
	terminal_print(&t, "world");
	assert_string_equal(t.text, "hello wor");
	assert_int_equal(fake_used_idx(&t.d.queues[1]), 1);
	terminal_print(&t, "world"); /* the same bytes again: the first chain is still being printed */
	assert_string_equal(t.text, "hello wor");
	t.room = 50;
	virtio_console_output_ready(t.d.device);
	assert_string_equal(t.text, "hello worldworld");
	assert_int_equal(fake_used_idx(&t.d.queues[1]), 3);
	t.room = 0;
	terminal_print(&t, "x");
	fake_reset(&t.d); /* with a chain kept */
	assert_int_equal(virtio_transport_status(t.d.device), 0);
	fake_finish(&t.d);
}

static void console_takes_input_while_there_is_room(void **state)
{
	struct terminal t;
	terminal_start(&t);
	assert_int_equal(virtio_console_input(t.d.device, "abc", 3), 0);
	struct fake_buffer buffer = {t.data, 2, true};
	fake_offer_chain(&t.d, 0, &buffer, 1);
	unsigned before = t.readies;
	fake_kick(&t.d, 0);
	assert_int_equal(t.readies, before + 1);
	assert_int_equal(virtio_console_input(t.d.device, "abc", 3), 2);
	assert_memory_equal(fake_ptr(&t.d, t.data), "ab", 2);
	assert_int_equal(virtio_transport_config_read(t.d.device, 0, 4), 80 | 25 << 16);
	virtio_console_resize(t.d.device, 100, 30);
	virtio_console_resize(t.d.device, 100, 30);
	assert_int_equal(t.d.config_interrupts, 1);
	assert_int_equal(virtio_transport_config_read(t.d.device, 0, 2), 100);
	fake_finish(&t.d);
}

/* ---- random numbers ---- */

static void random_numbers_are_rate_bounded(void **state)
{
	struct fake_driver d;
	fake_init(&d);
	fake_start(&d, virtio_rng_create("rng0", d.gmem, d.loop, NULL), 0, 8);
	uint64_t data = fake_alloc(&d, 1 << 20);
	struct fake_buffer buffer = {data, 1 << 20, true};
	for (unsigned i = 0; i < 4; i++) {
		fake_offer_chain(&d, 0, &buffer, 1);
	}
	fake_kick(&d, 0);
	uint32_t id, len, total = 0;
	while (fake_take_used(&d.queues[0], &id, &len)) {
		assert_in_range(len, 1, 65536);
		total += len;
	}
	assert_in_range(total, 65536, 110000);
	const uint8_t *bytes = fake_ptr(&d, data);
	unsigned zeros = 0;
	for (unsigned i = 0; i < 4096; i++) {
		zeros += !bytes[i];
	}
	assert_in_range(zeros, 0, 100);
	assert_true(fake_wait(&d, 0)); /* the rest comes with the next allowance */
	fake_finish(&d);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_out_with_their_length),
		cmocka_unit_test(a_slow_peer_holds_the_transmit_queue),
		cmocka_unit_test(frames_come_in_and_wait_for_buffers),
		cmocka_unit_test(large_frames_spread_over_buffers),
		cmocka_unit_test(a_frame_that_never_fits_is_dropped),
		cmocka_unit_test(link_goes_down_with_the_peer),
		cmocka_unit_test(nonsense_from_the_peer_ends_the_link),
		cmocka_unit_test(network_survives_reset),
		cmocka_unit_test(console_prints_and_waits),
		cmocka_unit_test(console_takes_input_while_there_is_room),
		cmocka_unit_test(random_numbers_are_rate_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
