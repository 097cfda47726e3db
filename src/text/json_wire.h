/* text/json_wire.h: JSON values as bytes of our own formats, quicker to read than text and as
 * exact. */
#ifndef CM_TEXT_JSON_WIRE_H
#define CM_TEXT_JSON_WIRE_H

#include "base/wire.h"
#include "chunkmill/json.h"

/* More than 64 levels: CM_ELIMIT in w. */
void cm_json_wire_put(cm_wire_out *w, const cm_json *v);

/* A new value of doc. NULL: r is bad, or memory is out (then r is not bad). What is no UTF-8, no
 * number, or an object with one key twice, is bad. */
cm_json *cm_json_wire_take(cm_wire_in *r, cm_json_doc *doc);

#endif
