/* format/zarr/zarr_v3.c: the zarr.json of an array (zarr-specs v3.1 core, "Array metadata").
 *
 * Every member is either understood completely or refused by name: an unknown member may change
 * what the bytes mean, unless it is an object that says must_understand: false. Shape, names and
 * attributes are taken first, so that an array whose cells cannot be read is still described.
 */
#include <string.h>

#include "format/zarr/zarr_private.h"
#include "nd/copy.h"

/* What does not bear on the cells: format, type of node, attributes, names. */
static int parse_outside(const cm_json *document, cm_zarr_meta *m, cm_error *err)
{
    int64_t format;
    const cm_json *attributes = cm_json_get(document, "attributes");
    const cm_json *names = cm_json_get(document, "dimension_names");
    const char *type = cm_json_string(cm_json_get(document, "node_type"));
    if (!cm_json_int64(cm_json_get(document, "zarr_format"), &format) || format != 3)
        return cm_error_set(err, CM_EDATA, "\"zarr_format\" is not 3");
    if (!type || strcmp(type, "array") != 0)
        return cm_error_set(err, CM_EDATA, "\"node_type\" is not \"array\"");
    if (attributes && !cm_json_is(attributes, CM_JSON_OBJECT))
        return cm_error_set(err, CM_EDATA, "\"attributes\" is not an object");
    m->attributes = attributes;
    int r = cm_zarr_shape_parse(cm_json_get(document, "shape"), m, err);
    if (r || !names || cm_json_is(names, CM_JSON_NULL))
        return r;
    if (!cm_json_is(names, CM_JSON_ARRAY) || cm_json_count(names) != (size_t)m->ndim)
        return cm_error_set(err, CM_EDATA, "\"dimension_names\" is not an array of %d names",
                            m->ndim);
    for (size_t i = 0; i < cm_json_count(names); i++) {
        const cm_json *name = cm_json_at(names, i);
        if (!cm_json_is(name, CM_JSON_STRING) && !cm_json_is(name, CM_JSON_NULL))
            return cm_error_set(err, CM_EDATA,
                                "\"dimension_names\": element %zu is neither text nor null", i);
    }
    m->names = names;
    return 0;
}

static int check_members(const cm_json *document, cm_error *err)
{
    static const char *const known[] = {
        "zarr_format",        "node_type",  "shape",  "data_type",  "chunk_grid",
        "chunk_key_encoding", "fill_value", "codecs", "attributes", "storage_transformers",
        "dimension_names"};
    for (size_t i = 0; i < cm_json_count(document); i++) {
        const char *key = cm_json_key(document, i);
        const cm_json *must = cm_json_get(cm_json_at(document, i), "must_understand");
        bool found = cm_json_is(must, CM_JSON_BOOL) && !cm_json_bool(must, true);
        for (size_t k = 0; k < sizeof known / sizeof known[0] && !found; k++)
            found = !strcmp(key, known[k]);
        if (!found)
            return cm_error_set(err, CM_EUNSUP, "unknown member \"%.100s\"", key);
    }
    return 0;
}

static int check_config(const cm_json *config, const char *member, const char *known, cm_error *err)
{
    for (size_t i = 0; i < cm_json_count(config); i++)
        if (strcmp(cm_json_key(config, i), known) != 0)
            return cm_error_set(err, CM_EUNSUP, "\"%s\": unknown configuration member \"%.100s\"",
                                member, cm_json_key(config, i));
    return 0;
}

static int parse_grid(const cm_json *v, cm_zarr_meta *m, cm_error *err)
{
    const char *name;
    const cm_json *config;
    if (!v)
        return cm_error_set(err, CM_EDATA, "\"chunk_grid\" is missing");
    int r = cm_zarr_extension(v, "chunk_grid", &name, &config, err);
    if (r == 0 && strcmp(name, "rectilinear") == 0)
        return cm_zarr_grid_parse(config, m, err);
    if (r == 0 && strcmp(name, "regular") != 0)
        r = cm_error_set(err, CM_EUNSUP, "\"chunk_grid\": grids of type \"%.64s\" are not read",
                         name);
    if (r == 0)
        r = check_config(config, "chunk_grid", "chunk_shape", err);
    return r ? r : cm_zarr_chunk_parse(cm_json_get(config, "chunk_shape"), "chunk_shape", m, err);
}

static int parse_keys(const cm_json *v, cm_zarr_meta *m, cm_error *err)
{
    const char *name;
    const cm_json *config;
    if (!v)
        return cm_error_set(err, CM_EDATA, "\"chunk_key_encoding\" is missing");
    int r = cm_zarr_extension(v, "chunk_key_encoding", &name, &config, err);
    if (r == 0 && strcmp(name, "default") != 0 && strcmp(name, "v2") != 0)
        r = cm_error_set(err, CM_EUNSUP,
                         "\"chunk_key_encoding\": keys of type \"%.64s\" are not read", name);
    if (r == 0)
        r = check_config(config, "chunk_key_encoding", "separator", err);
    if (r)
        return r;
    m->default_keys = !strcmp(name, "default");
    m->separator = m->default_keys ? '/' : '.';
    const cm_json *separator = cm_json_get(config, "separator");
    const char *s = cm_json_string(separator);
    if (s && (!strcmp(s, "/") || !strcmp(s, ".")))
        m->separator = *s;
    else if (separator)
        return cm_error_set(err, CM_EDATA,
                            "\"chunk_key_encoding\": \"separator\" is neither \".\" nor \"/\"");
    return 0;
}

/* The byte order of a record's fields is the bytes codec's. zarr-python's "structured" neither
 * writes nor looks at it: a store of those that says "big" means nobody knows what. */
static int record_order(cm_zarr_meta *m, cm_error *err)
{
    const cm_chain *c = m->chain;
    while (c->a2b == CM_A2B_SHARDING)
        c = c->inner;
    if (!cm_record_swaps(m->type.dtype.record, !(__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)))
        return 0;
    if (!m->type.explicit_order && c->endian_given && c->big_endian)
        return cm_error_set(err, CM_EUNSUP, "codec bytes: big-endian cells of type \"structured\"");
    if (m->type.explicit_order && !c->endian_given)
        return cm_error_set(err, CM_EDATA, "codec bytes: endian is missing for \"struct\"");
    if (cm_record_swaps(m->type.dtype.record, c->big_endian))
        m->type.cells = CM_ZARR_SWAPPED;
    return 0;
}

/* The chain for chunks of m->chunk. */
static int make_chain(cm_zarr_meta *m, const void *codecs, cm_error *err)
{
    int r =
        cm_chain_parse_v3(codecs, cm_zarr_type_stored(&m->type), m->ndim, m->chunk, &m->chain, err);
    if (r == 0 && m->type.dtype.kind == CM_RECORD)
        r = record_order(m, err);
    if (r == 0 && m->type.cells != CM_ZARR_PLAIN)
        r = cm_zarr_text_chain(m, 3, err);
    return r;
}

int cm_zarr_meta_parse_v3(const cm_json *document, cm_zarr_meta *out, cm_error *err)
{
    int r = parse_outside(document, out, err);
    if (r == 0)
        r = check_members(document, err);
    if (r)
        return r;
    const cm_json *data_type = cm_json_get(document, "data_type");
    const cm_json *codecs = cm_json_get(document, "codecs");
    const cm_json *transformers = cm_json_get(document, "storage_transformers");
    if (!data_type)
        return cm_error_set(err, CM_EDATA, "\"data_type\" is missing");
    if ((r = cm_zarr_type_parse_v3(data_type, &out->type, err)) ||
        (r = parse_grid(cm_json_get(document, "chunk_grid"), out, err)) ||
        (r = parse_keys(cm_json_get(document, "chunk_key_encoding"), out, err)))
        return r;
    if (transformers && (!cm_json_is(transformers, CM_JSON_ARRAY) || cm_json_count(transformers)))
        return cm_error_set(err, CM_EUNSUP, "\"storage_transformers\" is not an empty array");
    const cm_json *fill = cm_json_get(document, "fill_value");
    if (!fill)
        return cm_error_set(err, CM_EDATA, "\"fill_value\" is missing");
    r = cm_zarr_meta_fill(fill, 3, out, err);
    if (r)
        return r;
    if (!cm_json_is(codecs, CM_JSON_ARRAY))
        return cm_error_set(err, CM_EDATA, "\"codecs\" is %s", codecs ? "not an array" : "missing");
    r = out->grid ? cm_zarr_grid_chains(out, make_chain, codecs, err)
                  : make_chain(out, codecs, err);
    if (r)
        cm_error_prefix(err, "\"codecs\"");
    return r;
}
