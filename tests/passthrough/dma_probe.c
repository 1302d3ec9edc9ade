/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dma_probe.c - tell an NVMe controller to write somewhere, from inside a guest
 *
 * usage: dma-probe DDDD:BB:DD.F ADDRESS...
 *
 * Drives the controller's admin queue by hand (NVMe 1.4, sections 3 and 5.15): one Identify into a
 * page of our own, which must succeed, then one to each ADDRESS, whatever lies there.  Prints "own
 * STATUS FIRST_BYTES" and "at ADDRESS STATUS"; status 0x0 is success, "none" no answer. Threads:
 * one.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	REG_CONTROL = 0x14,
	REG_STATUS = 0x1c,
	REG_QUEUE_SIZES = 0x24,
	REG_SUBMISSION = 0x28,
	REG_COMPLETION = 0x30,
	REG_DOORBELL = 0x1000,
	REG_TAKEN = 0x1004, /* doorbell of the completion queue */
	ENTRIES = 4,
	IDENTIFY = 0x06,
	WAIT_MS = 5000,
};

struct submission {
	uint32_t command, namespace_id, reserved[4];
	uint64_t prp1, prp2;
	uint32_t words[6];
};

struct completion {
	uint32_t result, reserved;
	uint16_t head, queue, id, status; /* bit 0 of status is the phase */
};

struct page {
	volatile void *at;
	uint64_t address; /* as the device sees it */
};

static volatile uint8_t *registers;
static struct page submissions, completions, data;

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static struct page page_new(void)
{
	struct page page;
	uint64_t entry;
	page.at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
	must(page.at != MAP_FAILED, "page");
	memset((void *)page.at, 0, PAGE);
	int fd = open("/proc/self/pagemap", O_RDONLY);
	must(pread(fd, &entry, 8, (off_t)((uintptr_t)page.at / PAGE * 8)) == 8, "pagemap");
	close(fd);
	page.address = (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
	must(page.address != 0, "pagemap shows no addresses");
	return page;
}

static void put32(unsigned at, uint32_t value)
{
	*(volatile uint32_t *)(registers + at) = value;
}

static void put64(unsigned at, uint64_t value)
{
	put32(at, (uint32_t)value);
	put32(at + 4, (uint32_t)(value >> 32));
}

static void wait_ready(uint32_t ready)
{
	for (unsigned ms = 0; (*(volatile uint32_t *)(registers + REG_STATUS) & 1) != ready; ms++) {
		must(ms < WAIT_MS, "controller");
		usleep(1000);
	}
}

static void open_device(const char *bdf)
{
	char path[128];
	uint16_t command = 6;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	int fd = open(path, O_RDWR);
	must(fd >= 0 && pwrite(fd, &command, 2, 4) == 2, path);
	close(fd);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", bdf);
	fd = open(path, O_RDWR | O_SYNC);
	must(fd >= 0, path);
	registers = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(registers != MAP_FAILED, path);
	close(fd);
}

static void start_controller(void)
{
	put32(REG_CONTROL, 0);
	wait_ready(0);
	memset((void *)submissions.at, 0, PAGE);
	memset((void *)completions.at, 0, PAGE);
	put32(REG_QUEUE_SIZES, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	put64(REG_SUBMISSION, submissions.address);
	put64(REG_COMPLETION, completions.address);
	put32(REG_CONTROL, 4 << 20 | 6 << 16 | 1);
	wait_ready(1);
}

/* Identify the controller into @address; the status text. */
static const char *identify(uint64_t address)
{
	static char text[16];
	start_controller();
	struct submission *s = (struct submission *)submissions.at;
	*s = (struct submission){.command = IDENTIFY, .prp1 = address, .words = {1}};
	__sync_synchronize();
	put32(REG_DOORBELL, 1);
	volatile struct completion *c = completions.at;
	for (unsigned ms = 0; !(c->status & 1); ms++) {
		if (ms == WAIT_MS) {
			return "none";
		}
		usleep(1000);
	}
	snprintf(text, sizeof(text), "0x%x", c->status >> 1);
	put32(REG_TAKEN, 1); /* its interrupt is over, too */
	return text;
}

int main(int argc, char **argv)
{
	must(argc > 2, "usage: dma-probe DDDD:BB:DD.F ADDRESS...");
	submissions = page_new();
	completions = page_new();
	data = page_new();
	open_device(argv[1]);
	const char *status = identify(data.address);
	printf("own %s %04x\n", status, *(volatile uint16_t *)data.at);
	for (int i = 2; i < argc; i++) {
		printf("at %s %s\n", argv[i], identify(strtoull(argv[i], NULL, 0)));
	}
	put32(REG_CONTROL, 0);
	return 0;
}
