/* The gate's barriers (src/wait/mod.rs, src/wait/barrier.rs), on processors that delay their stores.
 *
 * loom has no membarrier: its models put a full fence in the place of either half. Here each thread has
 * a store buffer, as on x86: a store goes into it, and reaches memory when a process of its own flushes it,
 * or when a barrier drains it. The light half is nothing at all but program order; the heavy half drains all
 * buffers in one atomic step.
 *
 * A producer writes items to a consumer, one or two at once. The producer sleeps at the high mark until
 * the low one, the consumer sleeps when there is nothing: each is the waker of the other. A lost wake-up is
 * a process that stands still for ever: an "invalid end state" to Spin.
 *
 * check.sh runs this as designed, and with one part removed at one end, P or C:
 *
 *   NO_LIGHT     the compiler moves the load of wake_at above the publication
 *   NO_HEAVY     the end goes to sleep without the heavy barrier
 *   HEAVY_OWN    the heavy barrier drains nothing but the caller's buffer: it is a plain fence
 *   HEAVY_OTHER  it drains nothing but the other's
 *   NO_LOOK      the end sleeps without a second look
 *
 * With REFUSED the kernel may refuse the call from any time on, and the ends change over to fences; with WISH
 * an end may ask for fences by itself, and goes on with the call until they are confirmed:
 *
 *   NO_FULL      the end goes on without a fence, though it has seen the note
 *   NO_FENCE     the end goes to sleep without a fence, once it has been refused or they are confirmed
 *   TRUST        it relies on the other's fences before they are confirmed
 *   EARLY        it confirms its own fences before it has seen the note
 *
 * Not here: loads are made in order, and stores reach memory in order. What Release and Acquire are for
 * is loom's part. A lock drains nothing, which is less than any real one does. */

#define P 0
#define C 1
#define NOBODY 2

#ifndef NO_LIGHT
#define NO_LIGHT NOBODY
#endif
#ifndef NO_HEAVY
#define NO_HEAVY NOBODY
#endif
#ifndef HEAVY_OWN
#define HEAVY_OWN NOBODY
#endif
#ifndef HEAVY_OTHER
#define HEAVY_OTHER NOBODY
#endif
#ifndef NO_LOOK
#define NO_LOOK NOBODY
#endif
#ifndef NO_FULL
#define NO_FULL NOBODY
#endif
#ifndef NO_FENCE
#define NO_FENCE NOBODY
#endif
#ifndef TRUST
#define TRUST NOBODY
#endif
#ifndef EARLY
#define EARLY NOBODY
#endif

#define ITEMS 4
#define HIGH 2
#define LOW 0

/* Memory, by who owns the gate or the index: P the producer, C the consumer. Each word has one writer,
 * which never reads it back. */
byte index[2];       /* tail, head */
byte wake_at[2];
bool fences_seen[2]; /* written by the other */
/* Changed by atomic operations, or with a lock held. */
bool fenced_note[2];
bool slot[2];      /* a Waker is there */
bool notified[2];

#define INDEX 0
#define WAKE_AT 1
#define FENCES_SEEN 2
chan buffer[2] = [3] of { byte, byte }; /* of the thread P, and of C */

inline write_back(who, word, value) {
    if
    :: word == INDEX -> index[who] = value
    :: word == WAKE_AT -> wake_at[who] = value
    :: else -> fences_seen[1 - (who)] = value
    fi;
    word = 0;
    value = 0
}

/* One that is lost in a buffer for ever would be no memory: it is flushed some time. */
active [2] proctype flusher() {
    byte word, value;
end:
    do
    :: atomic { buffer[_pid]?word,value -> write_back(_pid, word, value) }
    od
}

inline fence(who) {
    atomic { empty(buffer[who]) -> skip }
}

/* The call: a barrier on the caller, and on the other thread, which is running or has passed one as it was
 * put aside. */
inline membarrier(who) {
    d_step {
        if
        :: who != HEAVY_OTHER && who != NO_HEAVY ->
            do
            :: buffer[who]?word,value -> write_back(who, word, value)
            :: empty(buffer[who]) -> break
            od
        :: else
        fi;
        if
        :: who != HEAVY_OWN && who != NO_HEAVY ->
            do
            :: buffer[1 - who]?word,value -> write_back(1 - who, word, value)
            :: empty(buffer[1 - who]) -> break
            od
        :: else
        fi
    }
}

/* Gate::passed, Gate::passed_with_notes: who moves its index on to `now`, and rings the other's gate if that has
 * passed what is announced there. The note is looked at before the publication (the fast path) or after it. */
inline publish(who, now) {
    if
    :: sees_note = fenced_note[1 - who]
    :: looks_late = true
    fi;
    if
    :: who == NO_LIGHT ->
        announced = wake_at[1 - who];
        buffer[who]!INDEX,now
    :: else ->
        buffer[who]!INDEX,now;
        if
        :: looks_late -> sees_note = fenced_note[1 - who]
        :: else
        fi;
        if
        :: sees_note && who != NO_FULL -> fence(who)
        :: else
        fi;
        if
        :: sees_note || who == EARLY -> buffer[who]!FENCES_SEEN,true
        :: else
        fi;
        announced = wake_at[1 - who]
    fi;
    if
    :: before < announced && announced <= now ->
        /* Gate::ring */
        atomic {
            if
            :: slot[1 - who] -> slot[1 - who] = false; is_there = true
            :: else
            fi
        }
        if
        :: is_there -> atomic { is_there = false; notified[1 - who] = true }
        :: else
        fi
    :: else
    fi;
    atomic { announced = 0; sees_note = false; looks_late = false; before = now }
}

/* Gate::wait_until: who sleeps until `ready`, and announces `at`. */
inline wait_until(who, at, ready) {
    do
    :: notified[who] = false;
        slot[who] = true;
        buffer[who]!WAKE_AT,at;
#ifdef WISH
        if
        :: is_fenced = true; fenced_note[who] = true
        :: skip
        fi;
#endif
        /* Gate::heavy_barrier */
        seen = fences_seen[who] || (who == TRUST && is_fenced);
        if
        :: seen
        :: !seen && !is_refused -> membarrier(who)
#ifdef REFUSED
        :: !seen && !is_refused -> is_refused = true; is_fenced = true; fenced_note[who] = true
#endif
        :: !seen && is_refused
        fi;
        reliable = seen || !is_refused || who == TRUST;
        if
        :: (seen || is_refused) && who != NO_FENCE -> fence(who)
        :: else
        fi;
        if
        :: who != NO_LOOK ->
            if
            :: ready -> break
            :: else
            fi
        :: else
        fi;
        /* Parker::park, or for a while only */
        if
        :: notified[who]
        :: !reliable
        fi;
        if
        :: ready -> break
        :: else
        fi
    od;
    atomic { slot[who] = false; notified[who] = false; reliable = false; seen = false }
}

active proctype producer() {
    byte tail, before, announced, word, value;
    bool sees_note, looks_late, is_there, is_fenced, is_refused, seen, reliable;
    do
    :: tail == ITEMS -> break
    :: tail < ITEMS ->
        if
        :: tail - index[C] >= HIGH -> wait_until(P, tail - LOW, tail - index[C] <= LOW)
        :: else
        fi;
        if
        :: tail = tail + 1
        :: tail + 2 <= ITEMS && index[C] == tail -> tail = tail + 2
        fi;
        publish(P, tail)
    od
}

active proctype consumer() {
    byte head, before, announced, word, value;
    bool sees_note, looks_late, is_there, is_fenced, is_refused, seen, reliable;
    do
    :: head == ITEMS -> break
    :: head < ITEMS ->
        if
        :: index[P] == head -> wait_until(C, head + 1, index[P] != head)
        :: else
        fi;
        if
        :: head = head + 1
        :: head + 2 <= index[P] -> head = head + 2
        fi;
        publish(C, head)
    od
}
