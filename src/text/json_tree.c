/* text/json_tree.c: JSON values: their arena, looking at them, making and changing them.
 *
 * A document owns blocks of memory and hands them out from the front; nothing is freed before the
 * whole document is. Replaced members and outgrown tables are left behind, at most as much again as
 * is in use. Blocks double from 2 KB to 1 MB, so that an attribute's document is small and a
 * catalogue's is few blocks.
 *
 * Objects of up to 16 members are searched in order. Larger ones have a hash index beside the list
 * of members, because the metadata of a big store is one object with a member for each array. The
 * seed of the hash comes from the document's address: a file cannot be made so that all its keys
 * collide.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "text/json_private.h"

enum { FIRST_BLOCK = 2048, LARGEST_BLOCK = 1 << 20 };

struct cm_json_block {
    cm_json_block *next;
    size_t nbytes; /* with this head */
};

/* ---- the arena ------------------------------------------------------------------------------- */

int cm_json_doc_new(size_t max_nbytes, cm_json_doc **out, cm_error *err)
{
    cm_json_doc *doc = cm_calloc(1, sizeof *doc, err);
    if (!doc)
        return CM_ENOMEM;
    doc->max_nbytes = max_nbytes ? max_nbytes : (size_t)1 << 30;
    uint64_t address = (uint64_t)(uintptr_t)doc * 0x9e3779b97f4a7c15u;
    doc->seed = (uint32_t)(address >> 32);
    *out = doc;
    return 0;
}

void cm_json_doc_free(cm_json_doc *doc)
{
    if (!doc)
        return;
    for (cm_json_block *b = doc->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(doc);
}

cm_json *cm_json_doc_root(const cm_json_doc *doc)
{
    return doc ? doc->root : NULL;
}

void cm_json_doc_set_root(cm_json_doc *doc, cm_json *root)
{
    doc->root = root;
}

/* A block with room for nbytes. A large request gets a block to itself behind the newest one, whose
 * free space stays in use. */
static char *new_block(cm_json_doc *doc, size_t nbytes, bool *alone)
{
    size_t need, usual = doc->blocks ? doc->blocks->nbytes * 2 : FIRST_BLOCK;
    if (usual > LARGEST_BLOCK)
        usual = LARGEST_BLOCK;
    if (!cm_add_size(nbytes, sizeof(cm_json_block) + 8, &need) || need > doc->max_nbytes ||
        doc->nbytes > doc->max_nbytes - need) {
        doc->limit_hit = true;
        return NULL;
    }
    *alone = doc->blocks && need > usual / 4;
    size_t size = *alone ? need : usual > need ? usual : need;
    if (size > doc->max_nbytes - doc->nbytes)
        size = need;
    cm_json_block *b = malloc(size);
    if (!b) {
        doc->limit_hit = false;
        return NULL;
    }
    b->nbytes = size;
    doc->nbytes += size;
    if (*alone) {
        b->next = doc->blocks->next;
        doc->blocks->next = b;
    } else {
        b->next = doc->blocks;
        doc->blocks = b;
        doc->free = (char *)(b + 1);
        doc->end = (char *)b + size;
    }
    return (char *)(b + 1);
}

static void *alloc(cm_json_doc *doc, size_t nbytes, size_t align)
{
    size_t pad = doc->free ? (size_t)(-(uintptr_t)doc->free & (align - 1)) : 0;
    size_t room = (size_t)(doc->end - doc->free);
    if (!doc->free || room < pad || room - pad < nbytes) {
        bool alone;
        char *p = new_block(doc, nbytes, &alone);
        if (!p || alone)
            return p;
        pad = 0;
    }
    char *p = doc->free + pad;
    doc->free = p + nbytes;
    return p;
}

void *cm_json_alloc(cm_json_doc *doc, size_t nbytes)
{
    return alloc(doc, nbytes, 8);
}

char *cm_json_alloc_text(cm_json_doc *doc, size_t nbytes)
{
    return alloc(doc, nbytes, 1);
}

void cm_json_trim_text(cm_json_doc *doc, const char *used_end, const char *end)
{
    if (doc->free == end)
        doc->free -= end - used_end;
}

/* ---- looking --------------------------------------------------------------------------------- */

cm_json_type cm_json_type_of(const cm_json *v)
{
    return v ? (cm_json_type)v->type : CM_JSON_NULL;
}

bool cm_json_is(const cm_json *v, cm_json_type type)
{
    return v && v->type == type;
}

size_t cm_json_count(const cm_json *v)
{
    if (cm_json_is(v, CM_JSON_ARRAY))
        return v->u.array.count;
    return cm_json_is(v, CM_JSON_OBJECT) ? v->u.object.count : 0;
}

cm_json *cm_json_at(const cm_json *v, size_t i)
{
    if (i >= cm_json_count(v))
        return NULL;
    return v->type == CM_JSON_ARRAY ? v->u.array.items[i] : v->u.object.members[i].value;
}

const char *cm_json_key(const cm_json *v, size_t i)
{
    return cm_json_is(v, CM_JSON_OBJECT) && i < v->u.object.count ? v->u.object.members[i].key
                                                                  : NULL;
}

const char *cm_json_string(const cm_json *v)
{
    return cm_json_is(v, CM_JSON_STRING) ? v->u.text.data : NULL;
}

size_t cm_json_string_nbytes(const cm_json *v)
{
    return cm_json_is(v, CM_JSON_STRING) ? v->u.text.nbytes : 0;
}

bool cm_json_bool(const cm_json *v, bool otherwise)
{
    return cm_json_is(v, CM_JSON_BOOL) ? v->truth : otherwise;
}

const char *cm_json_number_text(const cm_json *v)
{
    return cm_json_is(v, CM_JSON_NUMBER) ? v->u.text.data : NULL;
}

/* 64x64 to 128 bit products folded, 8 bytes at a time. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t cm_json_hash(uint32_t seed, const char *key, size_t nbytes)
{
    uint64_t h = (uint64_t)seed << 32 ^ nbytes ^ 0x2d358dccaa6c78a5u;
    size_t i = 0;
    for (; i + 8 <= nbytes; i += 8)
        h = fold(h ^ cm_load_le64(key + i), 0x8bb84b93962eacc9u ^ h >> 7);
    h = fold(h ^ cm_load_le(key + i, nbytes - i), 0x4b33a62ed433d4a3u ^ h >> 7);
    return (uint32_t)(h ^ h >> 32);
}

static bool same_key(const cm_json_member *m, const char *key, size_t nbytes)
{
    return m->key_nbytes == nbytes && memcmp(m->key, key, nbytes) == 0;
}

static cm_json_member *find_member(const cm_json *object, const char *key, size_t nbytes)
{
    cm_json_member *members = object->u.object.members;
    if (!object->index_log2) {
        for (uint32_t i = 0; i < object->u.object.count; i++)
            if (same_key(&members[i], key, nbytes))
                return &members[i];
        return NULL;
    }
    uint32_t mask = (1u << object->index_log2) - 1;
    uint32_t hash = cm_json_hash(object->seed, key, nbytes);
    for (uint32_t at = hash & mask;; at = (at + 1) & mask) {
        uint32_t i = object->u.object.index[at];
        if (i == 0)
            return NULL;
        cm_json_member *m = &members[i - 1];
        if (m->hash == hash && same_key(m, key, nbytes))
            return m;
    }
}

cm_json *cm_json_get(const cm_json *object, const char *key)
{
    if (!cm_json_is(object, CM_JSON_OBJECT))
        return NULL;
    const cm_json_member *m = find_member(object, key, strlen(key));
    return m ? m->value : NULL;
}

/* ---- the index ------------------------------------------------------------------------------- */

/* Enter member i; false when an earlier member has the same key. */
static bool enter(cm_json *object, uint32_t i)
{
    const cm_json_member *members = object->u.object.members, *m = &members[i];
    uint32_t mask = (1u << object->index_log2) - 1, at = m->hash & mask;
    for (; object->u.object.index[at]; at = (at + 1) & mask) {
        const cm_json_member *other = &members[object->u.object.index[at] - 1];
        if (other->hash == m->hash && same_key(other, m->key, m->key_nbytes))
            return false;
    }
    object->u.object.index[at] = i + 1;
    return true;
}

static int64_t rebuild(cm_json *object)
{
    memset(object->u.object.index, 0, sizeof(uint32_t) << object->index_log2);
    for (uint32_t i = 0; i < object->u.object.count; i++)
        if (!enter(object, i))
            return i;
    return -1;
}

/* An index with room for capacity members. */
static int make_index(cm_json_doc *doc, cm_json *object, uint32_t capacity)
{
    uint8_t log2 = 6;
    while (log2 < 31 && (1u << log2) < capacity * (uint64_t)2)
        log2++;
    uint32_t *index = cm_json_alloc(doc, sizeof(uint32_t) << log2);
    if (!index)
        return CM_ENOMEM;
    object->u.object.index = index;
    object->index_log2 = log2;
    return 0;
}

int cm_json_index(cm_json_doc *doc, cm_json *object, int64_t *duplicate)
{
    const cm_json_member *m = object->u.object.members;
    uint32_t count = object->u.object.count;
    *duplicate = -1;
    if (count <= CM_JSON_INDEX_FROM) {
        for (uint32_t i = 1; i < count; i++)
            for (uint32_t j = 0; j < i; j++)
                if (m[i].hash == m[j].hash && same_key(&m[i], m[j].key, m[j].key_nbytes)) {
                    *duplicate = i;
                    return 0;
                }
        return 0;
    }
    if (make_index(doc, object, count) != 0)
        return CM_ENOMEM;
    *duplicate = rebuild(object);
    return 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

cm_json *cm_json_new_of(cm_json_doc *doc, cm_json_type type)
{
    cm_json *v = cm_json_alloc(doc, sizeof *v);
    if (v) {
        memset(v, 0, sizeof *v);
        v->type = (uint8_t)type;
        v->seed = doc->seed;
    }
    return v;
}

static char *copy_text(cm_json_doc *doc, const char *s, size_t nbytes)
{
    char *p = nbytes < SIZE_MAX ? cm_json_alloc_text(doc, nbytes + 1) : NULL;
    if (p) {
        memcpy(p, s, nbytes);
        p[nbytes] = 0;
    }
    return p;
}

static cm_json *new_text(cm_json_doc *doc, cm_json_type type, const char *s, size_t nbytes)
{
    cm_json *v = cm_json_new_of(doc, type);
    const char *data = v ? copy_text(doc, s, nbytes) : NULL;
    if (!data)
        return NULL;
    v->u.text.data = data;
    v->u.text.nbytes = nbytes;
    return v;
}

cm_json *cm_json_new_null(cm_json_doc *doc)
{
    return cm_json_new_of(doc, CM_JSON_NULL);
}

cm_json *cm_json_new_bool(cm_json_doc *doc, bool v)
{
    cm_json *j = cm_json_new_of(doc, CM_JSON_BOOL);
    if (j)
        j->truth = v;
    return j;
}

cm_json *cm_json_new_number(cm_json_doc *doc, const char *text, size_t nbytes)
{
    return new_text(doc, CM_JSON_NUMBER, text, nbytes);
}

cm_json *cm_json_new_string_n(cm_json_doc *doc, const char *s, size_t nbytes)
{
    return new_text(doc, CM_JSON_STRING, nbytes ? s : "", nbytes);
}

cm_json *cm_json_new_string(cm_json_doc *doc, const char *s)
{
    return cm_json_new_string_n(doc, s, strlen(s));
}

cm_json *cm_json_new_array(cm_json_doc *doc)
{
    return cm_json_new_of(doc, CM_JSON_ARRAY);
}

cm_json *cm_json_new_object(cm_json_doc *doc)
{
    return cm_json_new_of(doc, CM_JSON_OBJECT);
}

int cm_json_add(cm_json_doc *doc, cm_json *array, cm_json *item)
{
    if (!array || !item)
        return CM_ENOMEM;
    assert(array->type == CM_JSON_ARRAY);
    if (array->u.array.count == array->u.array.capacity) {
        size_t capacity = array->u.array.capacity ? array->u.array.capacity * 2 : 4;
        cm_json **items = cm_json_alloc(doc, capacity * sizeof(cm_json *));
        if (!items)
            return CM_ENOMEM;
        if (array->u.array.count)
            memcpy(items, array->u.array.items, array->u.array.count * sizeof(cm_json *));
        array->u.array.items = items;
        array->u.array.capacity = capacity;
    }
    array->u.array.items[array->u.array.count++] = item;
    return 0;
}

/* Room for one more member, in the list and in the index. */
static int grow_object(cm_json_doc *doc, cm_json *object)
{
    uint32_t count = object->u.object.count;
    if (count == object->u.object.capacity) {
        if (count > UINT32_MAX / 4)
            return CM_ENOMEM;
        uint32_t capacity = count ? count * 2 : 4;
        cm_json_member *members = cm_json_alloc(doc, capacity * sizeof *members);
        if (!members)
            return CM_ENOMEM;
        if (count)
            memcpy(members, object->u.object.members, count * sizeof *members);
        object->u.object.members = members;
        object->u.object.capacity = capacity;
    }
    bool full = object->index_log2 && (uint64_t)count * 2 + 2 > (uint64_t)1 << object->index_log2;
    if (count >= CM_JSON_INDEX_FROM && (!object->index_log2 || full)) {
        if (make_index(doc, object, (count + 1) * 2) != 0)
            return CM_ENOMEM;
        rebuild(object);
    }
    return 0;
}

static int set_n(cm_json_doc *doc, cm_json *object, const char *key, size_t nbytes, cm_json *item)
{
    if (!object || !item)
        return CM_ENOMEM;
    assert(object->type == CM_JSON_OBJECT);
    cm_json_member *m = find_member(object, key, nbytes);
    if (m) {
        m->value = item;
        return 0;
    }
    const char *own = copy_text(doc, key, nbytes);
    if (!own || grow_object(doc, object) != 0)
        return CM_ENOMEM;
    uint32_t i = object->u.object.count++;
    uint32_t hash = cm_json_hash(object->seed, own, nbytes);
    object->u.object.members[i] = (cm_json_member){own, nbytes, item, hash};
    if (object->index_log2)
        enter(object, i);
    return 0;
}

int cm_json_set(cm_json_doc *doc, cm_json *object, const char *key, cm_json *item)
{
    return set_n(doc, object, key, strlen(key), item);
}

bool cm_json_delete(cm_json *object, const char *key)
{
    if (!cm_json_is(object, CM_JSON_OBJECT))
        return false;
    cm_json_member *m = find_member(object, key, strlen(key));
    if (!m)
        return false;
    cm_json_member *end = object->u.object.members + object->u.object.count--;
    memmove(m, m + 1, (size_t)(end - (m + 1)) * sizeof *m);
    if (object->index_log2)
        rebuild(object);
    return true;
}

int cm_json_set_string(cm_json_doc *doc, cm_json *object, const char *key, const char *s)
{
    return cm_json_set(doc, object, key, cm_json_new_string(doc, s));
}

int cm_json_set_int64(cm_json_doc *doc, cm_json *object, const char *key, int64_t v)
{
    return cm_json_set(doc, object, key, cm_json_new_int64(doc, v));
}

int cm_json_set_bool(cm_json_doc *doc, cm_json *object, const char *key, bool v)
{
    return cm_json_set(doc, object, key, cm_json_new_bool(doc, v));
}

/* ---- whole trees ----------------------------------------------------------------------------- */

/* Trees that are made, unlike those that are parsed, could be of any depth. */
static bool too_deep(const cm_json *v, int depth)
{
    cm_json_type type = cm_json_type_of(v);
    return depth >= CM_JSON_MAX_DEPTH && (type == CM_JSON_ARRAY || type == CM_JSON_OBJECT);
}

static cm_json *copy(cm_json_doc *doc, const cm_json *v, int depth)
{
    if (too_deep(v, depth))
        return NULL;
    switch (cm_json_type_of(v)) {
    case CM_JSON_NULL: return cm_json_new_null(doc);
    case CM_JSON_BOOL: return cm_json_new_bool(doc, v->truth);
    case CM_JSON_NUMBER:
    case CM_JSON_STRING:
        return new_text(doc, (cm_json_type)v->type, v->u.text.data, v->u.text.nbytes);
    case CM_JSON_ARRAY: {
        cm_json *a = cm_json_new_array(doc);
        for (size_t i = 0; i < v->u.array.count; i++)
            if (cm_json_add(doc, a, copy(doc, v->u.array.items[i], depth + 1)) != 0)
                return NULL;
        return a;
    }
    case CM_JSON_OBJECT: {
        cm_json *o = cm_json_new_object(doc);
        for (uint32_t i = 0; i < v->u.object.count; i++) {
            const cm_json_member *m = &v->u.object.members[i];
            if (set_n(doc, o, m->key, m->key_nbytes, copy(doc, m->value, depth + 1)) != 0)
                return NULL;
        }
        return o;
    }
    }
    return NULL;
}

cm_json *cm_json_copy(cm_json_doc *doc, const cm_json *v)
{
    return copy(doc, v, 0);
}

static bool equal(const cm_json *a, const cm_json *b, int depth)
{
    if (cm_json_type_of(a) != cm_json_type_of(b) || too_deep(a, depth))
        return false;
    switch (cm_json_type_of(a)) {
    case CM_JSON_NULL: return true;
    case CM_JSON_BOOL: return a->truth == b->truth;
    case CM_JSON_NUMBER: return cm_json_number_equal(a, b);
    case CM_JSON_STRING:
        return a->u.text.nbytes == b->u.text.nbytes &&
               memcmp(a->u.text.data, b->u.text.data, a->u.text.nbytes) == 0;
    case CM_JSON_ARRAY:
        if (a->u.array.count != b->u.array.count)
            return false;
        for (size_t i = 0; i < a->u.array.count; i++)
            if (!equal(a->u.array.items[i], b->u.array.items[i], depth + 1))
                return false;
        return true;
    case CM_JSON_OBJECT:
        if (a->u.object.count != b->u.object.count)
            return false;
        for (uint32_t i = 0; i < a->u.object.count; i++) {
            const cm_json_member *m = &a->u.object.members[i];
            const cm_json_member *other = find_member(b, m->key, m->key_nbytes);
            if (!other || !equal(m->value, other->value, depth + 1))
                return false;
        }
        return true;
    }
    return false;
}

bool cm_json_equal(const cm_json *a, const cm_json *b)
{
    return equal(a, b, 0);
}
