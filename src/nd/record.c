/* nd/record.c: lists of fields.
 *
 * A record is immutable and counted: arrays, chains and records around it hold references, so
 * nobody copies one. Everything of one record (fields, names, shapes) is a single block; records
 * inside are referred to. Fields are packed, as Zarr's are, and nothing in a record may have a size
 * that the record does not know.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "chunkmill/dtype.h"
#include "nd/copy.h"

enum { MOST_NBYTES = 16 << 20, MOST_FIELDS = 64 << 10, MOST_DEPTH = 16 };

static int depth_of(const cm_record *r)
{
    int most = 0;
    for (size_t i = 0; r && i < r->nfields; i++) {
        int d = depth_of(r->fields[i].dtype.record);
        most = d > most ? d : most;
    }
    return r ? most + 1 : 0;
}

/* The bytes of one field, and what its name and shape take in the block. */
static int measure(const cm_field *f, uint64_t *nbytes, size_t *extra, cm_error *err)
{
    if (!f->name || f->dtype.kind == CM_NONE || f->ndim < 0 || f->ndim > CM_MAX_DIMS)
        return cm_error_set(err, CM_EINVAL, "a field without a name or a type");
    if (f->dtype.size == 0 || cm_kind_is_vlen(f->dtype.kind))
        return cm_error_set(err, CM_EUNSUP, "field \"%.64s\" of a record has no fixed size",
                            f->name);
    if (depth_of(f->dtype.record) >= MOST_DEPTH)
        return cm_error_set(err, CM_EUNSUP, "records within records, more than %d deep",
                            MOST_DEPTH);
    *nbytes = f->dtype.size;
    for (int i = 0; i < f->ndim; i++) {
        if (f->shape[i] < 1)
            return cm_error_set(err, CM_EDATA, "field \"%.64s\" of a record: length below 1",
                                f->name);
        if (f->shape[i] > MOST_NBYTES || (*nbytes *= (uint64_t)f->shape[i]) > MOST_NBYTES)
            return cm_error_set(err, CM_ELIMIT, "a record of more than %d bytes", MOST_NBYTES);
    }
    *extra += strlen(f->name) + 1 + (size_t)f->ndim * sizeof(int64_t);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const cm_field *x = *(const cm_field *const *)a, *y = *(const cm_field *const *)b;
    return strcmp(x->name, y->name);
}

static int check_names(const cm_field *fields, size_t n, cm_error *err)
{
    const cm_field **sorted = cm_calloc(n, sizeof *sorted, err);
    if (!sorted)
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        sorted[i] = &fields[i];
    qsort(sorted, n, sizeof *sorted, by_name);
    int r = 0;
    for (size_t i = 1; i < n && r == 0; i++)
        if (sorted[i]->name[0] && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            r = cm_error_set(err, CM_EDATA, "a record has two fields named \"%.64s\"",
                             sorted[i]->name);
    free(sorted);
    return r;
}

int cm_record_new(const cm_field *fields, size_t nfields, cm_record **out, cm_error *err)
{
    uint64_t total = 0, nbytes;
    size_t extra = 0;
    *out = NULL;
    if (nfields == 0)
        return cm_error_set(err, CM_EDATA, "a record without fields");
    if (nfields > MOST_FIELDS)
        return cm_error_set(err, CM_EUNSUP, "a record of more than %d fields", MOST_FIELDS);
    for (size_t i = 0; i < nfields; i++) {
        int r = measure(&fields[i], &nbytes, &extra, err);
        if (r)
            return r;
        if ((total += nbytes) > MOST_NBYTES)
            return cm_error_set(err, CM_ELIMIT, "a record of more than %d bytes", MOST_NBYTES);
    }
    int r = check_names(fields, nfields, err);
    if (r)
        return r;
    cm_record *record = cm_calloc(1, sizeof *record + nfields * sizeof(cm_field) + extra, err);
    if (!record)
        return CM_ENOMEM;
    cm_field *to = (cm_field *)(record + 1);
    int64_t *shapes = (int64_t *)(to + nfields);
    *record =
        (cm_record){.refcount = 1, .nbytes = (uint32_t)total, .nfields = nfields, .fields = to};
    uint32_t offset = 0;
    for (size_t i = 0; i < nfields; i++) {
        to[i] = fields[i];
        cm_record_ref(to[i].dtype.record);
        to[i].shape = shapes;
        to[i].nbytes = to[i].dtype.size;
        for (int k = 0; k < fields[i].ndim; k++) {
            *shapes++ = fields[i].shape[k];
            to[i].nbytes *= (uint32_t)fields[i].shape[k];
        }
        to[i].offset = offset;
        offset += to[i].nbytes;
    }
    char *names = (char *)shapes;
    for (size_t i = 0; i < nfields; i++) {
        size_t n = strlen(fields[i].name) + 1;
        memcpy(names, fields[i].name, n);
        to[i].name = names;
        names += n;
    }
    *out = record;
    return 0;
}

/* The counter is the one thing of a record that changes. */
static uint32_t *counter(const cm_record *record)
{
    return (uint32_t *)(uintptr_t)&record->refcount;
}

const cm_record *cm_record_ref(const cm_record *record)
{
    if (record)
        __atomic_add_fetch(counter(record), 1, __ATOMIC_RELAXED);
    return record;
}

void cm_record_unref(const cm_record *record)
{
    if (!record || __atomic_sub_fetch(counter(record), 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < record->nfields; i++)
        cm_record_unref(record->fields[i].dtype.record);
    free((void *)(uintptr_t)record);
}

static bool swaps_field(const cm_field *f, bool all)
{
    bool native_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return cm_dtype_word(f->dtype) > 1 && (all || f->big_endian) != native_big;
}

bool cm_record_swaps(const cm_record *record, bool all)
{
    for (size_t i = 0; i < record->nfields; i++) {
        const cm_field *f = &record->fields[i];
        if (f->dtype.record ? cm_record_swaps(f->dtype.record, all) : swaps_field(f, all))
            return true;
    }
    return false;
}

void cm_record_swap(const cm_record *record, void *records, size_t n, bool all)
{
    for (size_t i = 0; i < record->nfields; i++) {
        const cm_field *f = &record->fields[i];
        char *at = (char *)records + f->offset;
        if (!f->dtype.record && !swaps_field(f, all))
            continue;
        for (size_t k = 0; k < n; k++, at += record->nbytes) {
            if (f->dtype.record)
                cm_record_swap(f->dtype.record, at, f->nbytes / f->dtype.size, all);
            else
                cm_swap_bytes(at, f->nbytes, cm_dtype_word(f->dtype));
        }
    }
}

bool cm_record_equal(const cm_record *a, const cm_record *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->nfields != b->nfields)
        return false;
    for (size_t i = 0; i < a->nfields; i++) {
        const cm_field *x = &a->fields[i], *y = &b->fields[i];
        if (strcmp(x->name, y->name) != 0 || !cm_dtype_equal(x->dtype, y->dtype) ||
            x->ndim != y->ndim ||
            (x->ndim && memcmp(x->shape, y->shape, (size_t)x->ndim * sizeof *x->shape) != 0))
            return false;
    }
    return true;
}
