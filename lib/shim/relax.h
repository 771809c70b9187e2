/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What a loop that looks again and again says to the CPU.
 */
#ifndef GCARENA_RELAX_H
#define GCARENA_RELAX_H

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#endif /* GCARENA_RELAX_H */
