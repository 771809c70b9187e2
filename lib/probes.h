/* SPDX-License-Identifier: MIT */
/*
 * Static probes (USDT, provider gcarena): one nop each, and a note in the file that
 * says where it is and where its arguments are.  Documentation/probes.rst has the list;
 * what it says of names and arguments is kept.
 *
 * No semaphores: a probe that nobody looks at is its nop, and what its arguments are
 * made of is at hand anyway.
 */
#ifndef GCARENA_PROBES_H
#define GCARENA_PROBES_H

/* sparse does not know what sdt.h asks the compiler. */
#ifdef __CHECKER__
#define DTRACE_PROBE2(provider, name, a, b)		((void)(a), (void)(b))
#define DTRACE_PROBE3(provider, name, a, b, c)		((void)(a), (void)(b), (void)(c))
#define DTRACE_PROBE4(provider, name, a, b, c, d)	((void)(a), (void)(b), (void)(c), (void)(d))
#else
#include <sys/sdt.h>
#endif

#define PROBE2(name, a, b)		DTRACE_PROBE2(gcarena, name, a, b)
#define PROBE3(name, a, b, c)		DTRACE_PROBE3(gcarena, name, a, b, c)
#define PROBE4(name, a, b, c, d)	DTRACE_PROBE4(gcarena, name, a, b, c, d)

/* Second argument of phase: what a cycle does from here on. */
enum probe_phase {
	PHASE_SWEEP_END,	/* the sweep before is seen to its end */
	PHASE_START,		/* handshakes: black, then scan; or the world is stopped */
	PHASE_MARK,
	PHASE_TERMINATE,	/* flip, and white again */
	PHASE_SWEEP,		/* beside the program, until the next cycle at most */
};

#endif /* GCARENA_PROBES_H */
