/* codec/chain_parse_v3.c: a chain from Zarr v3's "codecs" (core specification 3.1, "Codecs" and
 * "Extensions"; transpose, bytes and sharding-indexed codec specifications).
 *
 * An entry is a name, or an object of name, configuration and must_understand. The list is a walk
 * through two states: while the chunk is still an array, transposes may come, then one codec that
 * makes bytes; after it only bytes-to-bytes codecs. Several transposes become one. What follows a
 * transpose sees the stored axes, so an inner chunk's shape is in their order. A transposed shard
 * is made one that is not, of transposed chunks and with a transposed index: the same bytes, and
 * nobody else has to think of it. Codecs that change numbers or shapes are stages, and each is
 * given the form that the one before it made; transposes behind one are stages, too.
 *
 * A codec that this program does not know is an error by name; with must_understand: false it is
 * left out, as the specification allows for codecs.
 */
#include <inttypes.h>
#include <string.h>

#include "codec/codec_private.h"

enum { DEPTH_MAX = 8 /* of sharding within sharding */ };

typedef struct {
    cm_dtype dtype; /* of the cells */
    int ndim;
    cm_chain *chain;
    cm_array_form form; /* what the next array codec is given; along the stored axes */
    bool have_bytes;
    bool staged; /* there are stages: axes can no longer be moved by the engine */
    bool valued; /* some look at numbers, which lie little-endian between them */
    int depth;
} walk;

static int parse_codecs(const cm_json *codecs, cm_dtype dtype, int ndim, const int64_t *shape,
                        const int *order, int depth, cm_chain **out, cm_error *err);

/* ---- one entry ------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    const cm_json *config;
    bool optional; /* must_understand: false */
} entry;

static int read_entry(const cm_json *v, entry *out, cm_error *err)
{
    *out = (entry){.name = cm_json_string(v)};
    const cm_json *name = v;
    if (!out->name) {
        if (!cm_json_is(v, CM_JSON_OBJECT))
            return cm_error_set(err, CM_EDATA, "codecs: an entry is neither a name nor an object");
        name = cm_json_get(v, "name");
        out->name = cm_json_string(name);
        out->config = cm_json_get(v, "configuration");
        out->optional = cm_config_ignorable(v);
    }
    if (!out->name || strlen(out->name) != cm_json_string_nbytes(name))
        return cm_error_set(err, CM_EDATA, "codecs: an entry has no name");
    for (size_t i = 0; i < cm_json_count(v); i++) {
        const char *key = cm_json_key(v, i);
        const cm_json *member = cm_json_at(v, i);
        if (strcmp(key, "must_understand") == 0 && !cm_json_is(member, CM_JSON_BOOL))
            return cm_error_set(err, CM_EDATA, "codec %s: must_understand is not true or false",
                                out->name);
        if (strcmp(key, "name") != 0 && strcmp(key, "configuration") != 0 &&
            strcmp(key, "must_understand") != 0 && !cm_config_ignorable(member))
            return cm_error_set(err, CM_EUNSUP, "codec %s: unknown member \"%s\"", out->name, key);
    }
    if (out->config && !cm_json_is(out->config, CM_JSON_OBJECT))
        return cm_error_set(err, CM_EDATA, "codec %s: the configuration is not an object",
                            out->name);
    return 0;
}

/* The configuration's members must all be among keys (NULL-terminated). */
static int known_members(const entry *e, const char *const *keys, cm_error *err)
{
    for (size_t i = 0; i < cm_json_count(e->config); i++) {
        const char *key = cm_json_key(e->config, i);
        bool known = cm_config_ignorable(cm_json_at(e->config, i));
        for (const char *const *k = keys; *k && !known; k++)
            known = strcmp(*k, key) == 0;
        if (!known)
            return cm_error_set(err, CM_EUNSUP, "codec %s: unknown configuration member \"%s\"",
                                e->name, key);
    }
    return 0;
}

/* ---- the codecs of arrays -------------------------------------------------------------------- */

static int read_order(const cm_json *order, int ndim, int *out, cm_error *err)
{
    const char *letter = cm_json_string(order); /* "C" and "F": stores from before the final v3 */
    bool f = letter && strcmp(letter, "F") == 0;
    if (letter && !f && strcmp(letter, "C") != 0)
        return cm_error_set(err, CM_EDATA, "codec transpose: order \"%s\"", letter);
    if (!letter && (!cm_json_is(order, CM_JSON_ARRAY) || cm_json_count(order) != (size_t)ndim))
        return cm_error_set(err, CM_EDATA, "codec transpose: order is not a list of %d axes", ndim);
    bool seen[CM_MAX_DIMS] = {false};
    for (int i = 0; i < ndim; i++) {
        int64_t axis = f ? ndim - 1 - i : i;
        if (!letter && !cm_json_int64(cm_json_at(order, (size_t)i), &axis))
            axis = -1;
        if (axis < 0 || axis >= ndim || seen[axis])
            return cm_error_set(err, CM_EDATA, "codec transpose: order is no permutation of 0..%d",
                                ndim - 1);
        seen[axis] = true;
        out[i] = (int)axis;
    }
    return 0;
}

static int add_transpose(walk *w, const entry *e, cm_error *err)
{
    int second[CM_MAX_DIMS], first[CM_MAX_DIMS];
    int r = known_members(e, (const char *const[]){"order", NULL}, err);
    if (!r)
        r = read_order(cm_json_get(e->config, "order"), w->form.ndim, second, err);
    if (r)
        return r;
    cm_chain *c = w->chain;
    if (w->staged) {
        cm_codec *codec;
        r = cm_codec_new_transpose(second, &w->form, &codec, err);
        return r ? r : cm_chain_append(c, codec, err);
    }
    memcpy(first, c->order, sizeof first);
    c->transposed = false;
    for (int i = 0; i < w->ndim; i++) {
        c->order[i] = first[second[i]];
        w->form.shape[i] = c->shape[c->order[i]];
        c->transposed |= c->order[i] != i;
    }
    return 0;
}

static int set_bytes(walk *w, const entry *e, cm_error *err)
{
    const char *endian = NULL;
    const cm_config_field field = {.key = "endian", .string = &endian, .null_allowed = true};
    int r = cm_config_read(e->config, CM_ZARR3, "bytes", &field, 1, err);
    if (r)
        return r;
    cm_chain *c = w->chain;
    char name[CM_DTYPE_NAME];
    uint32_t word = cm_dtype_word(w->form.dtype);
    if (cm_kind_is_vlen(w->form.dtype.kind))
        return cm_error_set(err, CM_EDATA, "codec bytes cannot hold variable-length %s",
                            w->dtype.kind == CM_STRING ? "strings: vlen-utf8 can"
                                                       : "bytes: vlen-bytes can");
    if (endian && strcmp(endian, "little") != 0 && strcmp(endian, "big") != 0)
        return cm_error_set(err, CM_EDATA, "codec bytes: endian \"%s\" is not little or big",
                            endian);
    if (!endian && word > 1)
        return cm_error_set(err, CM_EDATA, "codec bytes: endian is missing for %s",
                            cm_dtype_name(w->form.dtype, name, sizeof name));
    bool big = endian && strcmp(endian, "big") == 0;
    if (!w->valued) {
        c->endian_given = endian != NULL;
        c->big_endian = big;
        return 0;
    }
    /* The cells are the filters' matter; what these made is swapped by a stage of its own. */
    c->endian_given = cm_dtype_word(w->dtype) > 1;
    cm_codec *swap;
    if (!big || word < 2)
        return 0;
    r = cm_codec_new_byteswap(word, &swap, err);
    return r ? r : cm_chain_append(c, swap, err);
}

static int set_vlen(walk *w, const entry *e, cm_error *err)
{
    bool bytes = strstr(e->name, "vlen-bytes") != NULL;
    int r = cm_config_read(e->config, CM_ZARR3, e->name, NULL, 0, err);
    if (r)
        return r;
    char name[CM_DTYPE_NAME];
    if (w->form.dtype.kind != (bytes ? CM_VBYTES : CM_STRING))
        return cm_error_set(err, CM_EDATA, "codec %s cannot hold %s", e->name,
                            cm_dtype_name(w->form.dtype, name, sizeof name));
    w->chain->a2b = CM_A2B_VLEN;
    w->chain->endian_given = false;
    w->chain->stored_size = 0;
    return 0;
}

static int read_chunk_shape(const walk *w, const cm_json *shape, int64_t *inner, int64_t *count,
                            cm_error *err)
{
    if (!cm_json_is(shape, CM_JSON_ARRAY) || cm_json_count(shape) != (size_t)w->ndim)
        return cm_error_set(err, CM_EDATA,
                            "codec sharding_indexed: chunk_shape is not a list of %d lengths",
                            w->ndim);
    for (int i = 0; i < w->ndim; i++) {
        if (!cm_json_int64(cm_json_at(shape, (size_t)i), &inner[i]) || inner[i] < 1)
            return cm_error_set(err, CM_EDATA,
                                "codec sharding_indexed: bad chunk length along axis %d", i);
        if (w->form.shape[i] % inner[i])
            return cm_error_set(err, CM_EDATA,
                                "codec sharding_indexed: chunk length %" PRId64
                                " does not divide the shard's %" PRId64 " along axis %d",
                                inner[i], w->form.shape[i], i);
        count[i] = w->form.shape[i] / inner[i];
    }
    return 0;
}

/* The index is an array of shape counts + [2], along the stored axes; its size must follow from its
 * shape. */
static int parse_index(walk *w, const cm_json *codecs, const int64_t *count, const int *order,
                       cm_error *err)
{
    int n = w->ndim, axes[CM_MAX_DIMS];
    int64_t shape[CM_MAX_DIMS];
    if (n + 1 > CM_MAX_DIMS)
        return cm_error_set(err, CM_EUNSUP, "codec sharding_indexed: an array of %d dimensions", n);
    for (int i = 0; i < n; i++) {
        axes[i] = order[i];
        shape[order[i]] = count[i];
    }
    axes[n] = n;
    shape[n] = 2;
    int r = parse_codecs(codecs, cm_dtype_of(CM_UINT64, 0), n + 1, shape, axes, w->depth + 1,
                         &w->chain->index, err);
    if (r) {
        cm_error_prefix(err, "index_codecs");
        return r;
    }
    const cm_chain *index = w->chain->index;
    if (index->a2b != CM_A2B_BYTES || cm_chain_fixed_nbytes(index) == 0)
        return cm_error_set(err, CM_EDATA,
                            "codec sharding_indexed: index_codecs are not of fixed size");
    return 0;
}

static int set_sharding(walk *w, const entry *e, cm_error *err)
{
    static const char *const keys[] = {"chunk_shape", "codecs", "index_codecs", "index_location",
                                       NULL};
    if (w->depth >= DEPTH_MAX)
        return cm_error_set(err, CM_EUNSUP, "codec sharding_indexed: nested more than %d deep",
                            DEPTH_MAX);
    if (w->staged) {
        cm_error_set(err, CM_EUNSUP, "codec sharding_indexed after %s",
                     w->chain->stages[w->chain->nstages - 1]->cls->name);
        cm_error_hint(err, "such a shard must be decoded whole for each chunk: rewrite the array");
        return CM_EUNSUP;
    }
    int64_t stored[CM_MAX_DIMS], inner[CM_MAX_DIMS], count[CM_MAX_DIMS];
    int order[CM_MAX_DIMS];
    int r = known_members(e, keys, err);
    if (!r)
        r = read_chunk_shape(w, cm_json_get(e->config, "chunk_shape"), stored, count, err);
    if (r)
        return r;
    cm_chain *c = w->chain;
    c->a2b = CM_A2B_SHARDING;
    for (int i = 0; i < w->ndim;
         i++) { /* the axes' order is now that of the chunks and the index */
        order[i] = c->order[i];
        inner[order[i]] = stored[i];
        c->order[i] = i;
    }
    c->transposed = false;
    const cm_json *location = cm_json_get(e->config, "index_location");
    const char *where = location ? cm_json_string(location) : "end";
    if (!where || (strcmp(where, "start") != 0 && strcmp(where, "end") != 0))
        return cm_error_set(err, CM_EDATA,
                            "codec sharding_indexed: index_location is not start or end");
    c->index_at_start = strcmp(where, "start") == 0;
    r = parse_codecs(cm_json_get(e->config, "codecs"), w->dtype, w->ndim, inner, order,
                     w->depth + 1, &c->inner, err);
    return r ? r : parse_index(w, cm_json_get(e->config, "index_codecs"), count, order, err);
}

/* ---- the list -------------------------------------------------------------------------------- */

static int add_stage(walk *w, const entry *e, const cm_codec_class *cls, cm_error *err)
{
    bool numcodecs = strncmp(e->name, "numcodecs.", 10) == 0;
    cm_array_form cells = {.dtype = w->dtype, .ndim = -1};
    cm_codec *codec;
    if (!cls->filter) {
        int r =
            cm_codec_parse(cls, e->config, numcodecs ? CM_ZARR2 : CM_ZARR3, &cells, &codec, err);
        return r ? r : cm_chain_append(w->chain, codec, err);
    }
    bool vlen = cm_kind_is_vlen(w->form.dtype.kind);
    int r = cm_codec_parse(cls, e->config, CM_ZARR3, &w->form, &codec, err);
    if (r)
        return r;
    int flags = cls->filter(codec, &w->form);
    w->staged = true;
    w->valued |= !(flags & CM_FILTER_LAYOUT);
    w->have_bytes = flags & CM_FILTER_BYTES;
    if (vlen && ((flags & CM_FILTER_BYTES) || !cm_kind_is_vlen(w->form.dtype.kind))) {
        w->chain->a2b = CM_A2B_VLEN; /* the stage's matter, as these make them */
        w->chain->stored_size = 0;
        w->chain->endian_given = false;
    }
    return cm_chain_append(w->chain, codec, err);
}

static int add_entry(walk *w, const cm_json *v, cm_error *err)
{
    typedef int (*array_codec_fn)(walk *, const entry *, cm_error *);
    static const struct {
        const char *name;
        array_codec_fn add;
        bool makes_bytes;
    } array_codecs[] = {
        {"transpose", add_transpose, false},
        {"bytes", set_bytes, true},
        {"vlen-utf8", set_vlen, true},
        {"vlen-bytes", set_vlen, true},
        {"numcodecs.vlen-utf8", set_vlen, true},
        {"numcodecs.vlen-bytes", set_vlen, true},
        {"sharding_indexed", set_sharding, true},
    };
    entry e;
    int r = read_entry(v, &e, err);
    if (r)
        return r;
    for (size_t i = 0; i < sizeof array_codecs / sizeof array_codecs[0]; i++) {
        if (strcmp(array_codecs[i].name, e.name) != 0)
            continue;
        if (w->have_bytes)
            return cm_error_set(err, CM_EDATA,
                                "codec %s takes an array, but an earlier codec made bytes of it",
                                e.name);
        w->have_bytes = array_codecs[i].makes_bytes;
        return array_codecs[i].add(w, &e, err);
    }
    const cm_codec_class *cls = cm_codec_class_named(e.name, CM_ZARR3);
    if (!cls)
        return e.optional ? 0 : cm_codec_unknown(e.name, CM_ZARR3, "codec", err);
    if (cls->filter && w->have_bytes)
        return cm_error_set(err, CM_EDATA,
                            "codec %s takes an array, but an earlier codec made bytes of it",
                            e.name);
    if (!w->have_bytes && !cls->filter)
        return cm_error_set(err, CM_EDATA, "codec %s takes bytes, but none made bytes before it",
                            e.name);
    return add_stage(w, &e, cls, err);
}

/* order: NULL, or what the axes have been brought to before the first of these codecs. */
static int parse_codecs(const cm_json *codecs, cm_dtype dtype, int ndim, const int64_t *shape,
                        const int *order, int depth, cm_chain **out, cm_error *err)
{
    walk w = {.dtype = dtype, .ndim = ndim, .depth = depth};
    *out = NULL;
    if (!cm_json_is(codecs, CM_JSON_ARRAY))
        return cm_error_set(err, CM_EDATA, "codecs is missing or not a list");
    int r = cm_chain_alloc(dtype, ndim, shape, &w.chain, err);
    if (r)
        return r;
    w.form = (cm_array_form){.dtype = dtype, .ndim = ndim};
    for (int i = 0; i < ndim; i++) {
        w.chain->order[i] = order ? order[i] : i;
        w.chain->transposed |= w.chain->order[i] != i;
        w.form.shape[i] = shape[w.chain->order[i]];
    }
    for (size_t i = 0, n = cm_json_count(codecs); i < n && !r; i++)
        r = add_entry(&w, cm_json_at(codecs, i), err);
    if (!r && !w.have_bytes)
        r = cm_error_set(err, CM_EDATA, "codecs has no codec that makes bytes of an array");
    if (r)
        cm_chain_unref(w.chain);
    else
        *out = w.chain;
    return r;
}

int cm_chain_parse_v3(const cm_json *codecs, cm_dtype dtype, int ndim, const int64_t *shape,
                      cm_chain **out, cm_error *err)
{
    return parse_codecs(codecs, dtype, ndim, shape, NULL, 0, out, err);
}
