/* base/budget.h: the memory budget: a counter of bytes that may be taken, with waiting.
 *
 * Whoever needs a data buffer takes its bytes first and gives them back after. Taking blocks while
 * too little is left; first come, first served, so that a large request is not starved by small
 * ones. A request above the whole limit is refused at once (CM_ELIMIT). Work takes everything that
 * it will need in ONE request before it starts and never takes more while holding some, so nobody
 * can wait for somebody who waits: that is the rule that keeps the engine free of deadlocks.
 *
 * Threads: all functions may be called from any thread.
 */
#ifndef CM_BASE_BUDGET_H
#define CM_BASE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "chunkmill/context.h"

typedef struct cm_budget cm_budget;

int cm_budget_new(uint64_t limit, cm_budget **out, cm_error *err);
void cm_budget_free(cm_budget *b); /* NULL is legal; nobody may be waiting */

/* Call fn(user, taken) after every successful take, outside the budget's lock: the block cache lets
 * go of idle blocks there. Set once, before the budget is used by a second thread. */
void cm_budget_on_take(cm_budget *b, void (*fn)(void *user, uint64_t taken), void *user);

/* Take nbytes, waiting for them; `what` names them in errors ("chunk c/0/0 of /tas"). Stops with
 * CM_ECANCEL when *ctx is cancelled (ctx may be NULL). CM_ELIMIT when nbytes is above the limit. */
int cm_budget_take(cm_budget *b, cm_context *ctx, uint64_t nbytes, const char *what, cm_error *err);

/* Take nbytes if they are there right now and nobody waits in line. */
bool cm_budget_try(cm_budget *b, uint64_t nbytes);
void cm_budget_give(cm_budget *b, uint64_t nbytes);

/* Set nbytes aside for something that stays, as the tables of an open file do: the limit becomes
 * smaller by them, so that nobody waits for what nobody will give back. False when they are not
 * free, or somebody in line would not fit any more. */
bool cm_budget_pin(cm_budget *b, uint64_t nbytes);
void cm_budget_unpin(cm_budget *b, uint64_t nbytes);

uint64_t cm_budget_limit(const cm_budget *b); /* without what is pinned */
uint64_t cm_budget_pinned(const cm_budget *b);
uint64_t cm_budget_taken(const cm_budget *b);
uint64_t cm_budget_peak(const cm_budget *b);

#endif
