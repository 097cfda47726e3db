/* format/netcdf3/nc3_header.c: the header of a NetCDF-3 file.
 *
 *     'C' 'D' 'F' version | number of records | dimensions | attributes | variables
 *
 * Each of the three lists is a tag, a count and that many items; an absent list is two zeros.
 * Everything is big-endian. Counts and sizes are 4 bytes in CDF-1 and CDF-2 and 8 bytes in CDF-5;
 * file offsets of variables are 4 bytes in CDF-1 and 8 in the others. Names and attribute values
 * are padded to 4 bytes; as netCDF-C does, nobody looks at what the padding holds.
 *
 * The length of the header is written nowhere, so it is read in growing steps while it is parsed,
 * and kept as read: names and values are remembered as offsets into it. Nothing is allocated on the
 * word of a count: a count must fit into what is left of the file, lists grow as items come, and
 * there are hard limits. Names are compared by sorting, so that a hostile file cannot make it slow.
 *
 * vsize, the size that the header gives for a variable, is read over: it is redundant, saturates at
 * 2^32 - 1, and has been wrong in files of several writers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/netcdf3/nc3.h"

enum { TAG_ABSENT = 0, TAG_DIMENSION = 10, TAG_VARIABLE = 11, TAG_ATTRIBUTE = 12 };
enum { FIRST_READ = 64 << 10 };

typedef struct cm_nc3_reader {
    cm_nc3_header *h;
    cm_store *store;
    const char *key;
    cm_object_version version;
    size_t pos;
} reader;

static const struct {
    const char *name;
    uint32_t size;
} types[] = {{"NC_NAT", 0},    {"NC_BYTE", 1},  {"NC_CHAR", 1},   {"NC_SHORT", 2},
             {"NC_INT", 4},    {"NC_FLOAT", 4}, {"NC_DOUBLE", 8}, {"NC_UBYTE", 1},
             {"NC_USHORT", 2}, {"NC_UINT", 4},  {"NC_INT64", 8},  {"NC_UINT64", 8}};

uint32_t cm_nc3_type_size(uint32_t type)
{
    return types[type].size;
}

const char *cm_nc3_type_name(uint32_t type)
{
    return types[type].name;
}

const char *cm_nc3_name_text(const cm_nc3_header *h, cm_nc3_name name, char *buf, size_t size)
{
    int n = name.nbytes < size ? (int)name.nbytes : (int)size - 1;
    snprintf(buf, size, "%.*s", n, (const char *)h->bytes.data + name.offset);
    return buf;
}

/* ---- the stream ------------------------------------------------------------------------------ */

/* Have the nbytes at pos in memory. */
static int need(reader *r, uint64_t nbytes, cm_error *err)
{
    cm_buffer *b = &r->h->bytes;
    if (nbytes > r->version.size - r->pos)
        return cm_error_set(err, CM_EDATA,
                            "the file ends inside its NetCDF-3 header: %llu bytes are needed at "
                            "offset %zu, it has %llu",
                            (unsigned long long)nbytes, r->pos,
                            (unsigned long long)r->version.size);
    if (nbytes > CM_NC3_MAX_HEADER - r->pos)
        return cm_error_set(err, CM_ELIMIT, "the NetCDF-3 header is longer than %d bytes",
                            CM_NC3_MAX_HEADER);
    size_t end = r->pos + (size_t)nbytes;
    if (end <= b->nbytes)
        return 0;
    uint64_t want = b->nbytes < FIRST_READ / 2 ? FIRST_READ : 2 * (uint64_t)b->nbytes;
    if (want < end)
        want = end;
    if (want > r->version.size)
        want = r->version.size;
    if (want > CM_NC3_MAX_HEADER)
        want = CM_NC3_MAX_HEADER;
    size_t more = (size_t)want - b->nbytes;
    int ret = cm_buffer_reserve(b, more, err);
    if (ret)
        return ret;
    cm_range range = {.offset = b->nbytes, .nbytes = more, .dst = b->data + b->nbytes};
    ret = r->store->vt->get(r->store, r->key, &range, 1, &r->version, err);
    if (ret == 0)
        b->nbytes += more;
    return ret;
}

static int get_u32(reader *r, uint32_t *out, cm_error *err)
{
    int ret = need(r, 4, err);
    if (ret)
        return ret;
    *out = cm_load_be32(r->h->bytes.data + r->pos);
    r->pos += 4;
    return 0;
}

static int get_u64(reader *r, uint64_t *out, cm_error *err)
{
    int ret = need(r, 8, err);
    if (ret)
        return ret;
    *out = cm_load_be64(r->h->bytes.data + r->pos);
    r->pos += 8;
    return 0;
}

/* A NON_NEG of the grammar. */
static int get_size(reader *r, uint64_t *out, cm_error *err)
{
    if (r->h->version == 5)
        return get_u64(r, out, err);
    uint32_t v = 0;
    int ret = get_u32(r, &v, err);
    *out = v;
    return ret;
}

/* A count of items that take item_nbytes or more each in the file. */
static int get_count(reader *r, const char *what, uint64_t item_nbytes, uint64_t max, size_t *out,
                     cm_error *err)
{
    uint64_t n = 0;
    size_t at = r->pos;
    int ret = get_size(r, &n, err);
    if (ret)
        return ret;
    if (n > (r->version.size - r->pos) / item_nbytes)
        return cm_error_set(err, CM_EDATA, "offset %zu: %llu %s cannot fit into the file", at,
                            (unsigned long long)n, what);
    if (n > max)
        return cm_error_set(err, CM_ELIMIT, "offset %zu: %llu %s, at most %llu are read", at,
                            (unsigned long long)n, what, (unsigned long long)max);
    *out = (size_t)n;
    return 0;
}

/* Bytes with their padding: where they are. */
static int get_padded(reader *r, size_t nbytes, size_t *offset, cm_error *err)
{
    int ret = need(r, nbytes, err);
    if (ret)
        return ret;
    *offset = r->pos;
    /* A header may end the file without the padding of its last name or value. */
    uint64_t padded = ((uint64_t)nbytes + 3) & ~(uint64_t)3, left = r->version.size - r->pos;
    r->pos += (size_t)(padded < left ? padded : left);
    return 0;
}

static int get_name(reader *r, const char *what, cm_nc3_name *out, cm_error *err)
{
    size_t at = r->pos;
    int ret = get_count(r, "bytes of a name", 1, CM_NC3_MAX_HEADER, &out->nbytes, err);
    if (ret == 0)
        ret = get_padded(r, out->nbytes, &out->offset, err);
    if (ret)
        return ret;
    const uint8_t *s = r->h->bytes.data + out->offset;
    while (out->nbytes && s[out->nbytes - 1] == 0)
        out->nbytes--;
    if (out->nbytes == 0)
        return cm_error_set(err, CM_EDATA, "offset %zu: %s has an empty name", at, what);
    if (memchr(s, 0, out->nbytes))
        return cm_error_set(err, CM_EDATA, "offset %zu: the name of %s has a NUL inside", at, what);
    return 0;
}

static int get_type(reader *r, uint32_t *out, cm_error *err)
{
    size_t at = r->pos;
    int ret = get_u32(r, out, err);
    if (ret)
        return ret;
    uint32_t last = r->h->version == 5 ? CM_NC3_UINT64 : CM_NC3_DOUBLE;
    if (*out < CM_NC3_BYTE || *out > last)
        return cm_error_set(err, CM_EDATA, "offset %zu: %u is not a type of CDF-%d", at, *out,
                            r->h->version);
    return 0;
}

/* The tag and count of a list. */
static int get_list(reader *r, uint32_t tag, const char *what, uint64_t item_nbytes, size_t *count,
                    cm_error *err)
{
    uint32_t found = 0;
    size_t at = r->pos;
    int ret = get_u32(r, &found, err);
    if (ret == 0)
        ret = get_count(r, what, item_nbytes, CM_NC3_MAX_ITEMS, count, err);
    if (ret)
        return ret;
    /* As netCDF-C, any tag is taken before an empty list. */
    if (found != tag && *count != 0)
        return cm_error_set(err, CM_EDATA, "offset %zu: the tag of the list of %s is %u, not %u",
                            at, what, found, tag);
    return 0;
}

/* ---- names are unique ------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b, void *data)
{
    const cm_nc3_name *x = a, *y = b;
    size_t n = x->nbytes < y->nbytes ? x->nbytes : y->nbytes;
    int c = memcmp((const char *)data + x->offset, (const char *)data + y->offset, n);
    if (c)
        return c;
    return (x->nbytes > y->nbytes) - (x->nbytes < y->nbytes);
}

/* items: n structs of `size` bytes that begin with their cm_nc3_name. */
static int check_unique(const cm_nc3_header *h, const char *what, const void *items, size_t n,
                        size_t size, cm_error *err)
{
    if (n < 2)
        return 0;
    cm_nc3_name *names = cm_calloc(n, sizeof *names, err);
    if (!names)
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        memcpy(&names[i], (const char *)items + i * size, sizeof names[i]);
    qsort_r(names, n, sizeof *names, compare_names, h->bytes.data);
    int ret = 0;
    for (size_t i = 1; i < n && ret == 0; i++)
        if (compare_names(&names[i - 1], &names[i], h->bytes.data) == 0) {
            char text[256];
            ret = cm_error_set(err, CM_EDATA, "two %s are called %s", what,
                               cm_nc3_name_text(h, names[i], text, sizeof text));
        }
    free(names);
    return ret;
}

/* ---- the lists ------------------------------------------------------------------------------- */

static int read_dimensions(reader *r, cm_error *err)
{
    cm_nc3_header *h = r->h;
    size_t n = 0, word = h->version == 5 ? 8 : 4;
    int ret = get_list(r, TAG_DIMENSION, "dimensions", 2 * word, &n, err);
    h->record_dimension = -1;
    for (size_t i = 0; i < n && ret == 0; i++) {
        cm_nc3_dimension d = {.length = 0};
        uint64_t length = 0;
        ret = get_name(r, "a dimension", &d.name, err);
        if (ret == 0)
            ret = get_size(r, &length, err);
        if (ret == 0)
            ret = cm_grow(&h->dimensions, &h->dimensions_capacity, i + 1, sizeof d, err);
        if (ret)
            break;
        char text[256], other[256];
        if (length > INT64_MAX)
            ret = cm_error_set(err, CM_EDATA, "dimension %s has a negative length",
                               cm_nc3_name_text(h, d.name, text, sizeof text));
        else if (length == 0 && h->record_dimension >= 0)
            ret = cm_error_set(
                err, CM_EDATA, "there are two unlimited dimensions, %s and %s",
                cm_nc3_name_text(h, h->dimensions[h->record_dimension].name, other, sizeof other),
                cm_nc3_name_text(h, d.name, text, sizeof text));
        else if (length == 0)
            h->record_dimension = (int64_t)i;
        d.length = (int64_t)length;
        h->dimensions[i] = d;
        h->ndimensions = i + 1;
    }
    if (ret == 0)
        ret = check_unique(h, "dimensions", h->dimensions, h->ndimensions, sizeof *h->dimensions,
                           err);
    return ret;
}

static int read_attributes(reader *r, cm_nc3_attributes *list, cm_error *err)
{
    cm_nc3_header *h = r->h;
    size_t n = 0, word = h->version == 5 ? 8 : 4;
    int ret = get_list(r, TAG_ATTRIBUTE, "attributes", 2 * word + 4, &n, err);
    for (size_t i = 0; i < n && ret == 0; i++) {
        cm_nc3_attribute a = {.type = 0};
        ret = get_name(r, "an attribute", &a.name, err);
        if (ret == 0)
            ret = get_type(r, &a.type, err);
        if (ret == 0)
            ret = get_count(r, "values of an attribute", cm_nc3_type_size(a.type),
                            CM_NC3_MAX_HEADER, &a.nelem, err);
        if (ret == 0)
            ret = get_padded(r, a.nelem * cm_nc3_type_size(a.type), &a.offset, err);
        if (ret == 0)
            ret = cm_grow(&list->items, &list->capacity, i + 1, sizeof a, err);
        if (ret == 0) {
            list->items[i] = a;
            list->count = i + 1;
        }
    }
    if (ret == 0)
        ret = check_unique(h, "attributes of one variable", list->items, list->count,
                           sizeof *list->items, err);
    return ret;
}

static int read_dimids(reader *r, cm_nc3_variable *v, cm_error *err)
{
    cm_nc3_header *h = r->h;
    size_t word = h->version == 5 ? 8 : 4;
    int ret =
        get_count(r, "dimensions of a variable", word, CM_NC3_MAX_VARIABLE_DIMS, &v->ndim, err);
    v->dimids = r->pos;
    for (size_t i = 0; i < v->ndim && ret == 0; i++) {
        uint64_t id = 0;
        ret = get_size(r, &id, err);
        if (ret)
            break;
        char text[256];
        if (id >= h->ndimensions)
            ret = cm_error_set(err, CM_EDATA, "variable %s: there is no dimension number %llu",
                               cm_nc3_name_text(h, v->name, text, sizeof text),
                               (unsigned long long)id);
        else if (i > 0 && (int64_t)id == h->record_dimension)
            ret = cm_error_set(err, CM_EDATA,
                               "variable %s: the unlimited dimension is number %zu, it can only be "
                               "the first",
                               cm_nc3_name_text(h, v->name, text, sizeof text), i + 1);
    }
    return ret;
}

size_t cm_nc3_dimid(const cm_nc3_header *h, const cm_nc3_variable *v, size_t i)
{
    const uint8_t *p = h->bytes.data + v->dimids;
    return h->version == 5 ? (size_t)cm_load_be64(p + 8 * i) : cm_load_be32(p + 4 * i);
}

static int read_variable(reader *r, cm_nc3_variable *v, cm_error *err)
{
    int ret = get_name(r, "a variable", &v->name, err);
    if (ret == 0)
        ret = read_dimids(r, v, err);
    if (ret == 0)
        ret = read_attributes(r, &v->attributes, err);
    if (ret == 0)
        ret = get_type(r, &v->type, err);
    uint64_t vsize;
    if (ret == 0)
        ret = get_size(r, &vsize, err);
    if (ret)
        return ret;
    if (r->h->version != 1)
        return get_u64(r, &v->begin, err);
    uint32_t begin = 0; /* unsigned, as netCDF-C reads it: offsets up to 4 GiB are in use */
    ret = get_u32(r, &begin, err);
    v->begin = begin;
    return ret;
}

static int read_variables(reader *r, cm_error *err)
{
    cm_nc3_header *h = r->h;
    size_t n = 0, word = h->version == 5 ? 8 : 4;
    int ret = get_list(r, TAG_VARIABLE, "variables", 4 * word + 12, &n, err);
    for (size_t i = 0; i < n && ret == 0; i++) {
        ret = cm_grow(&h->variables, &h->variables_capacity, i + 1, sizeof *h->variables, err);
        if (ret == 0) {
            h->variables[i] = (cm_nc3_variable){.type = 0};
            h->nvariables = i + 1; /* before reading, so that deinit frees its attributes */
            ret = read_variable(r, &h->variables[i], err);
        }
    }
    if (ret == 0)
        ret = check_unique(h, "variables", h->variables, h->nvariables, sizeof *h->variables, err);
    return ret;
}

static int read_magic(reader *r, cm_error *err)
{
    int ret = need(r, 4, err);
    if (ret)
        return ret;
    const uint8_t *p = r->h->bytes.data;
    if (memcmp(p, "CDF", 3) != 0)
        return cm_error_set(err, CM_EDATA, "not a NetCDF-3 file: it does not begin with CDF");
    if (p[3] != 1 && p[3] != 2 && p[3] != 5)
        return cm_error_set(err, CM_EUNSUP, "CDF version %d: versions 1, 2 and 5 are read", p[3]);
    r->h->version = p[3];
    r->pos = 4;
    return 0;
}

static int read_nrecords(reader *r, cm_error *err)
{
    cm_nc3_header *h = r->h;
    uint64_t n = 0;
    int ret = get_size(r, &n, err);
    if (ret)
        return ret;
    h->streaming = n == (h->version == 5 ? UINT64_MAX : UINT32_MAX);
    if (!h->streaming && n > INT64_MAX)
        return cm_error_set(err, CM_EDATA, "the number of records is negative");
    h->nrecords = h->streaming ? 0 : (int64_t)n;
    return 0;
}

int cm_nc3_header_read(cm_nc3_header *h, cm_store *store, const char *key,
                       const cm_object_version *version, cm_error *err)
{
    *h = (cm_nc3_header){.record_dimension = -1};
    cm_buffer_init(&h->bytes, CM_NC3_MAX_HEADER);
    reader r = {.h = h, .store = store, .key = key, .version = *version};
    int ret = read_magic(&r, err);
    if (ret == 0)
        ret = read_nrecords(&r, err);
    if (ret == 0)
        ret = read_dimensions(&r, err);
    if (ret == 0)
        ret = read_attributes(&r, &h->attributes, err);
    if (ret == 0)
        ret = read_variables(&r, err);
    h->nbytes = r.pos;
    return ret;
}

void cm_nc3_header_deinit(cm_nc3_header *h)
{
    for (size_t i = 0; i < h->nvariables; i++)
        free(h->variables[i].attributes.items);
    free(h->variables);
    free(h->attributes.items);
    free(h->dimensions);
    cm_buffer_deinit(&h->bytes);
    *h = (cm_nc3_header){.record_dimension = -1};
}
