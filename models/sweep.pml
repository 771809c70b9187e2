/* SPDX-License-Identifier: MIT */
/*
 * The arena's side: refill, per-CPU ready spans, return, keep, flip, sweep, scavenge.
 *
 * What the core does under its lock is one atomic step here, what it does without
 * is steps of its own.  Each span has SLOTS objects and a line in each of the two
 * bitmaps.  Mutators run the owner's part of the contract, the collector a whole
 * cycle with a marking that takes what is live when it begins.  What must hold is
 * in audit() and beside the steps: no live object without its bit, in a free, a
 * released or a reused place; counts that agree; clean lines when a cycle begins.
 * With -DINSIDE somebody releases what has no object inside spans: each slot is a base
 * page then, and may be a hole.
 * Sequentially consistent; orderings are models/litmus's.
 *
 * Each -D of a name in models/mutations puts one mistake in.
 */
#ifndef SPANS
#define SPANS	2
#endif
#ifndef MUTATORS
#define MUTATORS 2
#endif
#ifndef CYCLES
#define CYCLES	2
#endif
#ifndef SLOTS
#define SLOTS	1
#endif
#define FULL	((1 << SLOTS) - 1)
#define NONE	SPANS

mtype = { FREE, TRANSIT, READY, HELD, SWEPT, SWEEPING };
mtype = { NOTHING, BLACK, WHITE };

mtype state[SPANS];
byte at[SPANS];			/* generation at which swept or held */
byte bits[2 * SPANS];		/* bitmap[which] of a span: which * SPANS + span */
bool backed[SPANS];
#ifdef INSIDE
bool busy[SPANS];		/* a part of it is being released, without the lock */
byte hole[SPANS];		/* slots without backing, of a span that has some */
#define BUSY(s)		busy[s]
#define HOLES(s)	hole[s]
#else
#define BUSY(s)		false
#define HOLES(s)	0
#endif
byte live[SPANS];		/* ghost: objects that the program still has */
byte holder[SPANS];		/* ghost: mutator + 1 */

byte generation;
bool sweeping;
byte left, listed, out, returning;	/* as in the core; out: held or ready */

byte cache[MUTATORS];		/* the ready span of each CPU */
bool cache_lock[MUTATORS];

mtype request[MUTATORS];
bool finished;

#define TRUTH		(generation & 1)
#define LINE(which, s)	bits[(which) * SPANS + (s)]

inline audit()
{
	i = 0;
	old = 0;
	do
	:: i < SPANS ->
		/* No object is lost, whoever holds its span. */
		assert((live[i] & ~LINE(TRUTH, i)) == 0);
		assert(live[i] == 0 || (state[i] != FREE && state[i] != TRANSIT));
		assert(state[i] == FREE || state[i] == TRANSIT || backed[i]);
		assert((live[i] & HOLES(i)) == 0);
		old = old + (state[i] != FREE && state[i] != TRANSIT && at[i] != generation);
		i++
	:: else -> break
	od;
	assert(old == left);
	assert(sweeping == (left > 0));
	i = 0;
	old = 0
}

inline check_done()
{
	if
	:: sweeping && left == 0 -> sweeping = false
	:: else
	fi
}

/* The span is SWEEPING and this process's, which has no lock. */
inline settle(s, was_held)
{
	do
	::	g = generation;
		objects = LINE(g & 1, s);
		if
		:: objects && at[s] != g -> LINE(!(g & 1), s) = 0
		:: else
		fi;
		atomic {
			if
#ifndef NO_RECHECK
			:: objects && g != generation -> skip
#endif
			:: else ->
				if
				:: at[s] != generation -> at[s] = generation; left--
				:: else
				fi;
				if
				:: was_held -> returning--
				:: else
				fi;
				if
				:: objects -> state[s] = SWEPT; listed++
				:: else -> state[s] = FREE
				fi;
				check_done();
				d_step { audit() };
				g = 0;
				objects = 0;
				break
			fi
		}
	od
}

/* Any span for which it holds; the caller has made sure of one.  At most three. */
#define PICK(s, COND)						\
	if							\
	:: COND(0) -> s = 0					\
	:: COND(SPANS - 1) -> s = SPANS - 1			\
	:: SPANS > 2 && COND(1) -> s = 1			\
	fi
#define ANY(COND)	(COND(0) || COND(SPANS - 1) || (SPANS > 2 && COND(1)))

#define IN_LIST(s)	(state[s] == SWEPT && LINE(TRUTH, s) != FULL)
#ifdef BUSY_SWEPT
#define UNSWEPT(s)	(state[s] == SWEPT && at[s] != generation)
#else
#define UNSWEPT(s)	(state[s] == SWEPT && at[s] != generation && !BUSY(s))
#endif
#ifdef BUSY_TAKEN
#define ROOM(s)		(IN_LIST(s) && at[s] == generation)
#else
#define ROOM(s)		(IN_LIST(s) && at[s] == generation && !BUSY(s))
#endif
#ifdef HOLE_STOCKED
#define STOCK_ROOM(s)	ROOM(s)
#else
#define STOCK_ROOM(s)	(ROOM(s) && !HOLES(s))
#endif
#define LIVE(s)		(live[s] != 0)
#ifdef SCAVENGE_CACHED
#define SCAVENGEABLE(s)		((state[s] == FREE || state[s] == READY) && backed[s])
#else
#define SCAVENGEABLE(s)		(state[s] == FREE && backed[s])
#endif
#ifdef TRANSIT_OFFERED
#define FRESH(s)		(state[s] == FREE || state[s] == TRANSIT)
#else
#define FRESH(s)		(state[s] == FREE)
#endif
#ifdef SWEEP_HELD
#define SWEEPABLE(s)		((state[s] == SWEPT || state[s] == HELD) && at[s] != generation)
#else
#define SWEEPABLE(s)		UNSWEPT(s)
#endif

inline take_to_sweep(s)
{
	PICK(s, SWEEPABLE);
#ifdef SWEEP_HELD
	if
	:: state[s] == HELD -> out--
	:: else -> listed--
	fi;
#else
	listed--;
#endif
	state[s] = SWEEPING
}

#ifdef FILL_UNCOUNTED
#define FILL_COUNTED	0
#else
#define FILL_COUNTED	1
#endif

inline lock_cache(c)	{ atomic { !cache_lock[c] -> cache_lock[c] = true } }
inline unlock_cache(c)	{ cache_lock[c] = false }

proctype mutator(byte m)
{
	byte have = NONE, s = 0, slot = 0, mine = 0, g = 0, objects = 0, i = 0, old = 0;
	bool black = false, was_free = false, fill = false;

end:
	do
	:: have == NONE && !finished ->
		/* Refill: this CPU's cache. */
#ifndef HIT_UNLOCKED
		lock_cache(m);
#endif
		g = generation;
		if
		:: cache[m] != NONE ->
			s = cache[m];
			if
#ifndef READY_STALE
			:: at[s] != g -> skip
#endif
			:: else ->
				atomic {
					cache[m] = NONE;
					assert(state[s] == READY && !holder[s]);
					state[s] = HELD;
					holder[s] = m + 1;
					have = s
				}
			fi
		:: else
		fi;
#ifndef HIT_UNLOCKED
		unlock_cache(m);
#endif
		/* Central list, else sweep one and look again, else fresh pages. */
		if
		:: have != NONE
		:: have == NONE ->
			atomic {
				s = NONE;
				if
				:: ANY(ROOM) ->
					PICK(s, ROOM);
					listed--;
					if
#ifdef INSIDE
#ifndef HOLE_HANDED
					:: HOLES(s) ->
						/* Ours as a returned one is, until backed. */
						state[s] = SWEEPING;
						fill = true;
#ifndef FILL_UNCOUNTED
						returning++
#endif
#endif
#endif
					:: else ->
						out++;
						state[s] = HELD;
						holder[s] = m + 1;
						have = s;
						s = NONE
					fi
				:: !ANY(ROOM) && ANY(SWEEPABLE) ->
					take_to_sweep(s)
				:: !ANY(ROOM) && ANY(FRESH) ->
					PICK(s, FRESH);
					state[s] = TRANSIT;
					was_free = true
				:: else
				fi
			};
			if
#ifdef INSIDE
			:: s != NONE && fill ->
				if
				:: hole[s] = 0
				:: true		/* no memory */
				fi;
				atomic {
					if
					:: at[s] == generation ->
						state[s] = SWEPT;
						listed++;
						returning = returning - FILL_COUNTED;
						s = NONE
					:: else
					fi;
					fill = false
				};
				if
				:: s != NONE -> settle(s, FILL_COUNTED)
				:: else
				fi
#endif
			:: s != NONE && !was_free && !fill -> settle(s, false)
			:: s != NONE && was_free ->
				/* Backed, lines cleared, without the lock. */
				backed[s] = true;
#ifdef INSIDE
				hole[s] = 0;
#endif
				LINE(0, s) = 0;
				LINE(1, s) = 0;
				atomic {
					assert(state[s] == TRANSIT && backed[s]);
					was_free = false;
					state[s] = HELD;
					holder[s] = m + 1;
					out++;
					at[s] = generation;
					have = s;
					d_step { audit() }
				}
			:: else
			fi
		fi;
		atomic {
			s = 0;
			g = 0;
#ifndef STAYS_BLACK
			if
			:: have != NONE && at[have] != mine ->
				/* A span of a newer generation: white there and then. */
				mine = at[have];
				black = false
			:: else
			fi
#endif
		}
	:: have != NONE && !finished ->
		/* Allocate: a slot whose alloc bit is clear. */
		slot = 1;
		if
		:: SLOTS > 1 -> slot = 2
		:: true
		fi;
		if
		:: LINE(mine & 1, have) & slot
		:: else ->
			assert(backed[have] && !(HOLES(have) & slot));
			assert(!(live[have] & slot));
			if
#ifndef ONE_BITMAP
			:: black -> LINE(!(mine & 1), have) = LINE(!(mine & 1), have) | slot
#endif
			:: else
			fi;
			atomic {
				LINE(mine & 1, have) = LINE(mine & 1, have) | slot;
				live[have] = live[have] | slot
			}
		fi;
		slot = 0
	:: have != NONE && !finished ->
		/* Return. */
		atomic {
			assert(state[have] == HELD && holder[have] == m + 1);
			state[have] = SWEEPING;
			holder[have] = 0;
			s = have;
			have = NONE;
			out--;
			returning++
		};
		settle(s, true);
		s = 0
	:: atomic { !finished && ANY(LIVE) ->
		/* The program drops an object, its own or another's. */
		PICK(s, LIVE);
		if
		:: live[s] & 1 -> live[s] = live[s] & ~1
		:: SLOTS > 1 && (live[s] & 2) -> live[s] = live[s] & ~2
		fi;
		s = 0 }
	:: request[m] == BLACK ->
		atomic { black = true; request[m] = NOTHING }
	:: request[m] == WHITE ->
		if
		:: have != NONE && at[have] != generation ->
			if
			::	/* Keep: its next mark lines clear, then say so. */
#ifndef KEEP_DIRTY
				LINE(!(generation & 1), have) = 0;
#endif
				atomic {
					at[have] = generation;
					left--;
					check_done();
					d_step { audit() }
				}
			::	atomic {
					state[have] = SWEEPING;
					holder[have] = 0;
					s = have;
					have = NONE;
					out--;
					returning++
				};
				settle(s, true);
				s = 0
			fi
		:: else
		fi;
		atomic {
			mine = generation;
			black = false;
			request[m] = NOTHING
		}
	:: finished && request[m] == NOTHING -> break
	od
}

inline ask(what)
{
	atomic { request[0] = what; request[MUTATORS - 1] = what };
	(request[0] == NOTHING && request[MUTATORS - 1] == NOTHING)
}

proctype collector()
{
	byte cycle = 0, i = 0, old = 0;
	byte snapshot[SPANS];

	do
	:: cycle < CYCLES ->
#ifndef FLIP_BUSY
		(!sweeping);
#endif
		/* Every line in which a marker is going to write is clear. */
		d_step {
			i = 0;
			do
			:: i < SPANS ->
				assert(state[i] == FREE || state[i] == TRANSIT ||
				       LINE(!TRUTH, i) == 0);
				i++
			:: else -> break
			od;
			i = 0
		};
		ask(BLACK);
		d_step {
			do
			:: i < SPANS -> snapshot[i] = live[i]; i++
			:: else -> break
			od;
			i = 0
		};
		do
		:: i < SPANS ->
			atomic {
				LINE(!TRUTH, i) = LINE(!TRUTH, i) | snapshot[i];
				snapshot[i] = 0;
				i++
			}
		:: else -> i = 0; break
		od;
#ifdef EARLY_WHITE
		ask(WHITE);
#endif
		/* Start of the sweep. */
		atomic {
			generation++;
#ifdef RETURNING_FORGOTTEN
			left = listed + out;
#else
			left = listed + out + returning;
#endif
			sweeping = true;
			check_done();
			d_step { audit() }
		};
		ask(WHITE);
		cycle++
	:: else -> break
	od;
	(!sweeping);
	finished = true
}

#define STOCKABLE(c)	(cache[c] == NONE && !cache_lock[c] && ANY(STOCK_ROOM))
#define DRAINABLE(c)	(cache[c] != NONE && !cache_lock[c])

/* Both locks held, so each is one step. */
inline stock(c)
{
	PICK(s, STOCK_ROOM);
	listed--;
	out++;
	state[s] = READY;
	cache[c] = s;
	d_step { audit() };
	s = 0
}

/* Its span goes to the lists as what it is. */
inline drain(c)
{
	s = cache[c];
	cache[c] = NONE;
	out--;
	listed++;
	state[s] = SWEPT;
#ifdef DRAIN_CURRENT
	if
	:: at[s] != generation -> at[s] = generation; left--
	:: else
	fi;
	check_done();
#endif
	d_step { audit() };
	s = 0
}

/* The thread: sweeps, stocks and drains caches, scavenges; so does reclaim. */
proctype worker()
{
	byte s = 0, g = 0, objects = 0, i = 0, old = 0;

end:
	do
	:: atomic { ANY(SWEEPABLE) -> take_to_sweep(s) };
		settle(s, false);
		s = 0
	:: atomic { !finished && STOCKABLE(0) -> stock(0) }
	:: atomic { !finished && MUTATORS > 1 && STOCKABLE(MUTATORS - 1) -> stock(MUTATORS - 1) }
	:: atomic { DRAINABLE(0) -> drain(0) }
	:: atomic { MUTATORS > 1 && DRAINABLE(MUTATORS - 1) -> drain(MUTATORS - 1) }
	:: atomic { ANY(SCAVENGEABLE) && !finished ->
			PICK(s, SCAVENGEABLE);
#ifdef SCAVENGE_CACHED
			if
			:: state[s] == FREE -> state[s] = TRANSIT
			:: else
			fi
#else
			state[s] = TRANSIT
#endif
		};
		backed[s] = false;
		atomic {
			if
			:: state[s] == TRANSIT -> state[s] = FREE
			:: else
			fi;
			s = 0
		}
	:: finished -> break
	od
}

#ifdef INSIDE
#ifdef INSIDE_READY
#define RELEASABLE(s)	((state[s] == SWEPT || state[s] == READY) && at[s] == generation && !BUSY(s))
#else
#define RELEASABLE(s)	(state[s] == SWEPT && at[s] == generation && !BUSY(s))
#endif

/* Releases, of a span that nobody has, the base pages in which no object is. */
proctype inside()
{
	byte s = 0, objects = 0, which = 0;

end:
	do
	:: atomic { !finished && ANY(RELEASABLE) ->
			PICK(s, RELEASABLE);
			busy[s] = true;
			which = TRUTH
		};
		objects = LINE(which, s);
		atomic {
			hole[s] = hole[s] | (FULL & ~objects);
			objects = 0
		};
		atomic {
			busy[s] = false;
			s = 0;
			which = 0
		}
	:: finished -> break
	od
}
#endif

init {
	atomic {
		byte i = 0;

		do
		:: i < SPANS -> state[i] = FREE; i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < MUTATORS ->
			cache[i] = NONE;
			request[i] = NOTHING;
			run mutator(i);
			i++
		:: else -> break
		od;
		run collector();
#ifdef INSIDE
		run inside();
#endif
		run worker()
	}
}
