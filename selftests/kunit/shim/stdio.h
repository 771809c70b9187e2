/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the core's test host uses of it. */
#ifndef KUNIT_SHIM_STDIO_H
#define KUNIT_SHIM_STDIO_H

#include <linux/printk.h>

#define stdout			NULL
#define printf(...)		pr_info(__VA_ARGS__)
#define vprintf(format, ap)	vprintk(format, ap)
#define fflush(file)		((void)(file))

#endif /* KUNIT_SHIM_STDIO_H */
