/* tests/store_put.h: objects of the test's own making, put into a store; a failure is the test's.
 */
#ifndef CM_TESTS_STORE_PUT_H
#define CM_TESTS_STORE_PUT_H

#include <string.h>

#include "store/store.h"
#include "tap.h"

static inline void put(cm_store *s, const char *key, const void *data, size_t nbytes)
{
    cm_error err = {0};
    TAP_CALL(s->vt->put(s, key, &(cm_iov){data, nbytes}, 1, 0, &err), &err);
}

static inline void put_text(cm_store *s, const char *key, const char *text)
{
    put(s, key, text, strlen(text));
}

#endif
