/* SPDX-License-Identifier: MIT */
/*
 * The library's side: one concurrent cycle beside mutators that do what they like.
 *
 * Objects have one field.  Roots are the mutators' registers, taken at the scan
 * handshake, and a registered range of one slot, read by the collector; a weak
 * reference is none.  Every load and store of a shared word is a step of its own,
 * so a barrier is four.  A mutator answers handshakes between operations; that a
 * blocked one is answered for by the collector is the same here (models/litmus has
 * who may).  With SIGNALS it also answers amid a store, as a thread does that a signal
 * stops there; what it is about to store is in its registers.  At the flip all that the program can reach must be marked, and nobody
 * gets hold of an object that was freed.  Sequentially consistent.
 *
 * Each -D of a name in models/mutations puts one mistake in.
 */
#ifndef MUTATORS
#define MUTATORS 2
#endif
#ifndef REGISTERS
#define REGISTERS 1
#endif
#ifndef OBJECTS
#define OBJECTS	3
#endif
/* Operations of the first mutator, and of the others. */
#ifndef STEPS
#define STEPS	4
#endif
#ifndef OTHER_STEPS
#define OTHER_STEPS 1
#endif

/* References: 0 is none, object i is i + 1.  Sets are masks. */
#define BIT(ref)	(1 << ((ref) - 1))
#define MARKED(ref)	(marks & BIT(ref))
#define FIELD(ref)	field[(ref) - 1]
#define REG(m, r)	reg[(m) * REGISTERS + (r)]

mtype = { NOTHING, TURN_BLACK, SETTLE, SCAN, ONE_FOR_TWO, FLUSH, TURN_WHITE };

byte field[OBJECTS];
byte reg[MUTATORS * REGISTERS];
byte range;
byte weak;
byte allocated;
byte marks;
byte grey;			/* the collector's stack */
byte handed;			/* marked by mutators, not scanned yet */
byte buffer[MUTATORS];		/* shaded, perhaps not marked yet */
bool black[MUTATORS];		/* barrier */
bool born[MUTATORS];		/* what it allocates is marked */
bool gate;			/* closed to weak loads of what is unmarked */
bool found;			/* a flush marked something */
bool flipped, finished;
bool in_flight;			/* somebody answered amid a store */
mtype request[MUTATORS];

/* An atomic or of one bit; the objects' bits share the word. */
inline mark_into(ref, set)
{
#ifdef NON_ATOMIC_MARK
	word = marks;
#endif
	atomic {
		if
		:: MARKED(ref)
		:: else -> set = set | BIT(ref)
		fi;
#ifdef NON_ATOMIC_MARK
		marks = word | BIT(ref);
		word = 0
#else
		marks = marks | BIT(ref)
#endif
	}
}

/* One step: a bit that is set meanwhile makes a shade superfluous, no more. */
inline shade(m, ref)
{
	d_step {
		if
		:: ref != 0 && !MARKED(ref) -> buffer[m] = buffer[m] | BIT(ref)
		:: else
		fi
	}
}

/* Marks all of the buffer; between operations, so in one step. */
inline flush(m)
{
#ifdef LOST_BUFFER
	buffer[m] = 0;
#endif
	found = found || (buffer[m] & ~marks);
	handed = handed | (buffer[m] & ~marks);
	marks = marks | buffer[m];
	buffer[m] = 0
}

inline scan(m)
{
	shade(m, REG(m, 0));
	shade(m, REG(m, REGISTERS - 1));
	flush(m)
}

/* A signal's stop, at any point of a store. */
inline stand(m, value)
{
#ifdef SIGNALS
	do
	:: atomic { request[m] == TURN_BLACK -> in_flight = true;
			black[m] = true; request[m] = NOTHING }
	:: atomic { request[m] == SETTLE -> in_flight = true;
			born[m] = true; request[m] = NOTHING }
	:: atomic { request[m] == SCAN -> in_flight = true;
			shade(m, value); scan(m); request[m] = NOTHING }
	:: true -> break
	od
#else
	skip
#endif
}

/*
 * A store with its barrier, in four steps: what it reads before it stores may be
 * another value than the one that it overwrites.
 */
inline store(m, slot, value)
{
	if
	:: black[m] ->
#ifndef NO_DELETION
		old = slot;
		stand(m, value);
		shade(m, old);
		old = 0;
#endif
#ifndef NO_INSERTION
		shade(m, value);
#endif
		slot = value
	:: else ->
		stand(m, value);
		slot = value
	fi
}

inline pick_register(r)
{
	if
	:: true -> r = 0
	:: REGISTERS > 1 && m == 0 -> r = 1
	fi
}

#define DEREFERENCE(ref)	assert(allocated & BIT(ref))
#define SPARE			(allocated != (1 << OBJECTS) - 1)

proctype mutator(byte m)
{
	byte old = 0, r = 0, d = 0, ref = 0, word = 0, steps;
	bool closed = false;

	if
	:: m == 0 -> steps = STEPS
	:: else -> steps = OTHER_STEPS
	fi;
end:
	do
	:: atomic { steps && !flipped -> steps--; pick_register(r); pick_register(d) };
		if
		:: REG(m, r) ->
			/* Load from an object. */
			atomic {
				DEREFERENCE(REG(m, r));
				REG(m, d) = FIELD(REG(m, r))
			}
		:: REG(m, r) ->
			/* Store a register, or nothing, into an object. */
			DEREFERENCE(REG(m, r));
			if
			:: ref = REG(m, d)
			:: true
			fi;
			store(m, FIELD(REG(m, r)), ref);
			ref = 0
		:: REG(m, d) = range
		:: true ->
			/* Store into the range. */
			if
			:: ref = REG(m, r)
			:: true
			fi;
#ifdef RANGE_NO_BARRIER
			range = ref;
#else
			store(m, range, ref);
#endif
			ref = 0
		:: REG(m, r) -> REG(m, r) = 0
		:: atomic { SPARE ->
				/* Allocate; a black one is marked before it can be found. */
				ref = 1;
				do
				:: allocated & BIT(ref) -> ref++
				:: else -> break
				od;
				allocated = allocated | BIT(ref);
				FIELD(ref) = 0
			};
			if
			:: born[m] ->
				if
				:: !flipped -> mark_into(ref, old)
				:: else
				fi
			:: else
			fi;
			atomic {
				old = 0;
				REG(m, r) = ref;
				ref = 0
			}
#ifndef NO_WEAK
		:: weak != 0 ->
			/*
			 * Weak load: shades what it finds, or comes back when the gate
			 * is open.  The gate is looked at first: one that was open then
			 * cannot close and open again before this operation is over.
			 */
#ifdef GATE_SEEN_LATE
			ref = weak;
			closed = gate;
#else
			closed = gate;
			ref = weak;
#endif
			if
			:: ref == 0 || !black[m] -> skip
			:: else ->
				if
				:: MARKED(ref) -> skip
#ifndef WEAK_AFTER_GATE
				:: !MARKED(ref) && closed -> ref = 0
#endif
				:: else -> shade(m, ref)
				fi
			fi;
			closed = false;
			atomic {
				if
				:: ref -> DEREFERENCE(ref); REG(m, r) = ref
				:: else
				fi;
				ref = 0
			}
#endif
		:: black[m] && buffer[m] -> atomic { flush(m) }
		fi;
		atomic { r = 0; d = 0 }
	:: atomic { request[m] == TURN_BLACK -> black[m] = true; request[m] = NOTHING }
	:: atomic { request[m] == SETTLE -> born[m] = true; request[m] = NOTHING }
	:: atomic { request[m] == SCAN -> born[m] = true; scan(m); request[m] = NOTHING }
#ifdef ONE_HANDSHAKE
	:: atomic { request[m] == ONE_FOR_TWO ->
			black[m] = true;
			born[m] = true;
			scan(m);
			request[m] = NOTHING }
#endif
	:: atomic { request[m] == FLUSH -> flush(m); request[m] = NOTHING }
	:: atomic { request[m] == TURN_WHITE ->
			buffer[m] = 0;
			black[m] = false;
			born[m] = false;
			request[m] = NOTHING }
	:: finished && request[m] == NOTHING -> break
	od
}

inline ask(what)
{
	atomic { request[0] = what; request[MUTATORS - 1] = what };
	(request[0] == NOTHING && request[MUTATORS - 1] == NOTHING)
}

/* What the program can reach at this moment; objects being made are black. */
inline check_reachable()
{
	word = 0;
	i = 0;
	do
	:: i < MUTATORS * REGISTERS ->
		if
		:: reg[i] -> word = word | BIT(reg[i])
		:: else
		fi;
		i++
	:: else -> break
	od;
	if
	:: range -> word = word | BIT(range)
	:: else
	fi;
	i = 0;
	do
	:: i < OBJECTS * OBJECTS ->
		if
		:: (word & (1 << (i % OBJECTS))) && field[i % OBJECTS] ->
			word = word | BIT(field[i % OBJECTS])
		:: else
		fi;
		i++
	:: else -> break
	od;
	assert((word & ~marks) == 0);
	word = 0;
	i = 0
}

/* Scans one grey object, if there is any. */
inline drain_one()
{
	atomic { grey | handed ->
		grey = grey | handed;
		handed = 0;
		ref = 1;
		do
		:: grey & BIT(ref) -> break
		:: else -> ref++
		od;
		grey = grey & ~BIT(ref) };
	child = FIELD(ref);
	if
	:: child -> mark_into(child, grey)
	:: else
	fi;
	atomic { child = 0; ref = 0 }
}

proctype collector()
{
	byte i = 0, ref = 0, child = 0, word = 0;

#ifdef ONE_HANDSHAKE
	ask(ONE_FOR_TWO);
#else
	ask(TURN_BLACK);
#ifndef UNSETTLED
	ask(SETTLE);
#endif
	/* Who has been scanned may assist at once, and workers begin. */
	atomic { request[0] = SCAN; request[MUTATORS - 1] = SCAN };
	do
	:: drain_one()
	:: atomic { request[0] == NOTHING && request[MUTATORS - 1] == NOTHING -> break }
	od;
#endif
	/* The range. */
	child = range;
	if
	:: child -> mark_into(child, grey)
	:: else
	fi;
	child = 0;
	do
	::	/* Drain. */
		do
		:: drain_one()
#ifdef UNFINISHED
		:: break
#else
		:: atomic { !(grey | handed) -> break }
#endif
		od;
#ifdef EARLY_END
		break;
#endif
		/* Each round may be the last: the gate is closed before it. */
		gate = true;
		found = false;
#ifndef SIGNALS
#define NO_RESCAN
#endif
#ifdef NO_RESCAN
		ask(FLUSH);
#else
		/* All stacks again, if a store may have gone by unshaded. */
		if
		:: in_flight -> ask(SCAN)
		:: else -> ask(FLUSH)
		fi;
#endif
		if
		:: atomic { !found && !handed -> break }
		:: else
		fi
	od;
	/* Behind the gate: nobody gets at what is unmarked. */
	if
	:: weak && !MARKED(weak) -> weak = 0
	:: else
	fi;
#ifdef EARLY_WHITE
	ask(TURN_WHITE);
#endif
	/* The mark bitmap becomes the truth, and what it lacks is free. */
	atomic {
		d_step { check_reachable() };
		allocated = allocated & marks;
		flipped = true
	};
	gate = false;
	ask(TURN_WHITE);
	finished = true
}

/* range -> 1 -> 2, which the weak reference names too; the others are spare. */
init {
	atomic {
		byte i = 0;

		range = 1;
		field[0] = 2;
#ifndef NO_WEAK
		weak = 2;
#endif
		allocated = 3;
		do
		:: i < MUTATORS -> request[i] = NOTHING; run mutator(i); i++
		:: else -> break
		od;
		run collector()
	}
}
