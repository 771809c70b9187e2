// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * KUnit: what every call checks before it does anything, over all of them.
 *
 * The file is a real one; the calls come from the case's thread, which owns the
 * arena by the mm that it was given.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "linux.h"

/* All calls, with the sizes that they were published with. */
static const struct device_call {
	const char *name;
	unsigned int cmd;
	u32 min;
	u32 size;
	bool early;		/* needs no arena */
} device_calls[] = {
	{ "features", GCARENA_IOC_FEATURES, GCARENA_FEATURES_SIZE_VER0,
	  sizeof(struct gcarena_features), true },
	{ "setup", GCARENA_IOC_SETUP, GCARENA_SETUP_SIZE_VER0,
	  sizeof(struct gcarena_setup), true },
	{ "refill", GCARENA_IOC_REFILL, GCARENA_REFILL_SIZE_VER0,
	  sizeof(struct gcarena_refill) },
	{ "return", GCARENA_IOC_RETURN, GCARENA_RETURN_SIZE_VER0,
	  sizeof(struct gcarena_return) },
	{ "start_sweep", GCARENA_IOC_START_SWEEP, GCARENA_SWEEP_SIZE_VER0,
	  sizeof(struct gcarena_sweep) },
	{ "sweep_assist", GCARENA_IOC_SWEEP_ASSIST, GCARENA_SWEEP_SIZE_VER0,
	  sizeof(struct gcarena_sweep) },
	{ "scavenge", GCARENA_IOC_SCAVENGE, GCARENA_SCAVENGE_SIZE_VER0,
	  sizeof(struct gcarena_scavenge) },
	{ "policy", GCARENA_IOC_POLICY, GCARENA_POLICY_CALL_SIZE_VER0,
	  sizeof(struct gcarena_policy_call) },
	{ "residency", GCARENA_IOC_RESIDENCY, GCARENA_RESIDENCY_SIZE_VER0,
	  sizeof(struct gcarena_residency) },
	{ "stats", GCARENA_IOC_STATS, GCARENA_STATS_SIZE_VER0,
	  sizeof(struct gcarena_stats) },
	{ "collapse", GCARENA_IOC_COLLAPSE, GCARENA_COLLAPSE_SIZE_VER0,
	  sizeof(struct gcarena_collapse) },
};

static void device_describe(const struct device_call *call, char *text)
{
	strscpy(text, call->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(device_call, device_calls, device_describe);

/**
 * struct device_case - what a case has
 * @file: an open device, not set up
 * @user: two pages of user memory
 */
struct device_case {
	struct file *file;
	unsigned long user;
};

#define USER_SIZE	(2 * PAGE_SIZE)

static int device_case_init(struct kunit *test)
{
	struct device_case *dc = kunit_kzalloc(test, sizeof(*dc), GFP_KERNEL);

	if (!dc)
		return -ENOMEM;
	dc->user = kunit_vm_mmap(test, NULL, 0, USER_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (!dc->user || IS_ERR_VALUE(dc->user))
		return -ENOMEM;
	dc->file = filp_open("/dev/gcarena", O_RDWR, 0);
	if (IS_ERR(dc->file))
		return PTR_ERR(dc->file);
	test->priv = dc;
	return 0;
}

static void device_case_exit(struct kunit *test)
{
	struct device_case *dc = test->priv;

	if (dc)
		__fput_sync(dc->file);
}

static long device_ioctl(struct kunit *test, unsigned int cmd, unsigned long arg)
{
	struct device_case *dc = test->priv;

	return dc->file->f_op->unlocked_ioctl(dc->file, cmd, arg);
}

/* With a structure of zeroes that claims @size, and @tail in its last byte. */
static long device_sized(struct kunit *test, unsigned int cmd, u32 size, u8 tail)
{
	struct device_case *dc = test->priv;
	u8 __user *user = (u8 __user *)dc->user;

	KUNIT_ASSERT_EQ(test, clear_user(user, USER_SIZE), 0);
	KUNIT_ASSERT_EQ(test, put_user(size, (u32 __user *)user), 0);
	if (tail)
		KUNIT_ASSERT_EQ(test, put_user(tail, user + size - 1), 0);
	return device_ioctl(test, cmd, dc->user);
}

static void device_sizes(struct kunit *test)
{
	const struct device_call *call = test->param_value;
	/* What a structure of zeroes gives once its size is right. */
	long zeroes = call->early ? call->cmd == GCARENA_IOC_SETUP ? -EINVAL : 0 : -ENXIO;

	KUNIT_EXPECT_EQ(test, device_sized(test, call->cmd, 0, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, device_sized(test, call->cmd, call->min - 1, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, device_sized(test, call->cmd, PAGE_SIZE + 1, 0), -E2BIG);
	KUNIT_EXPECT_EQ(test, device_sized(test, call->cmd, U32_MAX, 0), -E2BIG);
	KUNIT_EXPECT_EQ_MSG(test, device_sized(test, call->cmd, call->size + 8, 1), -E2BIG,
			    "a tail that means something");
	KUNIT_EXPECT_EQ_MSG(test, device_sized(test, call->cmd, call->size + 8, 0), zeroes,
			    "a tail that does not");
	KUNIT_EXPECT_EQ(test, device_sized(test, call->cmd, call->min, 0), zeroes);
}

static void device_addresses(struct kunit *test)
{
	const struct device_call *call = test->param_value;
	struct device_case *dc = test->priv;

	KUNIT_EXPECT_EQ(test, device_ioctl(test, call->cmd, dc->user + 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, device_ioctl(test, call->cmd, dc->user + 2), -EINVAL);
	KUNIT_EXPECT_EQ_MSG(test, device_ioctl(test, call->cmd, TASK_SIZE_MAX), -EFAULT,
			    "beyond user space");
	KUNIT_EXPECT_EQ_MSG(test, device_ioctl(test, call->cmd, (unsigned long)dc->file), -EFAULT,
			    "the kernel's");
	KUNIT_EXPECT_EQ_MSG(test, device_ioctl(test, call->cmd, 0), -EFAULT, "nobody's");
}

static void device_numbers(struct kunit *test)
{
	struct device_case *dc = test->priv;
	unsigned int nr;

	for (nr = 0; nr < 256; nr++) {
		unsigned int known = nr - _IOC_NR(GCARENA_IOC_FEATURES);

		if (known >= ARRAY_SIZE(device_calls))
			KUNIT_EXPECT_EQ(test, device_ioctl(test, _IOWR('G', nr, u64), dc->user),
					-ENOTTY);
		KUNIT_EXPECT_EQ(test, device_ioctl(test, _IOWR('H', nr, u64), dc->user), -ENOTTY);
		KUNIT_EXPECT_EQ(test, device_ioctl(test, _IOW('G', nr, u64), dc->user), -ENOTTY);
	}
}

static struct kunit_case device_cases[] = {
	KUNIT_CASE_PARAM(device_sizes, device_call_gen_params),
	KUNIT_CASE_PARAM(device_addresses, device_call_gen_params),
	KUNIT_CASE(device_numbers),
	{}
};

static struct kunit_suite device_suite = {
	.name = "gcarena_device",
	.init = device_case_init,
	.exit = device_case_exit,
	.test_cases = device_cases,
};

kunit_test_suite(device_suite);
