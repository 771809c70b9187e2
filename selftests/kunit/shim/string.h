/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the core's test host uses of it. */
#include <linux/string.h>
