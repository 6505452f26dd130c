/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ring of posted writes, which no lock guards: kmod/memory/post.c and the library's
 * reader, userlib/post.c.
 *
 * Two vCPUs post into a ring of POSTS places, and a thread takes what they post. A post takes
 * a number, fills in the place of that number, waits until all before it are complete, and
 * says so by the tail. The reader says by the head that a place is free.
 *
 * Nothing here relies on x86: a store may come to memory late and in any order, but for
 * a release, which comes after all that was stored before. A post has two halves, so that half
 * of one can be seen. Numbers wrap: they begin shortly before that. In the model they have
 * three bits, so nobody sleeps for as long as they take to come round.
 *
 * The ring is the caller's to scribble on. The other reader does that with the head,
 * and then no more is asked for than that nobody waits for ever.
 *
 * Or a third removes the range that they write to: once it is told that this is done, nothing
 * more is posted.
 *
 * Wrong on purpose, one at a time: BUG_PLAIN_TAIL, BUG_NO_TURN, BUG_POSTED_FIRST, BUG_NO_ROOM,
 * BUG_STALE, BUG_HEAD_FIRST, BUG_NO_GRACE.
 */
#define POSTS	2
#ifndef SHORT
#define EACH	3	/* so many does each vCPU write */
#else
#define EACH	2
#endif
#define NUMBER(n)	((n) & 7)
#define BEGIN	6

byte first[POSTS], second[POSTS];	/* the places: two halves */
byte head = BEGIN, tail = BEGIN;	/* the caller's: in the ring */
byte taken = BEGIN, posted = BEGIN;	/* the kernel's */

byte next[2];		/* what the reader will see next of each vCPU */
byte written[2];	/* how many of each vCPU's were posted */
bool honest;
byte done;

bool watched = true;	/* the table of ranges has it */
bool inside[2];		/* with interrupts off, so that RCU waits for it */
bool removed;

/* --- the guests write: interrupts are off -------------------------------------- */

/* Each half of a vCPU's post comes when it likes. */
chan halves[4] = [1] of { byte, byte };
#define RELEASE(me)	(empty(halves[2 * (me)]) && empty(halves[2 * (me) + 1]))

active [4] proctype to_memory()
{
	byte place, value;

end:	do
	:: atomic {
		halves[_pid]?place, value ->
		if :: _pid % 2 -> second[place] = value :: else -> first[place] = value fi;
		place = 0; value = 0
	   }
	od
}

/* `take_number()` in `post.c` */
inline take_number()
{
	do
	:: true ->
		number = taken;
		atomic {
			/* An acquire. */
			seen = head;
			was_full = !honest || NUMBER(taken - head) == POSTS
		};
		if
#ifndef BUG_NO_ROOM
		:: NUMBER(number - seen) < POSTS ->
#else
		:: true ->
#endif
			atomic {
				if
				:: taken == number -> taken = NUMBER(number + 1); break
				:: else
				fi
			}
		:: NUMBER(number - seen) >= POSTS ->
			if
#ifndef BUG_STALE
			:: number != taken	/* others were meanwhile */
#endif
			:: else ->
				/* Only a full ring takes nothing: `take_number()` in `post.c` */
				assert(was_full);
				number = 9;
				break
			fi
		fi
	od
}

/* `post_to_ring()` in `post.c` */
inline post_to_ring(me, value)
{
	take_number();
	if
	:: number == 9	/* POST_NONE: an exit as ever */
	:: else ->
		halves[2 * me]!number % POSTS, value;
		halves[2 * me + 1]!number % POSTS, value;
		/* `wait_for_turn()` in `post.c`, an acquire */
#ifndef BUG_NO_TURN
		posted == number;
#endif
		/* A release. */
#ifndef BUG_PLAIN_TAIL
		RELEASE(me);
#endif
#ifdef BUG_POSTED_FIRST
		posted = NUMBER(number + 1);
#endif
		/* It never goes back: `post_to_ring()` in `post.c` */
		assert(tail == number);
		/* Not of what was removed: `change_watch()` in `post.c` */
		assert(!removed);
		tail = NUMBER(number + 1);
#ifndef BUG_POSTED_FIRST
		posted = NUMBER(number + 1);
#endif
		written[me]++
	fi
}

proctype vcpu(byte me)
{
	byte number, seen, count;
	bool was_full;

	do
	:: count == EACH -> break
	:: else ->
		/* `post_write()` in `post.c` */
		inside[me] = true;
		if
		:: watched -> post_to_ring(me, 10 * me + written[me])
		:: else	/* POST_NONE */
		fi;
		inside[me] = false;
		count++
	od;
	done++
}

/* `change_watch()` in `post.c`: who has looked before it is waited for */
proctype remover()
{
	watched = false;
#ifndef BUG_NO_GRACE
	!inside[0];
	!inside[1];
#endif
	removed = true
}

/* --- who takes them ------------------------------------------------------------ */

/* `take()` in `post.c` of the library, called by one thread at a time */
proctype reader()
{
	byte at = BEGIN, half, other;

end:	do
	:: tail != at ->	/* an acquire */
#ifdef BUG_HEAD_FIRST
		head = NUMBER(at + 1);
#endif
		half = first[at % POSTS];
		other = second[at % POSTS];
		/* Whole, and each vCPU's in the order in which it wrote: `post_write()` in `post.c` */
		assert(half == other);
		assert(half % 10 == next[half / 10]);
		next[half / 10]++;
		at = NUMBER(at + 1);
#ifndef BUG_HEAD_FIRST
		head = at	/* a release */
#endif
	od
}

proctype scribbler()
{
	do
	:: done == 2 -> break
	:: head == BEGIN -> head = NUMBER(BEGIN + 3)
	:: head != BEGIN -> head = BEGIN; break
	od
}

init
{
	atomic {
		if
		:: honest = true; run reader()
#ifndef SHORT
		:: honest = true; run reader(); run remover()
#endif
		:: run scribbler()
		fi;
		run vcpu(0);
		run vcpu(1)
	}
	/* When nothing moves any more both have written all, and all that was posted was seen. */
	timeout;
	/* `wait_for_turn()` in `post.c` */
	assert(done == 2);
	/* `take()` in `post.c` */
	assert(!honest || (next[0] == written[0] && next[1] == written[1]))
}
