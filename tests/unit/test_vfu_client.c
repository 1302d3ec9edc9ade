/* SPDX-License-Identifier: Apache-2.0 */
/* test_vfu_client.c - the vfio-user client against servers that lie, stall and vanish */
#include "base/own.h"
#include "passthrough/vfu_client.h"
#include "passthrough/vfu_stream.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { TIMEOUT_MS = 2000, MAX_SEEN = 64 };

struct bench;
/* Answers one command; false ends the server (its socket closes). */
typedef bool (*answer_fn)(struct bench *b, const struct vfu_message *m);

struct bench {
	struct loop *loop;
	struct backend *backend;
	pthread_t service, server;
	int socket; /* the server's end */
	answer_fn answer;
	atomic_uint gone;
	char why[128];
	/* what the server saw */
	unsigned seen_count;
	uint16_t seen[MAX_SEEN];
	size_t seen_fds[MAX_SEEN];
	uint32_t last_flags;
	int region_fd;
	uint32_t max_fds;
};

static void on_gone(void *opaque, const char *why)
{
	struct bench *b = opaque;
	snprintf(b->why, sizeof(b->why), "%s", why);
	atomic_fetch_add(&b->gone, 1);
}

static void *service_main(void *opaque)
{
	loop_run(opaque);
	return NULL;
}

static void reply(struct bench *b, const struct vfu_message *m, const void *body, size_t len,
		  const int *fds, size_t fd_count)
{
	struct vfu_header header = {
		.id = m->header.id, .command = m->header.command, .flags = VFU_REPLY};
	const struct vfu_part part = {body, len};
	(void)!vfu_send(b->socket, &header, &part, 1, fds, fd_count, 1000);
}

static void refuse(struct bench *b, const struct vfu_message *m, uint32_t error)
{
	struct vfu_header header = {m->header.id, m->header.command, 0, VFU_REPLY | VFU_ERROR,
				    error};
	(void)!vfu_send(b->socket, &header, NULL, 0, NULL, 0, 1000);
}

/* A server that behaves: one BAR of 16 KiB, 20 MSI-X vectors. */
static bool behave(struct bench *b, const struct vfu_message *m)
{
	char version[160] = {0};
	switch (m->header.command) {
	case VFU_VERSION: {
		int len = snprintf(version + 4, sizeof(version) - 4,
				   "{\"capabilities\":{\"max_msg_fds\":%u}}", b->max_fds);
		reply(b, m, version, 4 + (size_t)len + 1, NULL, 0);
		break;
	}
	case VFU_DEVICE_GET_INFO:
		reply(b, m, &(struct vfu_device_info){16, VFU_DEVICE_PCI | VFU_DEVICE_RESETS, 9, 5},
		      16, NULL, 0);
		break;
	case VFU_DEVICE_GET_REGION_INFO: {
		struct vfu_region_info info;
		memcpy(&info, m->body, sizeof(info));
		info.size = info.index == 0 ? 0x4000 : 0;
		info.flags = info.index == 0 ? 7 : 0;
		reply(b, m, &info, sizeof(info), &b->region_fd, info.index == 0);
		break;
	}
	case VFU_DEVICE_GET_IRQ_INFO:
		reply(b, m, &(struct vfu_irq_info){16, 1, 2, 20}, 16, NULL, 0);
		break;
	case VFU_REGION_READ: {
		uint8_t out[16 + 4096];
		struct vfu_region_access access;
		memcpy(&access, m->body, sizeof(access));
		memcpy(out, &access, sizeof(access));
		memset(out + 16, 0x5a, access.count);
		reply(b, m, out, 16 + access.count, NULL, 0);
		break;
	}
	default:
		reply(b, m, m->body,
		      m->header.command == VFU_REGION_WRITE ? 16
		      : m->header.command == VFU_DMA_UNMAP  ? 24
							    : 0,
		      NULL, 0);
	}
	return true;
}

static void *server_main(void *opaque)
{
	struct bench *b = opaque;
	struct vfu_reader reader;
	struct vfu_message *m;
	vfu_reader_init(&reader);
	while (vfu_reader_pull(&reader, b->socket, &m) > 0) {
		unsigned n = b->seen_count < MAX_SEEN ? b->seen_count++ : MAX_SEEN - 1;
		b->seen[n] = m->header.command;
		b->seen_fds[n] = m->fd_count;
		b->last_flags = m->header.flags;
		if (!(m->header.flags & VFU_NO_REPLY) && (m->header.flags & VFU_TYPE_MASK) == 0 &&
		    !b->answer(b, m)) {
			break;
		}
	}
	shutdown(b->socket, SHUT_RDWR);
	vfu_reader_finish(&reader);
	return NULL;
}

static void bench_start(struct bench *b, answer_fn answer)
{
	int pair[2];
	*b = (struct bench){.answer = answer, .max_fds = 8};
	b->region_fd = memfd_create("bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(b->region_fd, 0x4000), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	b->socket = pair[1];
	b->loop = loop_create(NULL);
	const struct vfu_client_config config = {"test", TIMEOUT_MS, b->loop, on_gone, b};
	b->backend = vfu_client_create(&config, pair[0], NULL);
	assert_non_null(b->backend);
	pthread_create(&b->service, NULL, service_main, b->loop);
	pthread_create(&b->server, NULL, server_main, b);
}

static void bench_finish(struct bench *b)
{
	loop_stop(b->loop);
	pthread_join(b->service, NULL);
	backend_destroy(b->backend);
	pthread_join(b->server, NULL);
	loop_destroy(b->loop);
	close(b->socket);
	close(b->region_fd);
}

static void wait_until_gone(struct bench *b)
{
	for (int i = 0; i < 2000 && !atomic_load(&b->gone); i++) {
		usleep(1000);
	}
	assert_int_equal(atomic_load(&b->gone), 1);
}

static void agreed_device_is_described(void **state)
{
	struct bench b;
	struct error err = {0};
	struct backend_region region;
	unsigned count;
	uint8_t data[8000] = {0};
	bench_start(&b, behave);
	assert_int_equal(vfu_client_negotiate(b.backend, &err), 0);
	assert_int_equal(backend_region(b.backend, 0, &region, &err), 0);
	assert_int_equal(region.size, 0x4000);
	assert_int_equal(region.area_count, 1);
	assert_true(region.fd >= 0);
	assert_int_equal(backend_region(b.backend, 1, &region, &err), 0);
	assert_int_equal(region.size, 0);
	assert_int_equal(backend_irqs(b.backend, BACKEND_MSIX, &count, &err), 0);
	assert_int_equal(count, 20);
	assert_int_equal(backend_read(b.backend, 0, 0, data, sizeof(data)), 0); /* in pieces */
	assert_int_equal(data[7999], 0x5a);
	assert_int_equal(backend_write(b.backend, 0, 8, data, 4, false), 0);
	assert_int_equal(backend_write(b.backend, 0, 8, data, 4, true), 0);
	assert_int_equal(backend_reset(b.backend, BACKEND_RESET_FLR),
			 0); /* proves that the posted one arrived */
	assert_int_equal(b.seen[b.seen_count - 2], VFU_REGION_WRITE);
	bench_finish(&b);
}

static void eventfds_go_in_chunks_that_the_server_takes(void **state)
{
	struct bench b;
	int fds[20];
	bench_start(&b, behave);
	assert_int_equal(vfu_client_negotiate(b.backend, NULL), 0);
	for (int i = 0; i < 20; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC);
	}
	assert_int_equal(backend_set_irqs(b.backend, BACKEND_MSIX, fds, 20), 0);
	assert_int_equal(b.seen_count, 5);
	assert_int_equal(b.seen_fds[2], 8);
	assert_int_equal(b.seen_fds[3], 8);
	assert_int_equal(b.seen_fds[4], 4);
	for (int i = 0; i < 20; i++) {
		close(fds[i]);
	}
	bench_finish(&b);
}

/* ----- servers that do not behave ----- */

static bool stall(struct bench *b, const struct vfu_message *m)
{
	return true;
}

static void silent_server_costs_one_timeout(void **state)
{
	struct bench b;
	struct error err = {0};
	uint8_t byte;
	bench_start(&b, stall);
	uint64_t start = loop_now_ns();
	assert_int_equal(vfu_client_negotiate(b.backend, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "did not answer"));
	assert_int_equal(backend_read(b.backend, 0, 0, &byte, 1), -ENODEV); /* at once */
	assert_true(loop_now_ns() - start < UINT64_C(5) * TIMEOUT_MS * 1000000);
	wait_until_gone(&b);
	bench_finish(&b);
}

static bool vanish(struct bench *b, const struct vfu_message *m)
{
	return m->header.command == VFU_VERSION ? behave(b, m) : false;
}

static void closed_server_fails_calls_and_is_told_once(void **state)
{
	struct bench b;
	struct error err = {0};
	uint8_t bytes[4] = {1, 2, 3, 4};
	bench_start(&b, vanish);
	assert_int_equal(vfu_client_negotiate(b.backend, &err), -ENODEV);
	wait_until_gone(&b);
	assert_int_equal(backend_read(b.backend, 0, 0, bytes, 4), -ENODEV);
	assert_int_equal(bytes[0], 1);
	assert_int_equal(backend_write(b.backend, 0, 0, bytes, 4, true), -ENODEV);
	assert_int_equal(backend_unmask_intx(b.backend), -ENODEV);
	bench_finish(&b);
}

static bool wrong_major(struct bench *b, const struct vfu_message *m)
{
	reply(b, m, (uint8_t[]){7, 0, 0, 0}, 4, NULL, 0);
	return true;
}

static bool bad_json(struct bench *b, const struct vfu_message *m)
{
	reply(b, m, "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":-3}}", 4 + 36, NULL, 0);
	return true;
}

static bool no_nul(struct bench *b, const struct vfu_message *m)
{
	reply(b, m, "\0\0\1\0{}", 6, NULL, 0);
	return true;
}

static bool empty_version(struct bench *b, const struct vfu_message *m)
{
	reply(b, m, NULL, 0, NULL, 0);
	return true;
}

static bool refused_version(struct bench *b, const struct vfu_message *m)
{
	refuse(b, m, EACCES);
	return true;
}

static bool no_pci(struct bench *b, const struct vfu_message *m)
{
	if (m->header.command != VFU_DEVICE_GET_INFO) {
		return behave(b, m);
	}
	reply(b, m, &(struct vfu_device_info){16, 1, 9, 5}, 16, NULL, 0);
	return true;
}

static bool short_info(struct bench *b, const struct vfu_message *m)
{
	if (m->header.command != VFU_DEVICE_GET_INFO) {
		return behave(b, m);
	}
	reply(b, m, "12345678", 8, NULL, 0);
	return true;
}

static void negotiation_refuses(void **state)
{
	const struct {
		answer_fn answer;
		const char *says;
	} cases[] = {
		{wrong_major, "speaks vfio-user 7"},
		{bad_json, "max_msg_fds"},
		{no_nul, "NUL"},
		{empty_version, "makes no sense"},
		{refused_version, "Permission"},
		{no_pci, "not a PCI device"},
		{short_info, "makes no sense"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench b;
		struct error err = {0};
		bench_start(&b, cases[i].answer);
		assert_true(vfu_client_negotiate(b.backend, &err) < 0);
		assert_non_null(strstr(err.text, cases[i].says));
		bench_finish(&b);
	}
}

static bool unasked_reply(struct bench *b, const struct vfu_message *m)
{
	struct vfu_header header = {.id = 999, .command = VFU_REGION_READ, .flags = VFU_REPLY};
	(void)!vfu_send(b->socket, &header, NULL, 0, NULL, 0, 1000);
	return true;
}

static bool huge_size(struct bench *b, const struct vfu_message *m)
{
	const struct vfu_header header = {m->header.id, m->header.command, UINT32_MAX, VFU_REPLY,
					  0};
	(void)!write(b->socket, &header, sizeof(header));
	return true;
}

static bool tiny_size(struct bench *b, const struct vfu_message *m)
{
	const struct vfu_header header = {m->header.id, m->header.command, 8, VFU_REPLY, 0};
	(void)!write(b->socket, &header, sizeof(header));
	return true;
}

static bool wrong_type(struct bench *b, const struct vfu_message *m)
{
	struct vfu_header header = {.id = m->header.id, .command = m->header.command, .flags = 5};
	(void)!vfu_send(b->socket, &header, NULL, 0, NULL, 0, 1000);
	return true;
}

static bool foreign_command(struct bench *b, const struct vfu_message *m)
{
	struct vfu_header header = {.id = 1, .command = VFU_DEVICE_RESET};
	(void)!vfu_send(b->socket, &header, NULL, 0, NULL, 0, 1000);
	return true;
}

static bool lying_dma(struct bench *b, const struct vfu_message *m)
{
	struct vfu_header header = {.id = 1, .command = VFU_DMA_WRITE};
	const struct vfu_dma_access access = {0, 4096};
	const struct vfu_part parts[] = {{&access, sizeof(access)}, {"1234", 4}};
	(void)!vfu_send(b->socket, &header, parts, 2, NULL, 0, 1000);
	return true;
}

static void broken_protocol_ends_the_connection(void **state)
{
	const answer_fn cases[] = {unasked_reply, huge_size,	   tiny_size,
				   wrong_type,	  foreign_command, lying_dma};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench b;
		bench_start(&b, cases[i]);
		assert_true(vfu_client_negotiate(b.backend, NULL) < 0);
		wait_until_gone(&b);
		assert_string_equal(b.why, "the server broke the protocol");
		bench_finish(&b);
	}
}

static bool long_read(struct bench *b, const struct vfu_message *m)
{
	uint8_t out[64] = {0};
	if (m->header.command != VFU_REGION_READ) {
		return behave(b, m);
	}
	reply(b, m, out, sizeof(out), NULL, 0);
	return true;
}

static bool failed_read(struct bench *b, const struct vfu_message *m)
{
	if (m->header.command != VFU_REGION_READ) {
		return behave(b, m);
	}
	struct vfu_header header = {m->header.id, m->header.command, 0, VFU_REPLY | VFU_ERROR,
				    EINVAL};
	const struct vfu_part body = {"the body that some servers send along", 20};
	(void)!vfu_send(b->socket, &header, &body, 1, NULL, 0, 1000);
	return true;
}

static void bad_answers_fail_the_call_alone(void **state)
{
	const struct {
		answer_fn answer;
		int status;
	} cases[] = {{long_read, -EPROTO}, {failed_read, -EINVAL}};
	for (size_t i = 0; i < 2; i++) {
		struct bench b;
		uint32_t word = 7;
		bench_start(&b, cases[i].answer);
		assert_int_equal(vfu_client_negotiate(b.backend, NULL), 0);
		assert_int_equal(backend_read(b.backend, 0, 0, &word, 4), cases[i].status);
		assert_int_equal(word, 7);
		assert_int_equal(backend_reset(b.backend, BACKEND_RESET_FLR), 0);
		assert_int_equal(atomic_load(&b.gone), 0);
		bench_finish(&b);
	}
}

/* @areas of a region, hostile or not. */
static uint32_t test_areas, test_cap_next;

static bool sparse(struct bench *b, const struct vfu_message *m)
{
	if (m->header.command != VFU_DEVICE_GET_REGION_INFO) {
		return behave(b, m);
	}
	struct {
		struct vfu_region_info info;
		struct vfu_cap cap;
		struct vfu_sparse sparse;
		struct vfu_area areas[2];
	} out = {
		.info = {.argsz = sizeof(out), .flags = 0xf, .cap_offset = 32, .size = 0x4000},
		.cap = {.id = test_cap_next ? 99 : VFU_CAP_SPARSE,
			.version = 1,
			.next = test_cap_next},
		.sparse = {.count = test_areas},
		.areas = {{0, 0x1000}, {0x2000, 0x1000}},
	};
	reply(b, m, &out, sizeof(out), &b->region_fd, 1);
	return true;
}

static int ask_sparse(uint32_t areas, uint32_t next, struct backend_region *region)
{
	struct bench b;
	test_areas = areas;
	test_cap_next = next;
	bench_start(&b, sparse);
	assert_int_equal(vfu_client_negotiate(b.backend, NULL), 0);
	int status = backend_region(b.backend, 0, region, NULL);
	bench_finish(&b);
	return status;
}

static void sparse_areas_are_taken_and_lies_refused(void **state)
{
	struct backend_region region;
	assert_int_equal(ask_sparse(2, 0, &region), 0);
	assert_int_equal(region.area_count, 2);
	assert_int_equal(region.areas[1].offset, 0x2000);
	assert_int_equal(ask_sparse(3, 0, &region), -EPROTO); /* more than the message holds */
	assert_int_equal(ask_sparse(UINT32_MAX, 0, &region), -EPROTO);
	assert_int_equal(ask_sparse(2, 32, &region), -EPROTO);	       /* a chain that loops */
	assert_int_equal(ask_sparse(2, 0x7fffffff, &region), -EPROTO); /* outside of the message */
}

/* ----- DMA by messages ----- */

static int dma_status;
static uint8_t dma_data[16];

/* In the middle of a read: a DMA_READ or DMA_WRITE, whose answer comes before ours. */
static bool dma_inside(struct bench *b, const struct vfu_message *m)
{
	if (m->header.command != VFU_REGION_READ) {
		return behave(b, m);
	}
	struct vfu_region_access ask;
	memcpy(&ask, m->body, sizeof(ask));
	uint16_t id = m->header.id;
	bool write = ask.offset & 1;
	struct vfu_header header = {.id = 42, .command = write ? VFU_DMA_WRITE : VFU_DMA_READ};
	const struct vfu_dma_access access = {ask.offset & ~UINT64_C(1), 8};
	const struct vfu_part parts[] = {{&access, sizeof(access)}, {"oriel!!", 8}};
	assert_int_equal(vfu_send(b->socket, &header, parts, write ? 2 : 1, NULL, 0, 1000), 0);
	uint8_t answer[16 + 16 + 8];
	size_t want = 16;
	assert_int_equal(recv(b->socket, answer, want, MSG_WAITALL), want);
	memcpy(&header, answer, sizeof(header));
	assert_int_equal(header.id, 42);
	dma_status = header.flags & VFU_ERROR ? -(int)header.error : 0;
	want = header.size - 16;
	assert_true(want <= sizeof(answer) - 16);
	assert_int_equal(want ? recv(b->socket, answer + 16, want, MSG_WAITALL) : 0, want);
	memcpy(dma_data, answer + 32, want > 16 ? want - 16 : 0);
	uint8_t out[17];
	memcpy(out, &ask, sizeof(ask));
	struct vfu_header ours = {.id = id, .command = VFU_REGION_READ, .flags = VFU_REPLY};
	assert_int_equal(vfu_send(b->socket, &ours, &(struct vfu_part){out, 17}, 1, NULL, 0, 1000),
			 0);
	return true;
}

static int dma_try(struct bench *b, uint64_t iova, bool write)
{
	uint8_t byte;
	dma_status = 1;
	assert_int_equal(backend_read(b->backend, 0, iova | write, &byte, 1), 0);
	return dma_status;
}

static void dma_messages_reach_only_what_is_mapped(void **state)
{
	struct bench b;
	uint8_t ram[64] = "0123456789abcdef", rom[64] = "fedcba9876543210";
	bench_start(&b, dma_inside);
	assert_int_equal(vfu_client_negotiate(b.backend, NULL), 0);
	assert_int_equal(dma_try(&b, 0x1000, false), -EFAULT);
	assert_int_equal(backend_dma_map(b.backend, 0x1000, 64, ram, -1, 0, true, NULL), 0);
	assert_int_equal(backend_dma_map(b.backend, 0x2000, 64, rom, -1, 0, false, NULL), 0);
	assert_int_equal(dma_try(&b, 0x1008, false), 0);
	assert_memory_equal(dma_data, "89abcdef", 8);
	assert_int_equal(dma_try(&b, 0x1010, true), 0);
	assert_memory_equal(ram + 16, "oriel!!", 8);
	assert_int_equal(dma_try(&b, 0x2000, false), 0);
	assert_int_equal(dma_try(&b, 0x2000, true), -EACCES);
	assert_memory_equal(rom, "fedcba98", 8);
	assert_int_equal(dma_try(&b, 0x103c, false), -EFAULT); /* over the end */
	assert_int_equal(dma_try(&b, UINT64_MAX - 7, false), -EFAULT);
	assert_int_equal(backend_dma_unmap(b.backend, 0x1000, 64), 0);
	assert_int_equal(dma_try(&b, 0x1000, true), -EFAULT);
	bench_finish(&b);
}

static bool one_mapping(struct bench *b, const struct vfu_message *m)
{
	static const char version[] = "\0\0\1\0{\"capabilities\":{\"max_dma_maps\":1}}";
	if (m->header.command != VFU_VERSION) {
		return behave(b, m);
	}
	reply(b, m, version, sizeof(version), NULL, 0);
	return true;
}

static void mappings_end_where_the_server_says(void **state)
{
	struct bench b;
	struct error err = {0};
	uint8_t ram[64] = {0};
	bench_start(&b, one_mapping);
	assert_int_equal(vfu_client_negotiate(b.backend, NULL), 0);
	assert_int_equal(backend_dma_map(b.backend, 0x1000, 64, ram, -1, 0, true, NULL), 0);
	assert_int_equal(backend_dma_map(b.backend, 0x2000, 64, ram, -1, 0, true, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "no more than 1 DMA mappings"));
	assert_int_equal(backend_dma_unmap(b.backend, 0x1000, 64), 0);
	assert_int_equal(backend_dma_map(b.backend, 0x2000, 64, ram, -1, 0, true, NULL), 0);
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agreed_device_is_described),
		cmocka_unit_test(eventfds_go_in_chunks_that_the_server_takes),
		cmocka_unit_test(silent_server_costs_one_timeout),
		cmocka_unit_test(closed_server_fails_calls_and_is_told_once),
		cmocka_unit_test(negotiation_refuses),
		cmocka_unit_test(broken_protocol_ends_the_connection),
		cmocka_unit_test(bad_answers_fail_the_call_alone),
		cmocka_unit_test(sparse_areas_are_taken_and_lies_refused),
		cmocka_unit_test(dma_messages_reach_only_what_is_mapped),
		cmocka_unit_test(mappings_end_where_the_server_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
