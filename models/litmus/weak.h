/* SPDX-License-Identifier: MIT */
/*
 * C11 orderings in Promela: spin alone is sequentially consistent.
 *
 * Every location keeps all values ever stored, in order; every thread has a view,
 * the oldest of them that it may still read.  A load reads any not older than that
 * and moves the view up.  A store adds one, and leaves with it the view that an
 * acquire load takes over: the thread's whole view for a release, else only this
 * store.  A read-modify-write reads the newest and carries on what a release left
 * there.  Sequentially consistent operations also exchange views with one that all
 * share.
 *
 * Sound for the questions asked here, not a whole C11: there are no loads that run
 * ahead of their own thread's later stores, and stores of one location are in the
 * order in which they are made.  (herdtools7, which knows the rest, is not in
 * Debian 12.)
 *
 * A test sets LOCATIONS, THREADS and STORES, the most values of a location.
 */
byte value[LOCATIONS * STORES];
byte left_view[LOCATIONS * STORES * LOCATIONS];
byte stores[LOCATIONS];
byte view[THREADS * LOCATIONS];
byte shared_view[LOCATIONS];

#define VALUE(l, i)	value[(l) * STORES + (i)]
#define LEFT(l, i, k)	left_view[((l) * STORES + (i)) * LOCATIONS + (k)]
#define VIEW(t, l)	view[(t) * LOCATIONS + (l)]

/* The first value, 0, of every location; before the threads. */
inline weak_init()
{
	l_ = 0;
	do
	:: l_ < LOCATIONS -> stores[l_] = 1; l_++
	:: else -> l_ = 0; break
	od
}

inline join_left(t, l, i)
{
	k_ = 0;
	do
	:: k_ < LOCATIONS ->
		if
		:: LEFT(l, i, k_) > VIEW(t, k_) -> VIEW(t, k_) = LEFT(l, i, k_)
		:: else
		fi;
		k_++
	:: else -> k_ = 0; break
	od
}

inline append(t, l, v, release)
{
	assert(stores[l] < STORES);
	VALUE(l, stores[l]) = v;
	VIEW(t, l) = stores[l];
	LEFT(l, stores[l], l) = stores[l];
	k_ = 0;
	do
	:: k_ < LOCATIONS ->
		if
		:: release -> LEFT(l, stores[l], k_) = VIEW(t, k_)
		:: else
		fi;
		k_++
	:: else -> k_ = 0; break
	od;
	stores[l]++
}

inline choose(t, l)
{
	l_ = VIEW(t, l);
	do
	:: l_ < stores[l] - 1 -> l_++
	:: break
	od
}

inline share_view(t)
{
	k_ = 0;
	do
	:: k_ < LOCATIONS ->
		if
		:: shared_view[k_] > VIEW(t, k_) -> VIEW(t, k_) = shared_view[k_]
		:: else -> shared_view[k_] = VIEW(t, k_)
		fi;
		k_++
	:: else -> k_ = 0; break
	od
}

#define load_relaxed(t, l, to)	\
	atomic { choose(t, l); VIEW(t, l) = l_; to = VALUE(l, l_); l_ = 0 }
#define load_acquire(t, l, to)	\
	atomic { choose(t, l); VIEW(t, l) = l_; to = VALUE(l, l_); join_left(t, l, l_); l_ = 0 }
#define load_seq_cst(t, l, to)	\
	atomic { share_view(t); choose(t, l); VIEW(t, l) = l_; to = VALUE(l, l_); \
		 join_left(t, l, l_); l_ = 0; share_view(t) }
#define store_relaxed(t, l, v)	atomic { append(t, l, v, false) }
#define store_release(t, l, v)	atomic { append(t, l, v, true) }
#define store_seq_cst(t, l, v)	\
	atomic { share_view(t); append(t, l, v, true); share_view(t) }

/* What the newest store left goes on with the new one: a release sequence. */
inline carry(l)
{
	k_ = 0;
	do
	:: k_ < LOCATIONS ->
		if
		:: LEFT(l, stores[l] - 2, k_) > LEFT(l, stores[l] - 1, k_) ->
			LEFT(l, stores[l] - 1, k_) = LEFT(l, stores[l] - 2, k_)
		:: else
		fi;
		k_++
	:: else -> k_ = 0; break
	od
}

#define NEWEST(l)		VALUE(l, stores[l] - 1)
#define update(t, l, v, acquire, release)	\
	if					\
	:: acquire -> join_left(t, l, stores[l] - 1)	\
	:: else					\
	fi;					\
	append(t, l, v, release);		\
	carry(l)
