/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * selftests/tap.h over KUnit: a result is an expectation of the case that runs.
 */
#ifndef KUNIT_SHIM_TAP_H
#define KUNIT_SHIM_TAP_H

#define ok(cond, ...)		KUNIT_EXPECT_TRUE_MSG(tap_test, !!(cond), __VA_ARGS__)
#define eq(got, want, ...) \
	KUNIT_EXPECT_EQ_MSG(tap_test, (long long)(got), (long long)(want), __VA_ARGS__)
#define bail(...)		KUNIT_ASSERT_TRUE_MSG(tap_test, false, __VA_ARGS__)
#define diag(...)		kunit_info(tap_test, __VA_ARGS__)

#endif /* KUNIT_SHIM_TAP_H */
