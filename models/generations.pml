/* SPDX-License-Identifier: MIT */
/*
 * From the last round of one cycle to the end of a minor one, beside mutators.
 *
 * All that there is when it begins was found alive: it is marked, and stays so over a
 * sticky sweep, with what is born black until a mutator is told of the flip. Object
 * 1 is a root that never dies. A mutator has one register; a range of one slot is the
 * way between them. A card is an object's. At the end all that the program can reach
 * must be marked. With SIGNALS a mutator also answers amid a store, its value in
 * a register. How a cycle marks, and comes to its end, is collector.pml's.
 *
 * Each -D of a name in models/mutations puts one mistake in.
 */
#ifndef OBJECTS
#define OBJECTS	4
#endif
#ifndef STEPS
#define STEPS	2
#endif
#ifndef OTHER_STEPS
#define OTHER_STEPS 2
#endif
#define MUTATORS 2

/* References: 0 is none, object i is i. Sets are masks. */
#define BIT(ref)	(1 << (ref))
#define MARKED(ref)	(marks & BIT(ref))
#define ROOT		1

mtype = { NOTHING, ROUND, TURN_WHITE, TURN_BLACK, SETTLE, SCAN, FLUSH };

byte field[OBJECTS + 1];
byte reg[MUTATORS];
byte range;
byte allocated, marks;
byte dirty;			/* cards */
byte grey, buffer[MUTATORS];
bool black[MUTATORS];		/* born marked */
bool cards[MUTATORS];
bool shades[MUTATORS];		/* of the second cycle: in the first all is marked */
bool over, found;
mtype request[MUTATORS];

inline answer(m, value)
{
	if
	:: request[m] == ROUND ->
#ifndef CARDS_AT_WHITE
		cards[m] = true
#endif
	:: request[m] == TURN_WHITE -> black[m] = false; cards[m] = true
	:: request[m] == TURN_BLACK -> black[m] = true; cards[m] = false; shades[m] = true
	:: request[m] == SETTLE -> skip
	:: request[m] == SCAN -> shade(m, reg[m]); shade(m, value); flush(m)
	:: request[m] == FLUSH -> flush(m)
	fi;
	request[m] = NOTHING
}

inline flush(m)
{
	grey = grey | (buffer[m] & ~marks);
	found = found || (buffer[m] & ~marks);
	marks = marks | buffer[m];
	buffer[m] = 0
}

inline shade(m, ref)
{
	if
	:: ref && !MARKED(ref) -> buffer[m] = buffer[m] | BIT(ref)
	:: else
	fi
}

/* A signal's stop. */
inline stand(m, value)
{
#ifdef SIGNALS
	do
	:: atomic { request[m] != NOTHING -> d_step { answer(m, value) } }
	:: true -> break
	od
#else
	skip
#endif
}

inline dirty_card(ref)
{
#ifndef NO_CARD
	dirty = dirty | BIT(ref)
#else
	skip
#endif
}

/* Into the root's field. What kind of store it is, is seen once. */
inline store_root(m, value)
{
	if
	:: shades[m] ->
		d_step { shade(m, field[ROOT]); shade(m, value) };
		field[ROOT] = value
	:: !shades[m] && cards[m] ->
#ifdef SLOT_FIRST
		field[ROOT] = value;
		value = 0;
		stand(m, value);
		dirty_card(ROOT)
#else
		dirty_card(ROOT);
		stand(m, value);
		field[ROOT] = value
#endif
	:: !shades[m] && !cards[m] ->
		stand(m, value);
		field[ROOT] = value
	fi
}

/* Into the range, which has no card. */
inline store_range(m, value)
{
	if
	:: shades[m] ->
		d_step { shade(m, range); shade(m, value) };
		range = value
	:: else ->
		stand(m, value);
		range = value
	fi
}

proctype mutator(byte m)
{
	byte steps, ref = 0, value = 0;

	if
	:: m == 0 -> steps = STEPS
	:: else -> steps = OTHER_STEPS
	fi;
end:
	do
	:: atomic { steps && !over -> steps-- };
		if
		:: atomic { true -> reg[m] = field[ROOT] }
		:: atomic { true -> reg[m] = range }
		:: atomic { reg[m] -> reg[m] = field[reg[m]] }
		:: atomic { true -> reg[m] = 0 }
		:: true ->
			/* What it has, or nothing, into an old object, or the range. */
			if
			:: atomic { true -> value = reg[m]; reg[m] = 0 }
			:: true
			fi;
			store_root(m, value);
			value = 0
		:: true ->
			if
			:: atomic { true -> value = reg[m]; reg[m] = 0 }
			:: true
			fi;
			store_range(m, value);
			value = 0
		:: atomic { allocated != (1 << (OBJECTS + 1)) - 2 ->
				ref = ROOT;
				do
				:: allocated & BIT(ref) -> ref++
				:: else -> break
				od;
				allocated = allocated | BIT(ref);
				if
				:: black[m] -> marks = marks | BIT(ref)
				:: else
				fi };
			/* Fresh: no card, unless it is born old. */
			value = range;
			d_step {
				if
				:: shades[m] -> shade(m, value)
				:: !shades[m] && black[m] && cards[m] ->
#ifndef INIT_NO_CARD
					dirty = dirty | BIT(ref)
#endif
				:: else
				fi;
				field[ref] = value;
				value = 0;
				reg[m] = ref;
				ref = 0
			}
		fi
	:: atomic { request[m] != NOTHING -> d_step { answer(m, 0) } }
	:: over && request[m] == NOTHING -> break
	od
}

inline ask(what)
{
	atomic { request[0] = what; request[1] = what };
	(request[0] == NOTHING && request[1] == NOTHING)
}

inline take_cards()
{
	i = 1;
	do
	:: i <= OBJECTS ->
		/* Clean, then scanned, if it is marked. */
		atomic {
			hit = dirty & BIT(i);
			dirty = dirty & ~BIT(i)
		};
		if
		:: hit && MARKED(i) -> mark(field[i])
		:: else
		fi;
		hit = 0;
		i++
	:: else -> break
	od;
	i = 0
}

inline mark(ref)
{
	atomic {
		if
		:: ref && !MARKED(ref) ->
			marks = marks | BIT(ref);
			grey = grey | BIT(ref)
		:: else
		fi
	}
}

inline check_reachable()
{
	set = BIT(ROOT);
	i = 0;
	do
	:: i < MUTATORS ->
		if
		:: reg[i] -> set = set | BIT(reg[i])
		:: else
		fi;
		i++
	:: else -> break
	od;
	if
	:: range -> set = set | BIT(range)
	:: else
	fi;
	i = 0;
	do
	:: i < OBJECTS * OBJECTS ->
		if
		:: (set & BIT(i % OBJECTS + 1)) && field[i % OBJECTS + 1] ->
			set = set | BIT(field[i % OBJECTS + 1])
		:: else
		fi;
		i++
	:: else -> break
	od;
	assert((set & ~marks) == 0);
	set = 0;
	i = 0
}

proctype collector()
{
	byte i = 0, ref = 0, hit = 0, set = 0;

	/* Everything is marked: the rounds, the flip, and white. */
	ask(ROUND);
	ask(TURN_WHITE);
#ifdef CLEARED_LATE
	dirty = 0;
#endif
	/* The sweep is over; whoever is white has young objects. */
#ifdef TAKEN_EARLY
	take_cards();
#endif
	ask(TURN_BLACK);
	ask(SETTLE);
	ask(SCAN);
	mark(range);
#ifndef TAKEN_EARLY
	take_cards();
#endif
	do
	::	do
		:: atomic { grey ->
				ref = 1;
				do
				:: grey & BIT(ref) -> break
				:: else -> ref++
				od;
				grey = grey & ~BIT(ref) };
			mark(field[ref]);
			ref = 0
		:: atomic { !grey -> break }
		od;
		found = false;
		/* A thread may have been stopped amid a store: stacks again. */
#ifdef SIGNALS
		ask(SCAN);
#else
		ask(FLUSH);
#endif
		if
		:: atomic { !found && !grey -> break }
		:: else
		fi
	od;
	atomic {
		d_step { check_reachable() };
		over = true
	}
}

/* The root refers to another old object, the range to none. */
init {
	atomic {
		byte i = 0;

		field[ROOT] = 2;
		allocated = BIT(1) | BIT(2);
		marks = BIT(1) | BIT(2);
		black[0] = true;
		black[1] = true;
		do
		:: i < MUTATORS -> request[i] = NOTHING; i++
		:: else -> break
		od;
		run mutator(0);
		run mutator(1);
		run collector()
	}
}
