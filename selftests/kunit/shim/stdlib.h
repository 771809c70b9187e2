/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the core's test host uses of it. */
#ifndef KUNIT_SHIM_STDLIB_H
#define KUNIT_SHIM_STDLIB_H

#include <linux/slab.h>

#define calloc(nr, size)	kvcalloc(nr, size, GFP_KERNEL)
#define free(mem)		kvfree(mem)

#endif /* KUNIT_SHIM_STDLIB_H */
