/* SPDX-License-Identifier: Apache-2.0 */
/* test_bells.c - interrupts signalled by eventfds, with an irq chip that takes them itself and with
 * one that does not */
#include "unit.h"

#include "base/os.h"
#include "bus/bus.h"
#include "pci/pci.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	ECAM = 0x3f000000,
	MEM32 = 0x10000000,
	FRAME = 0x8020040, /* where messages go */
	LINE = 4,	   /* of slot 1 */
	MSI_AT = 0x80,	   /* behind MSI-X */
	MSIX_BAR = 4,
};

/* What stands for an irq chip in a kernel: it knows which eventfd is bound to what. */
struct kernel_chip {
	struct irq_chip base;
	int fd, line_fd, ended; /* -1: none */
	uint32_t data, sent;
	unsigned binds, messages;
	bool level;
};

static void chip_set_line(struct irq_chip *chip, unsigned line, bool level)
{
	((struct kernel_chip *)chip)->level = level;
}

static void chip_send_msi(struct irq_chip *chip, uint64_t address, uint32_t data,
			  uint16_t requester)
{
	struct kernel_chip *k = (struct kernel_chip *)chip;
	k->messages++;
	k->sent = data;
}

static int chip_bind_msi(struct irq_chip *chip, int fd, uint64_t address, uint32_t data)
{
	struct kernel_chip *k = (struct kernel_chip *)chip;
	if (address != FRAME) {
		return -EINVAL;
	}
	assert_int_equal(k->fd, -1);
	k->fd = fd;
	k->data = data;
	k->binds++;
	return 0;
}

static void chip_unbind_msi(struct irq_chip *chip, int fd, uint32_t data)
{
	struct kernel_chip *k = (struct kernel_chip *)chip;
	assert_int_equal(k->fd, fd);
	assert_int_equal(k->data, data);
	k->fd = -1;
}

static int chip_bind_line(struct irq_chip *chip, unsigned line, int fd, int ended)
{
	struct kernel_chip *k = (struct kernel_chip *)chip;
	assert_int_equal(line, LINE);
	k->line_fd = fd;
	k->ended = ended;
	return 0;
}

static void chip_unbind_line(struct irq_chip *chip, unsigned line, int fd)
{
	struct kernel_chip *k = (struct kernel_chip *)chip;
	assert_int_equal(k->line_fd, fd);
	k->line_fd = -1;
}

static const struct irq_chip_ops kernel_ops = {.set_line = chip_set_line,
					       .send_msi = chip_send_msi,
					       .bind_msi = chip_bind_msi,
					       .unbind_msi = chip_unbind_msi,
					       .bind_line = chip_bind_line,
					       .unbind_line = chip_unbind_line};
static const struct irq_chip_ops plain_ops = {.set_line = chip_set_line, .send_msi = chip_send_msi};

struct bench {
	struct kernel_chip chip;
	struct bus *bus;
	struct pci_host *host;
	struct pci_device *device;
	unsigned msix; /* its capability */
	int bell, ended;
};

static void bench_init(struct bench *b, const struct irq_chip_ops *ops)
{
	static const struct pci_device_ops no_ops = {0};
	*b = (struct bench){.chip = {.base.ops = ops, .fd = -1, .line_fd = -1},
			    .bus = bus_create(),
			    .bell = os_bell(),
			    .ended = os_bell()};
	const struct pci_host_config config = {.bus = b->bus,
					       .irq = &b->chip.base,
					       .ecam = {ECAM, 1 << 20},
					       .memory32 = {MEM32, 0x1000000},
					       .memory64 = {UINT64_C(1) << 39, 0x100000000},
					       .intx_lines = {3, 4, 5, 6},
					       .msi_vector_budget = 16};
	const struct pci_device_config device = {.name = "dev", .has_intx = true};
	uint8_t image[PCI_CONFIG_LEN] = {
		[0x3d] = 1, [MSI_AT] = 5, [MSI_AT + 2] = 0x82, [MSI_AT + 3] = 1};
	uint8_t mask[PCI_CONFIG_LEN] = {[4] = 7, [5] = 4};
	b->host = pci_host_create(&config, NULL);
	b->device = pci_device_create(b->host, 1, &device, &no_ops, b, NULL);
	pci_device_load_config(b->device, image, mask);
	assert_int_equal(pci_device_adopt_msi(b->device, MSI_AT, NULL), 2);
	assert_int_equal(pci_device_add_msix(b->device, MSIX_BAR, 4, NULL), 4);
	b->msix = pci_device_config_read(b->device, 0x34, 1);
}

static void bench_finish(struct bench *b)
{
	pci_host_destroy(b->host);
	bus_destroy(b->bus);
	close(b->bell);
	close(b->ended);
}

static void config_set(struct bench *b, unsigned at, unsigned size, uint32_t value)
{
	pci_device_config_write(b->device, at, size, value);
}

static void vector_set(struct bench *b, unsigned vector, unsigned word, uint32_t value)
{
	pci_device_bar_write(b->device, MSIX_BAR, vector * 16 + word * 4, 4, value);
}

static void msix_on(struct bench *b, unsigned vector, uint32_t data)
{
	vector_set(b, vector, 0, FRAME);
	vector_set(b, vector, 2, data);
	vector_set(b, vector, 3, 0);
	config_set(b, b->msix + 2, 2, 0x8000);
}

static enum pci_taken take(struct bench *b, enum pci_irq_kind kind, unsigned vector)
{
	return pci_device_take_bell(b->device, kind, vector);
}

/* Signals, and what the owner finds. */
static enum pci_taken signal_and_take(struct bench *b, enum pci_irq_kind kind, unsigned vector)
{
	os_bell_ring(b->bell);
	return take(b, kind, vector);
}

static void msix_bell_is_bound_while_its_vector_is_open(void **state)
{
	struct bench b;
	bench_init(&b, &kernel_ops);
	pci_device_attach_bell(b.device, PCI_IRQ_MSIX, 2, b.bell, -1);
	assert_int_equal(b.chip.fd, -1);
	msix_on(&b, 2, 77);
	assert_int_equal(b.chip.fd, b.bell);
	assert_int_equal(b.chip.data, 77);
	assert_int_equal(signal_and_take(&b, PCI_IRQ_MSIX, 2),
			 PCI_TAKEN_BEFORE); /* the chip had it */
	vector_set(&b, 2, 2, 78);
	assert_int_equal(b.chip.data, 78);
	unsigned binds = b.chip.binds;
	vector_set(&b, 1, 2, 90); /* not its business */
	assert_int_equal(b.chip.binds, binds);
	config_set(&b, b.msix + 2, 2, 0xc000); /* function mask */
	assert_int_equal(b.chip.fd, -1);
	config_set(&b, b.msix + 2, 2, 0x8000);
	assert_int_equal(b.chip.fd, b.bell);
	config_set(&b, b.msix + 2, 2, 0);
	assert_int_equal(b.chip.fd, -1);
	assert_int_equal(b.chip.messages, 0);
	bench_finish(&b);
}

static void masked_signals_become_pending_and_are_sent_later(void **state)
{
	struct bench b;
	bench_init(&b, &kernel_ops);
	msix_on(&b, 0, 77);
	pci_device_attach_bell(b.device, PCI_IRQ_MSIX, 0, b.bell, -1);
	assert_int_equal(b.chip.fd, b.bell);
	vector_set(&b, 0, 3, 1);
	assert_int_equal(b.chip.fd, -1);
	assert_int_equal(signal_and_take(&b, PCI_IRQ_MSIX, 0), PCI_TAKEN);
	assert_int_equal(b.chip.messages, 0);
	assert_int_equal(pci_device_msix_pending_read(b.device, 0, 8), 1);
	vector_set(&b, 0, 3, 0);
	assert_int_equal(b.chip.fd, b.bell);
	assert_int_equal(b.chip.messages, 1);
	assert_int_equal(b.chip.sent, 77);
	assert_int_equal(pci_device_msix_pending_read(b.device, 0, 8), 0);
	bench_finish(&b);
}

static void detached_and_reset_bells_are_unbound(void **state)
{
	struct bench b;
	bench_init(&b, &kernel_ops);
	msix_on(&b, 0, 77);
	pci_device_attach_bell(b.device, PCI_IRQ_MSIX, 0, b.bell, -1);
	pci_host_reset(b.host);
	assert_int_equal(b.chip.fd, -1);
	msix_on(&b, 0, 79);
	assert_int_equal(b.chip.data, 79);
	pci_device_attach_bell(b.device, PCI_IRQ_MSIX, 0, -1, -1);
	assert_int_equal(b.chip.fd, -1);
	assert_int_equal(signal_and_take(&b, PCI_IRQ_MSIX, 0), PCI_TAKEN_BY_NOBODY);
	assert_true(os_bell_clear(b.bell)); /* left in it */
	bench_finish(&b);
}

static void what_the_chip_can_not_take_goes_by_hand(void **state)
{
	struct bench b;
	bench_init(&b, &kernel_ops);
	pci_device_attach_bell(b.device, PCI_IRQ_MSIX, 0, b.bell, -1);
	msix_on(&b, 0, 77);
	vector_set(&b, 0, 0, FRAME + 0x1000);
	assert_int_equal(b.chip.fd, -1);
	assert_int_equal(signal_and_take(&b, PCI_IRQ_MSIX, 0), PCI_TAKEN);
	assert_int_equal(b.chip.messages, 1);
	bench_finish(&b);
	bench_init(&b, &plain_ops);
	pci_device_attach_bell(b.device, PCI_IRQ_MSIX, 0, b.bell, -1);
	msix_on(&b, 0, 77);
	assert_int_equal(signal_and_take(&b, PCI_IRQ_MSIX, 0), PCI_TAKEN);
	assert_int_equal(take(&b, PCI_IRQ_MSIX, 0), PCI_TAKEN_BEFORE); /* nothing is in it */
	assert_int_equal(b.chip.messages, 1);
	bench_finish(&b);
}

static void msi_bells_have_their_own_data_and_masks(void **state)
{
	struct bench b;
	bench_init(&b, &kernel_ops);
	pci_device_attach_bell(b.device, PCI_IRQ_MSI, 1, b.bell, -1);
	config_set(&b, MSI_AT + 4, 4, FRAME);
	config_set(&b, MSI_AT + 12, 2, 96);
	config_set(&b, MSI_AT + 2, 2, 0x11); /* two vectors */
	assert_int_equal(b.chip.fd, b.bell);
	assert_int_equal(b.chip.data, 97);
	config_set(&b, MSI_AT + 16, 4, 2);
	assert_int_equal(b.chip.fd, -1);
	assert_int_equal(signal_and_take(&b, PCI_IRQ_MSI, 1), PCI_TAKEN);
	assert_int_equal(b.chip.messages, 0);
	config_set(&b, MSI_AT + 16, 4, 0);
	assert_int_equal(b.chip.fd, b.bell);
	assert_int_equal(b.chip.sent, 97);
	config_set(&b, MSI_AT + 2, 2, 0x01); /* one vector: the other can not be signalled */
	assert_int_equal(b.chip.fd, -1);
	bench_finish(&b);
}

static void intx_bell_is_bound_while_the_guest_listens(void **state)
{
	struct bench b;
	bench_init(&b, &kernel_ops);
	pci_device_attach_bell(b.device, PCI_IRQ_INTX, 0, b.bell, b.ended);
	assert_int_equal(b.chip.line_fd, b.bell);
	assert_int_equal(b.chip.ended, b.ended);
	assert_false(os_bell_clear(b.ended));
	assert_int_equal(signal_and_take(&b, PCI_IRQ_INTX, 0), PCI_TAKEN_BEFORE);
	config_set(&b, 4, 2, 0x400); /* INTx off */
	assert_int_equal(b.chip.line_fd, -1);
	assert_true(os_bell_clear(b.ended)); /* what may have been raised is wanted again */
	assert_int_equal(signal_and_take(&b, PCI_IRQ_INTX, 0), PCI_TAKEN);
	assert_false(b.chip.level);
	config_set(&b, 4, 2, 0);
	assert_int_equal(b.chip.line_fd, b.bell);
	assert_true(os_bell_clear(b.ended));
	assert_false(b.chip.level); /* the device raises it by the bell */
	config_set(&b, b.msix + 2, 2, 0x8000);
	assert_int_equal(b.chip.line_fd, -1);
	config_set(&b, b.msix + 2, 2, 0);
	assert_int_equal(b.chip.line_fd, b.bell);
	pci_device_attach_bell(b.device, PCI_IRQ_INTX, 0, -1, -1);
	assert_int_equal(b.chip.line_fd, -1);
	bench_finish(&b);
}

static void intx_bell_is_a_level_with_a_plain_chip(void **state)
{
	struct bench b;
	bench_init(&b, &plain_ops);
	pci_device_attach_bell(b.device, PCI_IRQ_INTX, 0, b.bell, b.ended);
	assert_int_equal(signal_and_take(&b, PCI_IRQ_INTX, 0), PCI_TAKEN);
	assert_true(b.chip.level);
	pci_device_attach_bell(b.device, PCI_IRQ_INTX, 0, -1, -1);
	assert_false(b.chip.level);
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(msix_bell_is_bound_while_its_vector_is_open),
		cmocka_unit_test(masked_signals_become_pending_and_are_sent_later),
		cmocka_unit_test(detached_and_reset_bells_are_unbound),
		cmocka_unit_test(what_the_chip_can_not_take_goes_by_hand),
		cmocka_unit_test(msi_bells_have_their_own_data_and_masks),
		cmocka_unit_test(intx_bell_is_bound_while_the_guest_listens),
		cmocka_unit_test(intx_bell_is_a_level_with_a_plain_chip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
