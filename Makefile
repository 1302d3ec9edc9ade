# SPDX-License-Identifier: Apache-2.0
# The two commands of the README, and what they are made of.  The build itself is meson's.
BUILD ?= build
ASAN = build-asan
ARM64 = build-arm64

.PHONY: all arm64 demo test test-long bench-cpu bench-gpu bench-passthrough setup setup-test install clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

# The same programs for arm64 Linux hosts.
arm64: $(ARM64)/build.ninja
	@ninja -C $(ARM64)

demo: setup all
	@python3 images/demo.py $(BUILD)

test: setup-test $(BUILD)/.with-tests $(ASAN)/build.ninja $(ARM64)/build.ninja
	@ninja -C $(BUILD)
	@ninja -C $(ASAN)
	@ninja -C $(ARM64)
	@python3 images/guest.py $(BUILD)/guest images/vkscene $(BUILD)/images/vkscene
	@python3 tests/run.py $(BUILD) $(ASAN) $(ARM64)

# What takes many minutes to hours, the CPU engine by a thousand million instructions among it: STRESS_S=seconds for each run of stress-ng, LITMUS_RUNS=n.
test-long: setup-test $(BUILD)/.with-tests
	@ninja -C $(BUILD)
	@python3 images/guest.py $(BUILD)/guest images/vkscene $(BUILD)/images/vkscene
	@python3 tests/run.py --long $(BUILD)

# The CPU engine beside QEMU, in turn: LINES=name,group ROUNDS=n, and ARGS for what bench_cpu.py --help lists.
bench-cpu: setup all
	@python3 images/guest.py $(BUILD)/guest images/vkscene $(BUILD)/images/vkscene
	@python3 tests/perf/bench_cpu.py $(BUILD) --lines "$(LINES)" --rounds $(or $(ROUNDS),3) $(ARGS)

# Vulkan through oriel-gpu and in the guest beside the host's own driver, in turn: LINES=group,group ROUNDS=n.
bench-gpu: setup-test $(BUILD)/.with-tests
	@ninja -C $(BUILD)
	@python3 images/guest.py $(BUILD)/guest images/vkscene $(BUILD)/images/vkscene
	@python3 tests/perf/bench_gpu.py $(BUILD) --lines "$(LINES)" --rounds $(or $(ROUNDS),3) $(ARGS)

# A vfio-user NVMe in our guest beside QEMU's, with the same server: ROUNDS=n.
bench-passthrough: setup-test $(BUILD)/.with-tests
	@ninja -C $(BUILD)
	@python3 images/guest.py $(BUILD)/guest images/vkscene $(BUILD)/images/vkscene
	@python3 tests/perf/bench_passthrough.py $(BUILD) --rounds $(or $(ROUNDS),3)

setup:
	@tools/setup

setup-test:
	@tools/setup --test

# The demo needs none of the tests' packages.
$(BUILD)/build.ninja: | setup
	@meson setup $(BUILD) -Dtests=false

$(BUILD)/.with-tests: $(BUILD)/build.ninja | setup-test
	@meson configure $(BUILD) -Dtests=true
	@touch $@

$(ASAN)/build.ninja: | setup-test
	@meson setup $(ASAN) --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false

$(ARM64)/build.ninja: | setup-test
	@python3 tools/arm64.py $(ARM64)
	@meson setup --cross-file $(ARM64)/cross.ini $(ARM64)

install: all
	@meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) $(ASAN) $(ARM64)
