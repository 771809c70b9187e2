/* SPDX-License-Identifier: MIT */
/*
 * A RAM disk, to swap to or for direct I/O, for the guest tests that want one.
 *
 * It is not charged to a cgroup, as a file on tmpfs would be, and needs brd.ko in
 * the guest (selftests/vm/run --module brd).  The device stays loaded; swap is
 * off again after swap_off().
 */
#ifndef GCARENA_SELFTESTS_SWAP_DEVICE_H
#define GCARENA_SELFTESTS_SWAP_DEVICE_H

#include <sys/swap.h>
#include <sys/syscall.h>

#include "guest.h"

#define SWAP_MODULE	"/lib/modules/brd.ko"
#define SWAP_DEVICE	"/dev/ram0"
#define SWAP_BYTES	(128 * MIB)

/* mkswap: version 1, no label, no bad pages. */
static inline void swap_format(void)
{
	union {
		char bytes[BASE_PAGE];
		struct {
			char boot[1024];
			uint32_t version, last_page, nr_bad;
		} info;
	} header;
	int fd = open(SWAP_DEVICE, O_WRONLY | O_SYNC);

	memset(&header, 0, sizeof(header));
	header.info.version = 1;
	header.info.last_page = SWAP_BYTES / BASE_PAGE - 1;
	memcpy(header.bytes + BASE_PAGE - 10, "SWAPSPACE2", 10);
	if (fd < 0 || write(fd, &header, sizeof(header)) != sizeof(header))
		bail("%s: %s", SWAP_DEVICE, strerror(errno));
	close(fd);
}

/* SWAP_DEVICE is there; false when the guest has no module for it. */
static inline bool ram_disk_load(void)
{
	char options[64];
	int fd = open(SWAP_MODULE, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	snprintf(options, sizeof(options), "rd_nr=1 rd_size=%lu", SWAP_BYTES / 1024);
	if (syscall(SYS_finit_module, fd, options, 0) && errno != EEXIST)
		bail("%s: %s", SWAP_MODULE, strerror(errno));
	close(fd);
	if (!g_wait_for(g_exists(SWAP_DEVICE), 5000))
		bail("no %s", SWAP_DEVICE);
	/* A test that was killed could not. */
	swapoff(SWAP_DEVICE);
	return true;
}

/* False when there is nothing to swap to. */
static inline bool swap_on(void)
{
	if (!ram_disk_load())
		return false;
	swap_format();
	if (swapon(SWAP_DEVICE, 0))
		bail("swapon: %s", strerror(errno));
	return true;
}

static inline void swap_off(void)
{
	if (swapoff(SWAP_DEVICE))
		bail("swapoff: %s", strerror(errno));
}

#endif /* GCARENA_SELFTESTS_SWAP_DEVICE_H */
