// SPDX-License-Identifier: MIT
/*
 * The stack of a sample, unwound no further than it has to be.
 *
 * By libgcc's unwinder, which needs no frame pointers and takes some thousand
 * instructions a frame.  But a thread that takes samples often takes them where it
 * took the last, or deeper in or further out below the same callers.  So a mutator
 * remembers its last stack, and with each return address where it lay: a frame that
 * returns to the same address from the same place has the callers that it had then, if
 * all their return addresses are still where they were.
 *
 * That is wrong only where a function that moves its own frame by a length not known at
 * compile time (alloca) left the old return address behind at the same distance: then
 * one sample is that of the stack before.
 */
#include "internal.h"

#include <unwind.h>

/* The unwinder's callers in this file. */
#define OWN_FRAMES	1

/* sparse does not know __builtin_dwarf_cfa(). */
#if defined(__x86_64__) && !defined(__CHECKER__)
/* Where a call puts its return address: below what was the top of the stack. */
#define SLOT_OF(cfa)	((cfa) - sizeof(uintptr_t))
#define REMEMBERS	1
#else
#define SLOT_OF(cfa)	(cfa)
#define REMEMBERS	0
#endif

struct walk {
	struct profile_stack *stack;
	const struct profile_stack *last;
	uintptr_t base;		/* of the thread's stack */
	uint32_t at;		/* in @last: what lies no deeper than the frame before */
	uint32_t skip;
};

/* Whether the stack has what @last has of it from frame @from on; what it reads lies
 * above the caller's frame.
 */
static GCA_NO_ASAN GCA_NO_TSAN bool still_there(const struct profile_stack *last, uint32_t from)
{
	uint32_t i;

	for (i = from; i < last->depth; i++)
		if (*(const volatile uintptr_t *)last->slots[i] != last->pcs[i] + 1)
			return false;
	return true;
}

static GCA_NO_ASAN GCA_NO_TSAN _Unwind_Reason_Code note_frame(struct _Unwind_Context *context,
							      void *arg)
{
	struct walk *walk = arg;
	struct profile_stack *stack = walk->stack;
	const struct profile_stack *last = walk->last;
	int exact = 0;
	uintptr_t pc = _Unwind_GetIPInfo(context, &exact);
	uintptr_t slot = SLOT_OF(_Unwind_GetCFA(context));
	uint32_t nr;

	if (!pc)
		return _URC_END_OF_STACK;
	if (walk->skip) {
		walk->skip--;
		return _URC_NO_REASON;
	}
	while (walk->at < last->depth && last->slots[walk->at] < slot)
		walk->at++;
	if (last->known && walk->at < last->depth && last->slots[walk->at] == slot &&
	    !exact && last->pcs[walk->at] == pc - 1 && still_there(last, walk->at)) {
		nr = last->depth - walk->at;
		if (nr > PROFILE_DEPTH - stack->depth)
			nr = PROFILE_DEPTH - stack->depth;
		memcpy(&stack->pcs[stack->depth], &last->pcs[walk->at], nr * sizeof(*last->pcs));
		memcpy(&stack->slots[stack->depth], &last->slots[walk->at],
		       nr * sizeof(*last->slots));
		stack->depth += nr;
		return _URC_END_OF_STACK;
	}
	if (exact || slot >= walk->base || slot % sizeof(slot) ||
	    (stack->depth && slot <= stack->slots[stack->depth - 1]) ||
	    *(const volatile uintptr_t *)slot != pc)
		stack->known = false;
	/* A return address is that of the next instruction, perhaps the next function's. */
	stack->slots[stack->depth] = slot;
	stack->pcs[stack->depth++] = pc - !exact;
	return stack->depth == PROFILE_DEPTH ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/**
 * profile_stack - the calling thread's stack
 * @mutator: its mutator
 *
 * Return: the stack from the caller on, until the next call.
 */
__attribute__((noinline)) const struct profile_stack *profile_stack(struct gca_mutator *mutator)
{
	struct profile_stack *stacks = mutator->profile_stacks;
	const struct profile_stack *last = &stacks[mutator->profile_last];
	struct walk walk = {
		.stack = &stacks[!mutator->profile_last],
		.last = last,
		.base = mutator->stack_base,
		.skip = OWN_FRAMES,
	};

#if REMEMBERS
	if (last->known && last->depth &&
	    last->slots[0] == SLOT_OF((uintptr_t)__builtin_dwarf_cfa()) && still_there(last, 0))
		return last;
#endif
	walk.stack->depth = 0;
	walk.stack->known = REMEMBERS;
	_Unwind_Backtrace(note_frame, &walk);
	mutator->profile_last = !mutator->profile_last;
	return walk.stack;
}
