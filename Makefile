# SPDX-License-Identifier: ISC
# Pabal: one GNU Makefile.  `make help` lists the targets; `make BUILD=dir` builds elsewhere.

DAEMONS := maild authd smtpd queued relayd deliverd mailboxd imapd pop3d
PROGRAMS := $(DAEMONS) mailctl
LAYERS := base net mail ipc store

BUILD ?= build
CC = gcc
PREFIX ?= /usr/local
DESTDIR ?=
WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wformat=2 -Wstrict-prototypes \
	-Wmissing-prototypes -Werror
PACKAGES := libevent openssl libsodium lmdb libzstd libunbound libseccomp libidn2 libconfuse jansson
CPPFLAGS += -I. -I$(BUILD) -D_GNU_SOURCE
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong
OPT ?= -O2 -g $(HARDEN)
CFLAGS += -std=c11 $(WARN) -fPIE $(OPT) $(SANITIZE)
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SANITIZE)
LDLIBS = $(shell pkg-config --libs $(PACKAGES)) -lunistring
# What the sanitizer flavour adds; its objects live in a build directory of their own.
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(addsuffix /*.c,$(1))))
COMMON := $(call objects,$(addprefix common/,$(LAYERS)))
LIB := $(BUILD)/libpabal.a
BINARIES := $(addprefix $(BUILD)/bin/,$(PROGRAMS))
UNIT := $(patsubst tests/unit/%/,$(BUILD)/tests/unit-%,$(sort $(dir $(wildcard tests/unit/*/*.c))))
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAY := $(addprefix $(BUILD)/tests/replay-,$(FUZZ))
TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/*.c))
TOOLS += $(patsubst tests/tools/%/main.c,$(BUILD)/tests/%,$(wildcard tests/tools/*/main.c))
POWER := $(addprefix $(BUILD)/tests/,shim.so power_workload power_simulate)

.PHONY: all help deps demo run check test asan fuzz cover bench bench-store install format lint clean
.SECONDARY:
all: $(BINARIES)                ## build the programs into build/bin

help:                           ## print this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/:/' | awk -F: '{printf "make %-12s%s\n", $$1, $$2}'

deps:                           ## install the Debian packages that are missing
	tools/deps

demo:                           ## two mail domains on this machine: see a mail flow
	tools/deps
	$(MAKE) all
	tools/demo $(BUILD)

run:                            ## leave a suite running for a mail client, until Ctrl-C
	tools/deps
	$(MAKE) all
	$(BUILD)/bin/mailctl try

check:                          ## install what is missing, build, run every test
	tools/deps
	tools/check $(BUILD)

test: all tests                 ## the tests of one flavour, without looking for packages
	tests/run $(BUILD)

tests: $(UNIT) $(REPLAY) $(TOOLS) $(POWER)

asan:                           ## all tests under AddressSanitizer and UBSan
	$(MAKE) BUILD=$(BUILD)/asan OPT='-O1 -g' SANITIZE='$(ASAN)' test

fuzz:                           ## fuzz every target for FUZZ_SECONDS (60) each
	tests/fuzz/run $(BUILD) $(FUZZ)

cover:                          ## line coverage of the tests, into build/cover
	$(MAKE) BUILD=$(BUILD)/cover OPT='-O0 -g' SANITIZE='--coverage' test
	tools/cover $(BUILD)/cover

bench: all $(BUILD)/tests/load $(BUILD)/tests/store_bench ## measure; BENCH='--quick --save' as options
	tests/bench/run $(BUILD) $(BENCH)
	tests/bench/store $(BUILD) $(BENCH)

bench-store: $(BUILD)/tests/store_bench ## measure the store alone
	tests/bench/store $(BUILD) $(BENCH)

format:                         ## let clang-format decide
	git ls-files '*.[ch]' | xargs clang-format -i

lint:                           ## layers, standards, manual pages, format
	tests/lint/run

install: all                    ## into DESTDIR/PREFIX, with manual pages and units
	tools/install '$(BUILD)' '$(DESTDIR)' '$(PREFIX)'

clean:                          ## remove the build directory
	rm -rf $(BUILD)

$(LIB): $(COMMON)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# A daemon is an archive without main.c, so that its tests link the same objects.
define daemon_rules
$(BUILD)/lib$(1).a: $(filter-out %/main.o,$(call objects,$(1)))
	@mkdir -p $$(@D); rm -f $$@
	$(AR) rcs $$@ $$^
$(BUILD)/bin/$(1): $(BUILD)/obj/$(1)/main.o $(BUILD)/lib$(1).a $(LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call daemon_rules,$(p))))

# tests/unit/NAME/*.c become one libcheck program, linked with NAME's archive if it is a program.
define unit_rules
$(BUILD)/tests/unit-$(1): $(call objects,tests/unit/$(1) tests/unit) \
		$(if $(filter $(1),$(PROGRAMS)),$(BUILD)/lib$(1).a) $(LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$^ $$(LDLIBS) -lcheck -lsubunit -lm -lrt -lpthread
endef
$(foreach u,$(patsubst $(BUILD)/tests/unit-%,%,$(UNIT)),$(eval $(call unit_rules,$(u))))

# A fuzz target names what it links beside common in a line "fuzz-links: NAME".
fuzz_links = $(shell sed -n 's/.*fuzz-links: *\([a-z0-9]*\).*/\1/p' tests/fuzz/fuzz_$(1).c)
define fuzz_rules
$(BUILD)/tests/replay-$(1): $(BUILD)/obj/tests/fuzz/fuzz_$(1).o $(BUILD)/obj/tests/fuzz/replay.o \
		$(addprefix $(BUILD)/lib,$(addsuffix .a,$(call fuzz_links,$(1)))) $(LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -o $$@ $$^ $$(LDLIBS)
$(BUILD)/tests/fuzz-$(1): $(BUILD)/obj/tests/fuzz/fuzz_$(1).o \
		$(addprefix $(BUILD)/lib,$(addsuffix .a,$(call fuzz_links,$(1)))) $(LIB)
	@mkdir -p $$(@D)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $$@ $$^ $$(LDLIBS)
endef
$(foreach f,$(FUZZ),$(eval $(call fuzz_rules,$(f))))

# tests/tools/NAME.c or tests/tools/NAME/*.c: small programs that tests and benchmarks use.
$(BUILD)/tests/%: $(BUILD)/obj/tests/tools/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/tests/load: $(call objects,tests/tools/load) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lpthread
$(BUILD)/tests/store_bench: $(call objects,tests/tools/store_bench) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/tests/store_dump: $(addprefix $(BUILD)/obj/tests/,tools/store_dump.o unit/store/dump.o) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# tests/power: the store under kills, faults and power cuts.  The shim goes into other programs by
# LD_PRELOAD, so it is never sanitized itself.
$(BUILD)/tests/shim.so: $(wildcard tests/power/shim*.c) tests/power/shim.h tests/power/trace.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c11 $(WARN) -O2 -g -fPIC -fvisibility=hidden -shared -o $@ $(filter %.c,$^)
POWER_PLAY := $(patsubst %,$(BUILD)/obj/tests/%.o,power/play power/play_batch power/states unit/store/dump)
$(BUILD)/tests/power_workload: $(BUILD)/obj/tests/power/workload.o $(POWER_PLAY) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lpthread
$(BUILD)/tests/power_simulate: $(patsubst %,$(BUILD)/obj/tests/power/%.o,simulate disk disk_names \
		disk_sample) $(POWER_PLAY) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
