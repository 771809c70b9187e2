/* SPDX-License-Identifier: MIT */
/*
 * Pacing: how far the heap may grow, when a cycle starts, what mutators owe.
 *
 * Functions of one structure and their arguments, and of nothing else: no clock,
 * no lock, no heap, so that hundreds of cycles can be simulated in a test.  Whoever
 * owns a struct pacer serialises its changes (a heap's: world held).
 * Documentation/pacing.rst has the reasons and the formulas.
 */
#ifndef GCARENA_PACER_H
#define GCARENA_PACER_H

#include <stdbool.h>
#include <stdint.h>

#define PACER_OFF	(-1)
#define PACER_HISTORY	4	/* cycles whose largest cons/mark ratio is expected */

struct pacer {
	/* settings */
	int percent;		/* above 0, or PACER_OFF */
	uint64_t limit;		/* bytes in use, metadata and reserve; 0: none */
	uint64_t heap_max;	/* bytes of objects; 0: none */
	double cpus;
	bool stopped;		/* cycles stop the world: they start at the goal */
	/* Per cent of the percent that is used now: 100, less under pressure. */
	unsigned int eager;
	bool adaptive;		/* pacer_adapt() changes it */

	/* what the last cycle found; bytes */
	uint64_t live;
	uint64_t roots;		/* stacks and registered ranges */
	uint64_t promoted;	/* of live: that minor cycles added since the last full one */
	uint64_t scan_full;	/* scan of the last full cycle */
	uint64_t scan;		/* of live: of objects with pointers, and roots */
	bool next_minor;	/* the next one may be a minor one */
	uint64_t overhead;	/* in use, metadata and reserve, beyond the objects */
	double ratios[PACER_HISTORY]; /* the last ones */
	unsigned int next_ratio;
	double cons_mark;	/* expected: bytes that the program allocates while workers
				 * scan one, did nobody assist or wait
				 */

	/* derived; bytes of live and allocated objects together */
	uint64_t goal;		/* UINT64_MAX: none */
	uint64_t trigger;
	bool by_limit;		/* the goal is the limit's, not the percent's */

	/* of the cycle under way; the first two as goal */
	uint64_t from;		/* where it began, or was to */
	uint64_t due;		/* where it is to be over */
	uint64_t expected;	/* bytes to scan */

	/* GC's CPU time beyond the program's: how near to thrashing */
	double excess_ns;
	bool thrashing;
};

/* What a finished cycle measured. */
struct pacer_cycle {
	uint64_t live;		/* bytes marked */
	uint64_t roots;
	uint64_t scanned;	/* bytes, roots too, by workers and mutators */
	uint64_t by_workers;	/* of these: by workers */
	uint64_t allocated;	/* bytes, while it marked */
	uint64_t overhead;	/* as above, when it began */
	uint64_t mark_ns;	/* of the clock; for the trace only */
	uint64_t worker_ns;	/* CPU time of workers while it marked */
	uint64_t assist_ns;	/* of mutators that scanned */
	uint64_t program_ns;	/* of everything else in the process */
	uint64_t stalled_ns;	/* mutators waited for it */
	bool small;		/* nothing was allocated beside it */
	bool minor;		/* live is an upper bound, what is old being part of it */
	bool next_minor;	/* the next one may be */
	bool forced;		/* not started by the pacer: says nothing of the rate */
};

/* Settings, eager and what was found so far are set: goal and trigger. */
void pacer_set(struct pacer *pacer);
/* Bytes before the goal that a full cycle after minor ones begins at. */
uint64_t pacer_runway(const struct pacer *pacer);
/* A cycle begins with so many bytes of objects. */
void pacer_begin(struct pacer *pacer, uint64_t heap, bool minor);
/* Bytes to scan for each byte allocated, so that the cycle is over when it is due.  @due,
 * @from and @expected as in the pacer when the cycle began.
 */
double pacer_assist(uint64_t due, uint64_t from, uint64_t expected, uint64_t heap,
		    uint64_t scanned);
/* It is over: what it taught, then as pacer_set(). */
void pacer_end(struct pacer *pacer, const struct pacer_cycle *cycle);
/* CPU time since the last call, of the collector and of the program. */
void pacer_spent(struct pacer *pacer, uint64_t gc_ns, uint64_t program_ns);
/* Adaptive: the collector used @share of the CPU time; @pressure from 0 to 2. */
void pacer_adapt(struct pacer *pacer, double share, unsigned int pressure);
/* Spans to be swept now, @left being left of @all, for the sweep to be over when
 * @allocated bytes of @room are.
 */
uint64_t pacer_sweep(uint64_t all, uint64_t left, uint64_t allocated, uint64_t room);
uint32_t pacer_reserve(uint64_t goal);

#endif /* GCARENA_PACER_H */
