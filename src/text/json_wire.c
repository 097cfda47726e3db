/* text/json_wire.c: a value is a byte that says what it is, then
 *
 *     null, false, true   nothing
 *     number              its text, so that it stays as it was written
 *     string              its bytes
 *     array, object       how many, then the elements; or key and value of each member
 *
 * Bytes from outside make no value that the parser of text would not make: numbers are checked for
 * their form, strings for UTF-8, objects for keys given twice, and the depth is limited.
 */
#include "text/json_wire.h"

#include "text/json_private.h"
#include "text/utf8.h"

enum { TAG_NULL, TAG_FALSE, TAG_TRUE, TAG_NUMBER, TAG_STRING, TAG_ARRAY, TAG_OBJECT };
enum { LONGEST_EXPONENT = 9 };

static void put(cm_wire_out *w, const cm_json *v, int depth)
{
    cm_json_type type = cm_json_type_of(v);
    if (depth > CM_JSON_MAX_DEPTH && w->status == 0)
        w->status =
            cm_error_set(w->err, CM_ELIMIT, "JSON of more than %d levels", (int)CM_JSON_MAX_DEPTH);
    if (w->status)
        return;
    switch (type) {
    case CM_JSON_NULL: cm_wire_put_uint(w, TAG_NULL); break;
    case CM_JSON_BOOL: cm_wire_put_uint(w, v->truth ? TAG_TRUE : TAG_FALSE); break;
    case CM_JSON_NUMBER:
    case CM_JSON_STRING:
        cm_wire_put_uint(w, type == CM_JSON_NUMBER ? TAG_NUMBER : TAG_STRING);
        cm_wire_put_bytes(w, v->u.text.data, v->u.text.nbytes);
        break;
    case CM_JSON_ARRAY:
        cm_wire_put_uint(w, TAG_ARRAY);
        cm_wire_put_uint(w, v->u.array.count);
        for (size_t i = 0; i < v->u.array.count; i++)
            put(w, v->u.array.items[i], depth + 1);
        break;
    case CM_JSON_OBJECT:
        cm_wire_put_uint(w, TAG_OBJECT);
        cm_wire_put_uint(w, v->u.object.count);
        for (size_t i = 0; i < v->u.object.count; i++) {
            cm_wire_put_bytes(w, v->u.object.members[i].key, v->u.object.members[i].key_nbytes);
            put(w, v->u.object.members[i].value, depth + 1);
        }
        break;
    }
}

void cm_json_wire_put(cm_wire_out *w, const cm_json *v)
{
    put(w, v, 0);
}

/* ---- reading --------------------------------------------------------------------------------- */

static const char *digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* A number of RFC 8259, or one of the three tokens. */
static bool is_number(const char *p, size_t n)
{
    const char *end = p + n, *q;
    if (n == 3 && memcmp(p, "NaN", 3) == 0)
        return true;
    p += p < end && *p == '-';
    if (end - p == 8 && memcmp(p, "Infinity", 8) == 0)
        return true;
    q = digits(p, end);
    if (q == p || (*p == '0' && q - p > 1))
        return false;
    p = q;
    if (p < end && *p == '.') {
        q = digits(p + 1, end);
        if (q == p + 1)
            return false;
        p = q;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        q = digits(p, end);
        if (q == p || q - p > LONGEST_EXPONENT)
            return false;
        p = q;
    }
    return p == end;
}

static cm_json *take(cm_wire_in *r, cm_json_doc *doc, int depth);

static cm_json *take_array(cm_wire_in *r, cm_json_doc *doc, int depth)
{
    size_t n = cm_wire_count(r, 1);
    cm_json *v = r->bad ? NULL : cm_json_new_array(doc);
    for (size_t i = 0; i < n && v; i++) {
        cm_json *item = take(r, doc, depth + 1);
        if (!item || cm_json_add(doc, v, item))
            return NULL;
    }
    return v;
}

static cm_json *take_object(cm_wire_in *r, cm_json_doc *doc, int depth)
{
    size_t n = cm_wire_count(r, 2), nbytes;
    cm_json *v = r->bad ? NULL : cm_json_new_object(doc);
    for (size_t i = 0; i < n && v; i++) {
        const char *key = cm_wire_bytes(r, &nbytes);
        if (r->bad || !cm_utf8_valid(key, nbytes) || memchr(key, 0, nbytes)) {
            cm_wire_fail(r);
            return NULL;
        }
        cm_json *own = cm_json_new_string_n(doc, key, nbytes); /* followed by a NUL */
        cm_json *item = own ? take(r, doc, depth + 1) : NULL;
        if (!item || cm_json_set(doc, v, cm_json_string(own), item))
            return NULL;
    }
    if (v && cm_json_count(v) != n) { /* a key twice */
        cm_wire_fail(r);
        return NULL;
    }
    return v;
}

static cm_json *take(cm_wire_in *r, cm_json_doc *doc, int depth)
{
    size_t n;
    uint64_t tag = cm_wire_upto(r, TAG_OBJECT);
    if (depth > CM_JSON_MAX_DEPTH)
        cm_wire_fail(r);
    if (r->bad)
        return NULL;
    if (tag == TAG_NULL)
        return cm_json_new_null(doc);
    if (tag == TAG_FALSE || tag == TAG_TRUE)
        return cm_json_new_bool(doc, tag == TAG_TRUE);
    if (tag == TAG_ARRAY)
        return take_array(r, doc, depth);
    if (tag == TAG_OBJECT)
        return take_object(r, doc, depth);
    const char *text = cm_wire_bytes(r, &n);
    if (r->bad || !(tag == TAG_NUMBER ? is_number(text, n) : cm_utf8_valid(text, n))) {
        cm_wire_fail(r);
        return NULL;
    }
    return tag == TAG_NUMBER ? cm_json_new_number(doc, text, n)
                             : cm_json_new_string_n(doc, text, n);
}

cm_json *cm_json_wire_take(cm_wire_in *r, cm_json_doc *doc)
{
    return take(r, doc, 0);
}
