/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devicetree.c - the device tree of the generic board, by libfdt's sequential writer
 *
 * How it works: the writer's first error sticks in struct fdt_writer, so that nodes are written without checks in between.
 * Threads: values.
 */
#include "board/devicetree.h"

#include "board/board.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

enum {
	PHANDLE_GIC = 1,
	PHANDLE_V2M,
	PHANDLE_CLOCK,
	PHANDLE_GPIO,
};

/* Cells of interrupt specifiers. */
enum { GIC_SPI = 0, GIC_PPI = 1, IRQ_EDGE = 1, IRQ_LEVEL = 4 };

enum { KEY_POWER = 116 };

struct fdt_writer {
	void *fdt;
	int error; /* first libfdt error, or 0 */
};

static void w_check(struct fdt_writer *w, int rc)
{
	if (rc < 0 && !w->error) {
		w->error = rc;
	}
}

static void w_begin(struct fdt_writer *w, const char *name)
{
	w_check(w, fdt_begin_node(w->fdt, name));
}

static void w_begin_at(struct fdt_writer *w, const char *name, uint64_t address)
{
	char full[64];
	snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
	w_begin(w, full);
}

static void w_end(struct fdt_writer *w)
{
	w_check(w, fdt_end_node(w->fdt));
}

static void w_bytes(struct fdt_writer *w, const char *name, const void *bytes, size_t len)
{
	w_check(w, fdt_property(w->fdt, name, bytes, (int)len));
}

static void w_flag(struct fdt_writer *w, const char *name)
{
	w_bytes(w, name, NULL, 0);
}

static void w_string(struct fdt_writer *w, const char *name, const char *value)
{
	w_bytes(w, name, value, strlen(value) + 1);
}

/* @values is a string literal with its parts divided by \0. */
#define w_strings(w, name, values) w_bytes(w, name, values, sizeof(values))

static void w_cells_array(struct fdt_writer *w, const char *name, const uint32_t *cells, size_t count)
{
	void *at;
	w_check(w, fdt_property_placeholder(w->fdt, name, (int)(count * 4), &at));
	for (size_t i = 0; !w->error && i < count; i++) {
		fdt32_st((uint8_t *)at + i * 4, cells[i]);
	}
}

#define w_cells(w, name, ...)                                                                      \
	w_cells_array(w, name, (const uint32_t[]){__VA_ARGS__},                                    \
		      sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

/* A 64-bit number as two cells. */
#define CELLS64(value) (uint32_t)((uint64_t)(value) >> 32), (uint32_t)(value)

static void w_reg(struct fdt_writer *w, uint64_t base, uint64_t len)
{
	w_cells(w, "reg", CELLS64(base), CELLS64(len));
}

static void write_chosen(struct fdt_writer *w, const struct devicetree_config *config)
{
	w_begin(w, "chosen");
	if (config->bootargs) {
		w_string(w, "bootargs", config->bootargs);
	}
	char path[32];
	snprintf(path, sizeof(path), "/pl011@%llx", (unsigned long long)BOARD_UART_BASE);
	w_string(w, "stdout-path", path);
	if (config->initrd_end > config->initrd_start) {
		w_cells(w, "linux,initrd-start", CELLS64(config->initrd_start));
		w_cells(w, "linux,initrd-end", CELLS64(config->initrd_end));
	}
	w_bytes(w, "rng-seed", config->rng_seed, sizeof(config->rng_seed));
	w_bytes(w, "kaslr-seed", config->kaslr_seed, sizeof(config->kaslr_seed));
	w_end(w);
}

/* Devicetree specification 0.4, 3.5: the guest does not even map these. */
static void write_holes(struct fdt_writer *w, const struct devicetree_config *config)
{
	if (!config->hole_count) {
		return;
	}
	w_begin(w, "reserved-memory");
	w_cells(w, "#address-cells", 2);
	w_cells(w, "#size-cells", 2);
	w_flag(w, "ranges");
	for (size_t i = 0; i < config->hole_count; i++) {
		w_begin_at(w, "iommu", config->holes[i].gpa);
		w_reg(w, config->holes[i].gpa, config->holes[i].len);
		w_flag(w, "no-map");
		w_end(w);
	}
	w_end(w);
}

static void write_cpus(struct fdt_writer *w, unsigned vcpus)
{
	w_begin(w, "cpus");
	w_cells(w, "#address-cells", 1);
	w_cells(w, "#size-cells", 0);
	for (unsigned i = 0; i < vcpus; i++) {
		w_begin_at(w, "cpu", gicv3_affinity(i));
		w_string(w, "device_type", "cpu");
		w_string(w, "compatible", "arm,armv8");
		w_cells(w, "reg", (uint32_t)gicv3_affinity(i));
		w_string(w, "enable-method", "psci");
		w_end(w);
	}
	w_end(w);
	w_begin(w, "psci");
	w_strings(w, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	w_string(w, "method", "hvc");
	w_end(w);
	w_begin(w, "timer");
	w_string(w, "compatible", "arm,armv8-timer");
	/* Secure physical, physical, virtual, hypervisor. */
	w_cells(w, "interrupts", GIC_PPI, 13, IRQ_LEVEL, GIC_PPI, 14, IRQ_LEVEL, GIC_PPI, 11, IRQ_LEVEL,
		GIC_PPI, 10, IRQ_LEVEL);
	w_flag(w, "always-on");
	w_end(w);
}

static void write_gic(struct fdt_writer *w, unsigned vcpus)
{
	w_begin_at(w, "intc", BOARD_GICD_BASE);
	w_string(w, "compatible", "arm,gic-v3");
	w_flag(w, "interrupt-controller");
	w_cells(w, "#interrupt-cells", 3);
	w_cells(w, "#redistributor-regions", 1);
	w_cells(w, "reg", CELLS64(BOARD_GICD_BASE), CELLS64(GICV3_DIST_BYTES), CELLS64(BOARD_GICR_BASE),
		CELLS64((uint64_t)vcpus * GICV3_REDIST_BYTES));
	w_cells(w, "#address-cells", 2);
	w_cells(w, "#size-cells", 2);
	w_flag(w, "ranges");
	w_cells(w, "phandle", PHANDLE_GIC);
	w_begin_at(w, "v2m", BOARD_V2M_BASE);
	w_string(w, "compatible", "arm,gic-v2m-frame");
	w_flag(w, "msi-controller");
	w_reg(w, BOARD_V2M_BASE, GICV2M_BYTES);
	w_cells(w, "phandle", PHANDLE_V2M);
	w_end(w);
	w_end(w);
}

/* What PrimeCell nodes have in common; the caller ends the node. */
static void begin_primecell(struct fdt_writer *w, const char *name, uint64_t base, unsigned spi)
{
	w_begin_at(w, name, base);
	w_reg(w, base, 0x1000);
	w_cells(w, "interrupts", GIC_SPI, spi, IRQ_LEVEL);
}

static void write_primecells(struct fdt_writer *w)
{
	w_begin(w, "apb-pclk");
	w_string(w, "compatible", "fixed-clock");
	w_cells(w, "#clock-cells", 0);
	w_cells(w, "clock-frequency", 24000000);
	w_string(w, "clock-output-names", "clk24mhz");
	w_cells(w, "phandle", PHANDLE_CLOCK);
	w_end(w);

	begin_primecell(w, "pl011", BOARD_UART_BASE, BOARD_SPI_UART);
	w_strings(w, "compatible", "arm,pl011\0arm,primecell");
	w_cells(w, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
	w_strings(w, "clock-names", "uartclk\0apb_pclk");
	w_end(w);

	begin_primecell(w, "pl031", BOARD_RTC_BASE, BOARD_SPI_RTC);
	w_strings(w, "compatible", "arm,pl031\0arm,primecell");
	w_cells(w, "clocks", PHANDLE_CLOCK);
	w_string(w, "clock-names", "apb_pclk");
	w_end(w);

	begin_primecell(w, "pl061", BOARD_GPIO_BASE, BOARD_SPI_GPIO);
	w_strings(w, "compatible", "arm,pl061\0arm,primecell");
	w_cells(w, "clocks", PHANDLE_CLOCK);
	w_string(w, "clock-names", "apb_pclk");
	w_flag(w, "gpio-controller");
	w_cells(w, "#gpio-cells", 2);
	w_flag(w, "interrupt-controller");
	w_cells(w, "#interrupt-cells", 2);
	w_cells(w, "phandle", PHANDLE_GPIO);
	w_end(w);

	w_begin(w, "gpio-keys");
	w_string(w, "compatible", "gpio-keys");
	w_begin(w, "poweroff");
	w_string(w, "label", "Power key");
	w_cells(w, "linux,code", KEY_POWER);
	w_cells(w, "gpios", PHANDLE_GPIO, BOARD_GPIO_POWER_KEY, 0);
	w_end(w);
	w_end(w);
}

/* INTA..INTD of four slots, rotated by the slot, as pci_host does it. */
static void write_interrupt_map(struct fdt_writer *w)
{
	uint32_t map[4 * 4 * 10];
	size_t n = 0;
	for (unsigned slot = 0; slot < 4; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			const uint32_t entry[10] = {
				slot << 11, 0, 0, pin + 1, PHANDLE_GIC, 0, 0, GIC_SPI,
				BOARD_SPI_PCI_INTX + (slot + pin) % 4, IRQ_LEVEL,
			};
			memcpy(&map[n], entry, sizeof(entry));
			n += 10;
		}
	}
	w_cells(w, "interrupt-map-mask", 3u << 11, 0, 0, 7);
	w_cells_array(w, "interrupt-map", map, n);
}

static void write_pci(struct fdt_writer *w, uint64_t mem64_len)
{
	const uint32_t io = 1u << 24, mem32 = 2u << 24, mem64 = 3u << 24; /* address space codes */
	w_begin_at(w, "pcie", BOARD_PCI_ECAM);
	w_string(w, "compatible", "pci-host-ecam-generic");
	w_string(w, "device_type", "pci");
	w_cells(w, "#address-cells", 3);
	w_cells(w, "#size-cells", 2);
	w_reg(w, BOARD_PCI_ECAM, BOARD_PCI_ECAM_LEN);
	w_cells(w, "bus-range", 0, (uint32_t)(BOARD_PCI_ECAM_LEN >> 20) - 1);
	w_cells(w, "linux,pci-domain", 0);
	w_flag(w, "dma-coherent");
	w_cells(w, "ranges",
		io, CELLS64(0), CELLS64(BOARD_PCI_IO), CELLS64(BOARD_PCI_IO_LEN),
		mem32, CELLS64(BOARD_PCI_MEM32), CELLS64(BOARD_PCI_MEM32), CELLS64(BOARD_PCI_MEM32_LEN),
		mem64, CELLS64(BOARD_PCI_MEM64), CELLS64(BOARD_PCI_MEM64), CELLS64(mem64_len ? mem64_len : BOARD_PCI_MEM64_LEN));
	w_cells(w, "#interrupt-cells", 1);
	write_interrupt_map(w);
	w_cells(w, "msi-parent", PHANDLE_V2M);
	w_end(w);
}

static void write_root(struct fdt_writer *w, const struct devicetree_config *config)
{
	w_begin(w, "");
	w_strings(w, "compatible", "oriel,generic\0linux,dummy-virt");
	w_string(w, "model", "Oriel generic board");
	w_cells(w, "#address-cells", 2);
	w_cells(w, "#size-cells", 2);
	w_cells(w, "interrupt-parent", PHANDLE_GIC);
	w_flag(w, "dma-coherent");
	write_chosen(w, config);
	w_begin(w, "aliases");
	char path[32];
	snprintf(path, sizeof(path), "/pl011@%llx", (unsigned long long)BOARD_UART_BASE);
	w_string(w, "serial0", path);
	w_end(w);
	w_begin_at(w, "memory", BOARD_RAM_BASE);
	w_string(w, "device_type", "memory");
	w_reg(w, BOARD_RAM_BASE, config->ram_bytes);
	w_end(w);
	write_holes(w, config);
	write_cpus(w, config->vcpus);
	write_gic(w, config->vcpus);
	write_primecells(w);
	if (config->pci) {
		write_pci(w, config->pci_memory64_len);
	}
	w_end(w);
}

int devicetree_build(const struct devicetree_config *config, void *out, size_t capacity, struct error *err)
{
	struct fdt_writer w = {.fdt = out};
	w_check(&w, fdt_create(out, (int)capacity));
	w_check(&w, fdt_finish_reservemap(out));
	write_root(&w, config);
	w_check(&w, fdt_finish(out));
	if (w.error == -FDT_ERR_NOSPACE) {
		return error_set(err, -ENOSPC, "device tree: does not fit (is the kernel command line too long?)");
	}
	if (w.error) {
		return error_set(err, -EINVAL, "device tree: %s", fdt_strerror(w.error));
	}
	return (int)fdt_totalsize(out);
}
