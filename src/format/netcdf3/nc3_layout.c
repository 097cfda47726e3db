/* format/netcdf3/nc3_layout.c: where the cells of a NetCDF-3 file lie.
 *
 *     header | fixed variables | record 0 | record 1 | ...
 *     record = slab of the first record variable, pad, slab of the second, pad, ...
 *
 * A fixed variable is one run of cells at its offset. A record variable has one slab in every
 * record; records are record_nbytes apart: the sum of all slabs, each rounded up to 4 bytes. One
 * exception: with exactly one record variable there is no rounding. All of this is computed from
 * the shapes in 64 bits; the sizes that the header states are not used (see nc3_header.c).
 *
 * The number of records may have been left open (a writer that streams); then it is the number of
 * whole records in the file.
 *
 * A variable's offset is the only thing that says where it is, and a wrong one would read as
 * plausible numbers. So no two variables may share a byte: slabs are sorted by offset and
 * neighbours compared, within one record for record variables. netCDF-C demands more (definition
 * order), which PnetCDF's files do not always keep.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/netcdf3/nc3.h"

static int fail(const cm_nc3_header *h, const cm_nc3_variable *v, const char *what, cm_error *err)
{
    char name[256];
    return cm_error_set(err, CM_EDATA, "variable %s %s",
                        cm_nc3_name_text(h, v->name, name, sizeof name), what);
}

static int size_variable(const cm_nc3_header *h, cm_nc3_variable *v, cm_error *err)
{
    v->record = v->ndim > 0 && (int64_t)cm_nc3_dimid(h, v, 0) == h->record_dimension;
    v->slab_nbytes = cm_nc3_type_size(v->type);
    for (size_t i = v->record; i < v->ndim; i++) {
        uint64_t length = (uint64_t)h->dimensions[cm_nc3_dimid(h, v, i)].length;
        if (!cm_mul_u64(v->slab_nbytes, length, &v->slab_nbytes) || v->slab_nbytes > INT64_MAX - 3)
            return fail(h, v, "is larger than 2^63 bytes", err);
    }
    return 0;
}

static int size_record(cm_nc3_header *h, cm_error *err)
{
    size_t n = 0;
    uint64_t exact = 0, padded = 0;
    for (size_t i = 0; i < h->nvariables; i++) {
        const cm_nc3_variable *v = &h->variables[i];
        if (!v->record)
            continue;
        n++;
        exact = v->slab_nbytes;
        if (!cm_add_u64(padded, (v->slab_nbytes + 3) & ~(uint64_t)3, &padded) || padded > INT64_MAX)
            return fail(h, v, "makes a record larger than 2^63 bytes", err);
    }
    h->record_nbytes = n == 1 ? exact : padded;
    return 0;
}

/* Whole records in a file of that length: those whose last slab is there. */
static int64_t count_records(const cm_nc3_header *h, uint64_t file_nbytes)
{
    bool any = false;
    uint64_t n = INT64_MAX;
    for (size_t i = 0; i < h->nvariables; i++) {
        const cm_nc3_variable *v = &h->variables[i];
        if (!v->record)
            continue;
        any = true;
        uint64_t m = 0;
        if (v->begin <= file_nbytes && v->slab_nbytes <= file_nbytes - v->begin)
            m = (file_nbytes - v->begin - v->slab_nbytes) / h->record_nbytes + 1;
        n = m < n ? m : n;
    }
    return any ? (int64_t)n : 0;
}

/* First byte after the last cell of v. */
static int end_of(const cm_nc3_header *h, const cm_nc3_variable *v, uint64_t *out, cm_error *err)
{
    uint64_t n = v->slab_nbytes, before = 0;
    if (v->record && h->nrecords == 0)
        n = 0;
    else if (v->record && !cm_mul_u64((uint64_t)h->nrecords - 1, h->record_nbytes, &before))
        return fail(h, v, "ends beyond 2^63 bytes", err);
    if (!cm_add_u64(n, before, &n) || !cm_add_u64(n, v->begin, &n) || n > INT64_MAX)
        return fail(h, v, "ends beyond 2^63 bytes", err);
    *out = n;
    return 0;
}

static int compare_begins(const void *a, const void *b)
{
    const cm_nc3_variable *x = *(cm_nc3_variable *const *)a, *y = *(cm_nc3_variable *const *)b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static int overlap(const cm_nc3_header *h, const cm_nc3_variable *a, const cm_nc3_variable *b,
                   cm_error *err)
{
    char name[256], other[256];
    return cm_error_set(err, CM_EDATA, "variables %s and %s lie over each other",
                        cm_nc3_name_text(h, a->name, name, sizeof name),
                        cm_nc3_name_text(h, b->name, other, sizeof other));
}

/* sorted: pointers to all variables in the order of their offsets. */
static int check_order(const cm_nc3_header *h, cm_nc3_variable **sorted, cm_error *err)
{
    const cm_nc3_variable *fixed = NULL, *record = NULL, *first = NULL;
    int ret = 0;
    for (size_t i = 0; i < h->nvariables && ret == 0; i++) {
        const cm_nc3_variable *v = sorted[i];
        if (v->record && h->nrecords == 0)
            continue; /* no cells anywhere */
        if (v->begin < h->nbytes)
            ret = fail(h, v, "lies in the header", err);
        else if (v->record && record && v->begin - record->begin < record->slab_nbytes)
            ret = overlap(h, record, v, err);
        else if (!v->record && fixed && v->begin - fixed->begin < fixed->slab_nbytes)
            ret = overlap(h, fixed, v, err);
        if (v->record && !first)
            first = v;
        *(v->record ? &record : &fixed) = v;
    }
    /* The last slab of a record ends before the first one of the next. */
    if (ret == 0 && record && record->begin + record->slab_nbytes - first->begin > h->record_nbytes)
        ret = overlap(h, record, first, err);
    return ret;
}

/* No fixed variable among the records. */
static int check_regions(const cm_nc3_header *h, cm_nc3_variable **sorted, cm_error *err)
{
    const cm_nc3_variable *first = NULL;
    uint64_t records_end = 0, end = 0;
    int ret = 0;
    for (size_t i = 0; i < h->nvariables && ret == 0; i++) {
        if (!sorted[i]->record || h->nrecords == 0)
            continue;
        if (!first)
            first = sorted[i];
        ret = end_of(h, sorted[i], &end, err);
        if (end > records_end)
            records_end = end;
    }
    for (size_t i = 0; i < h->nvariables && ret == 0 && first; i++)
        if (!sorted[i]->record && sorted[i]->begin < records_end &&
            sorted[i]->begin + sorted[i]->slab_nbytes > first->begin)
            ret = overlap(h, sorted[i], first, err);
    return ret;
}

int cm_nc3_layout(cm_nc3_header *h, uint64_t file_nbytes, cm_error *err)
{
    int ret = 0;
    for (size_t i = 0; i < h->nvariables && ret == 0; i++)
        ret = size_variable(h, &h->variables[i], err);
    if (ret == 0)
        ret = size_record(h, err);
    if (ret)
        return ret;
    if (h->streaming)
        h->nrecords = count_records(h, file_nbytes);
    for (size_t i = 0; i < h->nvariables && ret == 0; i++) {
        uint64_t end = 0;
        ret = end_of(h, &h->variables[i], &end, err);
        if (h->variables[i].record && h->nrecords == 0)
            continue; /* nothing of it is there: netCDF-C's files end before its begin */
        if (end > h->needed_nbytes)
            h->needed_nbytes = end;
    }
    if (ret)
        return ret;
    cm_nc3_variable **sorted = cm_calloc(h->nvariables, sizeof *sorted, err);
    if (!sorted)
        return CM_ENOMEM;
    for (size_t i = 0; i < h->nvariables; i++)
        sorted[i] = &h->variables[i];
    qsort(sorted, h->nvariables, sizeof(*sorted), compare_begins);
    ret = check_order(h, sorted, err);
    if (ret == 0)
        ret = check_regions(h, sorted, err);
    free(sorted);
    return ret;
}
