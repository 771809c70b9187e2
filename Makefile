# SPDX-License-Identifier: MIT
#
# One entry to everything:
#
#   make                module, library, samples, tools
#   make check          every test (check-host, check-guest run alone as well)
#   make lint           checkpatch, sparse, W=1, headers on their own
#   make bench          the peers installed, the same work on all, a report: 30 minutes;
#                       QUICK=1: 5 minutes; bench-long: the largest cases
#   make bench-check    fails when gcarena is slower than bench/baseline.json says
#   make bench-kernel   instructions of each operation, beside user space
#   make demo           depgraph on malloc, process backend and device
#   make install        library, headers, pkg-config file, tools, manual  (PREFIX, DESTDIR)
#   make install-module the module, for the kernel of KDIR, and its udev rule
#   make install-dkms   its sources for dkms, which builds it for every kernel
#   make uninstall      what make install put there
#
# Sources are found by wildcard.  Everything is built under build/, the module
# too (from links, one directory for each kernel), so that one checkout serves
# several kernels and the source directories stay clean.

VERSION		:= $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
SOVERSION	:= 0

PREFIX		?= /usr/local
LIBDIR		?= $(PREFIX)/lib
INCLUDEDIR	?= $(PREFIX)/include
BINDIR		?= $(PREFIX)/bin
MANDIR		?= $(PREFIX)/share/man
GDBDATADIR	?= $(PREFIX)/share/gcarena/gdb
# Where gdb looks for what belongs to a library: Debian's looks nowhere else.
GDBAUTODIR	?= $(if $(filter /usr /usr/local,$(PREFIX)),/usr,$(PREFIX))/share/gdb/auto-load

B		:= build
CC		?= cc
AR		?= ar
LD		?= ld
OBJCOPY		?= objcopy
INSTALL		?= install
CFLAGS		?= -O2 -g

MAKEFLAGS	+= --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL	:= all

.PHONY: all
all: module lib samples tools

# ----------------------------------------------------------------- module

# The newest installed headers, unless KDIR= names a kernel's build directory.
KDIR	?= $(shell for d in /lib/modules/*/build; do \
		[ -f "$$d/include/generated/utsrelease.h" ] && echo "$$d"; \
		done | sort -V | tail -n 1)
# What that kernel calls itself; Debian's 6.1 has another word in kernel.release.
KREL	 = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
MODDIR	 = $(B)/module/$(KREL)

.PHONY: module module-dir install-module
module: module-dir
	$(MAKE) -C $(KDIR) M=$(CURDIR)/$(MODDIR) $(KBUILD_ARGS) modules

module-dir:
	@if [ -z "$(KREL)" ]; then \
		echo "no kernel headers: install linux-headers-6.12-amd64 or give KDIR=" >&2; \
		exit 1; fi
	@scripts/link-module-sources $(MODDIR) Kbuild kmod uapi

# KUnit suites; KDIR is a debug kernel's (scripts/debug-kernel --kdir).
KUNIT	 = $(B)/kunit/$(KREL)
.PHONY: kunit
kunit:
	@scripts/link-module-sources $(KUNIT) kmod uapi selftests/core selftests/kunit
	$(MAKE) -C $(KDIR) M=$(CURDIR)/$(KUNIT)/selftests/kunit modules

# What misbehaves on demand, for the test of the guest runner.
CANARY	 = $(B)/canary/$(KREL)
.PHONY: canary
canary:
	@scripts/link-module-sources $(CANARY) selftests/vm/canary
	$(MAKE) -C $(KDIR) M=$(CURDIR)/$(CANARY)/selftests/vm/canary modules

# Root of both; kbuild's own name for it.
INSTALL_MOD_PATH ?= $(DESTDIR)
UDEVDIR	?= /lib/udev/rules.d
# The module's directory is kbuild's choice, or the distribution's.
MODULE_PATHS = $(foreach d,updates extra,$(INSTALL_MOD_PATH)/lib/modules/$(KREL)/$(d)/kmod/gcarena.ko*)

# Not signed: the key of Debian's kernels is not here, dkms has one of its own.
# depmod by ourselves: kbuild does without if the headers have no System.map.
.PHONY: uninstall-module install-dkms
install-module: module
	$(MAKE) -C $(KDIR) M=$(CURDIR)/$(MODDIR) INSTALL_MOD_PATH=$(INSTALL_MOD_PATH) \
		CONFIG_MODULE_SIG_ALL= DEPMOD=true modules_install
	PATH=$$PATH:/sbin depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(KREL)
	$(INSTALL) -d $(INSTALL_MOD_PATH)$(UDEVDIR)
	$(INSTALL) -m 644 udev/60-gcarena.rules $(INSTALL_MOD_PATH)$(UDEVDIR)/60-gcarena.rules

uninstall-module:
	rm -f $(MODULE_PATHS) $(INSTALL_MOD_PATH)$(UDEVDIR)/60-gcarena.rules
	PATH=$$PATH:/sbin depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(KREL)

# What dkms builds from, for "dkms install gcarena/$(VERSION)" and every later kernel.
DKMSDIR	?= /usr/src/gcarena-$(VERSION)
install-dkms:
	for f in $$(find Kbuild dkms.conf kmod uapi -name Kbuild -o -name dkms.conf -o -name '*.[ch]' ! -name '*.mod.c'); do \
		$(INSTALL) -D -m 644 $$f $(DESTDIR)$(DKMSDIR)/$$f || exit; done
	$(INSTALL) -d $(DESTDIR)$(UDEVDIR)
	$(INSTALL) -m 644 udev/60-gcarena.rules $(DESTDIR)$(UDEVDIR)/60-gcarena.rules

# ---------------------------------------------------------------- library

WARNINGS	:= -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow \
		   -Wno-unused-parameter -Wno-sign-compare
WERROR		?= $(if $(CI),1)
LIB_CPPFLAGS	:= -D_GNU_SOURCE -Ilib -Ilib/include -Ilib/shim -Ikmod/core -Iuapi
LIB_CFLAGS	 = -std=gnu11 $(WARNINGS) $(if $(WERROR),-Werror) -fvisibility=hidden -pthread -MMD -MP
LIB_LDLIBS	:= -pthread -lm -lz
SANITIZE	:= -fsanitize=address,undefined -fno-sanitize-recover=undefined \
		   -fno-omit-frame-pointer

LIB_SRC		:= $(wildcard lib/*.c)
CORE_SRC	:= $(wildcard kmod/core/*.c) $(wildcard lib/shim/*.c)
ALL_SRC		:= $(LIB_SRC) $(CORE_SRC)

LIB_OBJ		:= $(ALL_SRC:%.c=$(B)/obj/%.o)
TEST_OBJ	:= $(ALL_SRC:%.c=$(B)/test/obj/%.o)
ASAN_OBJ	:= $(ALL_SRC:%.c=$(B)/asan/obj/%.o)
TSAN_OBJ	:= $(ALL_SRC:%.c=$(B)/tsan/obj/%.o)
CORE_OBJ	:= $(CORE_SRC:%.c=$(B)/asan/obj/%.o)

SONAME		:= libgcarena.so.$(SOVERSION)

# The seams' seeded faults are compiled into these three only.
TEST_CFLAGS	:= -O1 -g -DGCA_TEST_FAULTS=1
ASAN_CFLAGS	:= -O1 -g -DGCA_TEST_FAULTS=1 $(SANITIZE)
LIB_TSAN_CFLAGS := -O1 -g -DGCA_TEST_FAULTS=1 -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan

.PHONY: lib
lib: $(B)/libgcarena.a $(B)/libgcarena.so $(B)/gcarena.pc

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(LIB_CPPFLAGS) $(CPPFLAGS) $(LIB_CFLAGS) -fPIC $(CFLAGS) -c -o $@ $<

$(B)/test/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(LIB_CPPFLAGS) $(CPPFLAGS) $(LIB_CFLAGS) $(TEST_CFLAGS) -c -o $@ $<

$(B)/asan/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(LIB_CPPFLAGS) $(CPPFLAGS) $(LIB_CFLAGS) $(ASAN_CFLAGS) -c -o $@ $<

$(B)/tsan/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(LIB_CPPFLAGS) $(CPPFLAGS) $(LIB_CFLAGS) $(LIB_TSAN_CFLAGS) -c -o $@ $<

# One object whose hidden symbols are local: what the files share among
# themselves must not meet a user's names in a static link.
$(B)/gcarena.o: $(LIB_OBJ)
	$(LD) -r -o $@ $^
	$(OBJCOPY) --localize-hidden $@

$(B)/libgcarena.a: $(B)/gcarena.o
$(B)/test/libgcarena.a: $(TEST_OBJ)
$(B)/asan/libgcarena.a: $(ASAN_OBJ)
$(B)/asan/libcore.a: $(CORE_OBJ)
$(B)/tsan/libgcarena.a: $(TSAN_OBJ)
%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/$(SONAME): $(LIB_OBJ)
	$(CC) -shared -Wl,-soname,$(SONAME) -Wl,-z,defs,-z,nodelete $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

$(B)/libgcarena.so: $(B)/$(SONAME)
	ln -sfn $(SONAME) $@

# Always made: PREFIX may be another than last time.
$(B)/gcarena.pc: lib/gcarena.pc.in FORCE
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	    -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

GDB_PY		:= $(wildcard tools/gdb/gcarena_gdb/*.py)

.PHONY: FORCE man install uninstall
FORCE:

# From the comments in the sources; it takes no time.
man:
	scripts/man-pages $(B)/man

install: lib man tools
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/linux $(DESTDIR)$(BINDIR)
	$(INSTALL) -m 644 $(B)/libgcarena.a $(DESTDIR)$(LIBDIR)/libgcarena.a
	$(INSTALL) -m 755 $(B)/$(SONAME) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sfn $(SONAME) $(DESTDIR)$(LIBDIR)/libgcarena.so
	$(INSTALL) -m 644 $(B)/gcarena.pc $(DESTDIR)$(LIBDIR)/pkgconfig/gcarena.pc
	$(INSTALL) -m 644 lib/include/gcarena.h $(DESTDIR)$(INCLUDEDIR)/gcarena.h
	$(INSTALL) -m 644 uapi/linux/gcarena.h $(DESTDIR)$(INCLUDEDIR)/linux/gcarena.h
	$(INSTALL) -d $(DESTDIR)$(GDBDATADIR)/gcarena_gdb $(DESTDIR)$(GDBAUTODIR)$(LIBDIR)
	$(INSTALL) -m 644 $(GDB_PY) $(DESTDIR)$(GDBDATADIR)/gcarena_gdb
	sed 's|@GDBDATA@|$(GDBDATADIR)|' tools/gdb/gcarena-gdb.py > $(DESTDIR)$(GDBDATADIR)/gcarena-gdb.py
	$(INSTALL) -m 644 $(DESTDIR)$(GDBDATADIR)/gcarena-gdb.py \
		$(DESTDIR)$(GDBAUTODIR)$(LIBDIR)/$(SONAME)-gdb.py
	$(INSTALL) -m 755 $(TOOL) $(DESTDIR)$(BINDIR)/gcarena
	for s in 1 3 4 7; do \
		$(INSTALL) -d $(DESTDIR)$(MANDIR)/man$$s && \
		$(INSTALL) -m 644 $(B)/man/*.$$s $(DESTDIR)$(MANDIR)/man$$s || exit; \
	done

uninstall: man
	cd $(B)/man && for f in *.[1347]; do rm -f $(DESTDIR)$(MANDIR)/man$${f##*.}/$$f; done
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libgcarena.a libgcarena.so $(SONAME) pkgconfig/gcarena.pc)
	rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/,gcarena.h linux/gcarena.h) $(DESTDIR)$(BINDIR)/gcarena
	rm -rf $(DESTDIR)$(GDBDATADIR) $(DESTDIR)$(GDBAUTODIR)$(LIBDIR)/$(SONAME)-gdb.py

# ---------------------------------------------------------------- samples

# depgraph is compiled twice from the same sources: on the heap, and on malloc
# (-DDEPGRAPH_MALLOC), which never frees and is the oracle.
DEPGRAPH_SRC	:= $(wildcard samples/depgraph/*.c)
DEPGRAPH_OBJ	:= $(DEPGRAPH_SRC:%.c=$(B)/obj/%.o)
DEPGRAPH_ORACLE	:= $(DEPGRAPH_SRC:%.c=$(B)/malloc/obj/%.o)
# Each .c file in samples/ itself is one program.
SMALL_SAMPLES	:= $(patsubst %.c,$(B)/%,$(wildcard samples/*.c))
SAMPLES		:= $(if $(DEPGRAPH_SRC),$(B)/samples/depgraph $(B)/samples/depgraph-malloc) $(SMALL_SAMPLES)
# The same linked with the variants, for tests: seeded faults, sanitizers.
SAMPLE_TESTS	:= $(if $(DEPGRAPH_SRC),$(B)/test/samples/depgraph $(B)/asan/samples/depgraph)

# A program of a user's: the installed headers and nothing else.
$(DEPGRAPH_OBJ) $(DEPGRAPH_ORACLE): LIB_CPPFLAGS := -D_GNU_SOURCE -Ilib/include -Iuapi
$(SMALL_SAMPLES): LIB_CPPFLAGS := -Ilib/include -Iuapi

.PHONY: samples
samples: $(SAMPLES)

$(B)/malloc/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(LIB_CPPFLAGS) -DDEPGRAPH_MALLOC $(CPPFLAGS) $(LIB_CFLAGS) $(CFLAGS) -c -o $@ $<

$(B)/samples/depgraph: $(DEPGRAPH_OBJ) $(B)/libgcarena.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

$(B)/test/samples/depgraph: $(DEPGRAPH_SRC:%.c=$(B)/test/obj/%.o) $(B)/test/libgcarena.a
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

$(B)/asan/samples/depgraph: $(DEPGRAPH_SRC:%.c=$(B)/asan/obj/%.o) $(B)/asan/libgcarena.a
	@mkdir -p $(@D)
	$(CC) $(ASAN_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

$(B)/samples/depgraph-malloc: $(DEPGRAPH_ORACLE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIB_LDLIBS)

$(SMALL_SAMPLES): $(B)/%: %.c $(B)/libgcarena.a
	@mkdir -p $(@D)
	$(CC) $(LIB_CPPFLAGS) $(CPPFLAGS) $(LIB_CFLAGS) -MF $@.d $(CFLAGS) $(LDFLAGS) -o $@ $< $(B)/libgcarena.a $(LIB_LDLIBS)

# ------------------------------------------------------------------ tools

# One program; tools/commands.h lists its commands, a file each.  Linked with the
# library for what both know; TOOL_LDLIBS is what single commands need.
TOOL_SRC	:= $(wildcard tools/*.c)
TOOL		:= $(B)/tools/gcarena
TOOL_LDLIBS	:= -ldw -lelf -lmicrohttpd -lm
# The same under the sanitizers, for tests.
TOOL_TESTS	:= $(B)/asan/tools/gcarena
TOOL_CPPFLAGS	:= -DGCARENA_VERSION='"$(VERSION)"'

$(TOOL_SRC:%.c=$(B)/obj/%.o) $(TOOL_SRC:%.c=$(B)/asan/obj/%.o): LIB_CPPFLAGS := \
	-D_GNU_SOURCE -Ilib/include -Iuapi $(TOOL_CPPFLAGS)

.PHONY: tools
tools: $(TOOL)

$(TOOL): $(TOOL_SRC:%.c=$(B)/obj/%.o) $(B)/libgcarena.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LDLIBS) $(LIB_LDLIBS)

$(TOOL_TESTS): $(TOOL_SRC:%.c=$(B)/asan/obj/%.o) $(B)/asan/libgcarena.a
	@mkdir -p $(@D)
	$(CC) $(ASAN_CFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LDLIBS) $(LIB_LDLIBS)

# ------------------------------------------------------------------ tests

# Each .c file is one program; what they share is in headers.
CORE_TESTS	:= $(patsubst %.c,$(B)/%,$(wildcard selftests/core/*.c))
LIB_TESTS	:= $(patsubst %.c,$(B)/%,$(wildcard selftests/lib/*.c))
ASAN_TESTS	:= $(LIB_TESTS:$(B)/%=$(B)/asan/%)
# Those with threads that meet in the collector.
TSAN_TESTS	:= $(addprefix $(B)/tsan/selftests/lib/,concurrent races references share \
		     threads torture)
GUEST_TESTS	:= $(patsubst %.c,$(B)/%,$(wildcard selftests/guest/*.c selftests/guest-debug/*.c))

TEST_LINK	 = $(CC) $(LIB_CPPFLAGS) -Iselftests $(LIB_CFLAGS) -MF $@.d

.PHONY: tests tests-host tests-guest
tests: tests-host tests-guest
tests-host: $(CORE_TESTS) $(LIB_TESTS) $(ASAN_TESTS) $(TSAN_TESTS) $(SAMPLE_TESTS) $(TOOL) $(TOOL_TESTS) bench-programs
tests-guest: $(GUEST_TESTS) $(LIB_TESTS) $(TOOL)

# Install what is missing, build, run everything through prove: scripts/check.
.PHONY: check check-host check-guest check-debug check-kunit check-long
check:
	@MAKE=$(MAKE) B=$(B) scripts/check all
check-host check-guest check-debug check-kunit check-long: check-%:
	@MAKE=$(MAKE) B=$(B) scripts/check $*

-include $(wildcard selftests/core/Makefile.inc)

$(B)/selftests/core/%: selftests/core/%.c $(B)/asan/libcore.a
	@mkdir -p $(@D)
	$(TEST_LINK) $(ASAN_CFLAGS) -o $@ $< $(B)/asan/libcore.a $(LIB_LDLIBS)

$(B)/selftests/lib/%: selftests/lib/%.c $(B)/test/libgcarena.a
	@mkdir -p $(@D)
	$(TEST_LINK) $(TEST_CFLAGS) -o $@ $< $(B)/test/libgcarena.a $(LIB_LDLIBS)

$(B)/asan/selftests/lib/%: selftests/lib/%.c $(B)/asan/libgcarena.a
	@mkdir -p $(@D)
	$(TEST_LINK) $(ASAN_CFLAGS) -o $@ $< $(B)/asan/libgcarena.a $(LIB_LDLIBS)

$(B)/tsan/selftests/lib/%: selftests/lib/%.c $(B)/tsan/libgcarena.a
	@mkdir -p $(@D)
	$(TEST_LINK) $(LIB_TSAN_CFLAGS) -o $@ $< $(B)/tsan/libgcarena.a $(LIB_LDLIBS)

# Of programs that are not for the machine's word size.
GUEST_ARCH_compat32 := -m32 -D_FILE_OFFSET_BITS=64

# Nothing but the contract: no library between the test and the kernel.
$(B)/selftests/guest/%: selftests/guest/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(GUEST_ARCH_$*) -Iuapi -Iselftests $(LIB_CFLAGS) -MF $@.d -O1 -g -static -o $@ $< -pthread

$(B)/selftests/guest-debug/%: selftests/guest-debug/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -Iuapi -Iselftests -Iselftests/guest $(LIB_CFLAGS) -MF $@.d -O1 -g -static -o $@ $< -pthread

# ------------------------------------------------------------------ bench

# One source a language, one program a heap: what cannot be built is left out, and
# bench/run says so.
BENCH_C		:= $(wildcard bench/c/*.c)
BENCH_PEERS	:= $(B)/bench/peers
BENCH_LINK	:= -pthread -ldl -lm -lz
BENCH_PROGRAMS	 = $(addprefix $(BENCH_PEERS)/,gcarena malloc \
		   $(if $(wildcard /usr/include/gc.h /usr/include/gc/gc.h),bdwgc) \
		   $(if $(shell command -v go),go) $(if $(wildcard $(BENCH_JAVA)),java/Bench.class))
# The compiler is a module of the runtime; there need be no development kit.
BENCH_JAVA	:= /usr/lib/jvm/java-17-openjdk-amd64/bin/java

$(B)/bench/obj/gcarena/%.o: bench/c/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -DPEER_GCARENA -Ilib/include -Iuapi $(LIB_CFLAGS) -O2 -g -c -o $@ $<
$(B)/bench/obj/malloc/%.o: bench/c/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -DPEER_MALLOC $(LIB_CFLAGS) -O2 -g -c -o $@ $<
$(B)/bench/obj/bdwgc/%.o: bench/c/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -DPEER_BDWGC $(LIB_CFLAGS) -O2 -g -c -o $@ $<

$(BENCH_PEERS)/gcarena: $(BENCH_C:bench/c/%.c=$(B)/bench/obj/gcarena/%.o) $(B)/libgcarena.a
$(BENCH_PEERS)/malloc: $(BENCH_C:bench/c/%.c=$(B)/bench/obj/malloc/%.o)
$(BENCH_PEERS)/bdwgc: $(BENCH_C:bench/c/%.c=$(B)/bench/obj/bdwgc/%.o)
$(BENCH_PEERS)/bdwgc: BENCH_LINK += -lgc
$(BENCH_PEERS)/gcarena $(BENCH_PEERS)/malloc $(BENCH_PEERS)/bdwgc:
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(BENCH_LINK)

$(BENCH_PEERS)/go: $(wildcard bench/go/*.go)
	@mkdir -p $(@D)
	GO111MODULE=off go build -o $@ $^

$(BENCH_PEERS)/java/Bench.class: $(wildcard bench/java/*.java)
	@mkdir -p $(@D)
	$(BENCH_JAVA) -m jdk.compiler/com.sun.tools.javac.Main -d $(@D) $^

.PHONY: bench-programs bench bench-long bench-check bench-baseline
bench-programs: $(BENCH_PROGRAMS)

bench:
	@scripts/install-deps build bench
	@MAKE=$(MAKE) bench/run --set $(or $(SET),$(if $(QUICK),quick,full))
	@bench/report

bench-long:
	@scripts/install-deps build bench
	@MAKE=$(MAKE) bench/run --set long
	@bench/report

# Against what bench-baseline wrote, on any machine: instructions, and ratios of times.
bench-check bench-baseline: bench-%:
	@scripts/install-deps build bench
	@MAKE=$(MAKE) bench/check $(if $(filter baseline,$*),--record)

# Like the guest's tests: the contract and nothing else.
BENCH_KERNEL	:= $(patsubst %.c,$(B)/%,$(wildcard bench/kernel/*.c))

# Instructions of the kernel's operations, beside plain user space.
.PHONY: bench-kernel
bench-kernel: module $(BENCH_KERNEL)
	@B=$(B) bench/kernel/run

$(B)/bench/kernel/%: bench/kernel/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -Iuapi $(LIB_CFLAGS) -MF $@.d -O2 -g -static -o $@ $< -pthread

# ------------------------------------------------------------------- demo

.PHONY: demo
demo:
	@MAKE=$(MAKE) B=$(B) scripts/demo.sh

# ------------------------------------------------------------------- lint

# STEPS= names some of its steps: patch module build sparse headers ...
.PHONY: lint lint-deps
lint: lint-deps
	@MAKE=$(MAKE) KDIR=$(KDIR) B=$(B) scripts/lint $(STEPS)

# Before lint's recipe is expanded, which looks for the headers.
lint-deps:
	@scripts/install-deps build lint

# ------------------------------------------------------------------ clean

.PHONY: clean
clean:
	rm -rf $(B)

-include $(shell [ -d $(B) ] && find $(B) -name '*.d' -not -path '$(B)/module/*')
