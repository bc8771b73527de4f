/* SPDX-License-Identifier: Apache-2.0
 *
 * mutant.h - rules that can be broken on purpose, to see that the tests would notice. In a core
 * built with WEIR_MUTANTS (for that test alone) MUTANT(n) is true when weir_mutant is n; elsewhere
 * it is false and costs nothing. What is broken:
 *
 *  1  a newcomer overtakes those who wait
 *  2  waiting never ends
 *  3  the oldest idle connection is reused, not the newest
 *  4  the newest idle connection gives way, not the one that was idle for longest
 *  5  max_total is not kept
 *  6  max_per_key is not kept
 *  7  dials under way are not ramped up
 *  8  a failed dial is repeated at once
 *  9  a key never goes down
 * 10  a key on trial may dial more than once
 * 11  idle connections never time out
 * 12  connections never grow too old
 * 13  min_idle is not kept
 * 14  a connection of unknown state is used again without a probe
 * 15  a probe may take for ever
 * 16  max_uses is not kept
 * 17  max_idle is not kept
 * 18  waiting_max is not kept
 * 19  a released connection is not given to those who wait
 * 20  a pool that closes tells its callers another reason
 * 21  a flush or a close leaves leased connections alone
 * 22  a failed dial fails callers whom another dial will serve
 * 23  tenants share connections
 * 24  the last to come is the first to be served
 * 25  an overdue lease is told, and not cut
 * 26  a request that cannot be sent twice gets the newest, however long that was silent
 * 27  a tenant with many connections keeps them, whoever else waits
 * 28  a forecast is trusted before it has shown what it is worth
 * 29  a connection that moves leaves a place in the limits behind
 * 30  what is idle is kept from the other engines
 * 31  dials of a warm-up are not paced
 * 32  a warm-up does not wait for the answer to a probe
 * 33  one answer without its address retires a connection
 * 34  a full queue belongs to whoever filled it
 * 35  adaptive concurrency never falls
 * 36  adaptive concurrency is not kept
 * 37  a request that cannot be sent twice goes where the peer may be about to hang up
 * 38  room that went to another worker stays promised
 * 39  a wait is foretold by what a key has, whatever others may have to give
 * 40  what tenants have been given is forgotten among workers
 */
#pragma once
#include <stdbool.h>

#ifdef WEIR_MUTANTS
extern int weir_mutant; /* in mutant.c */
#    define MUTANT(n) (weir_mutant == (n))
#else
#    define MUTANT(n) false
#endif
