/* save/survey_facets.c: what a form is, thing by thing.
 *
 * Each facet is a small JSON value, for reports and for schemas; equal values are one group. A
 * facet explains some of the reasons why forms do not join (join/survey.h), or none: then it
 * matters to references, or is only told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/told.h"
#include "cf/packing.h"
#include "cf/roles.h"
#include "join/match.h"
#include "save/survey_report.h"

enum {
    READABLE,
    DTYPE,
    DIMENSIONS,
    LENGTHS,
    SCALE,
    OFFSET,
    FILL_ATTRIBUTE,
    MISSING_VALUE,
    UNSIGNED,
    UNITS,
    CALENDAR,
    VALUES,
    LENGTH,
    LAYOUT,
    CHUNKS,
    SHARDS,
    CODECS,
    ENDIAN,
    FILL,
    MASK,
    UNWRITTEN,
    TRUNCATED
};

const cm_facet cm_facets[] = {
    [READABLE] = {"unreadable", CM_CLASH_UNREADABLE, false, false},
    [DTYPE] = {"dtype", CM_ASPECT_DTYPE, false, false},
    [DIMENSIONS] = {"dimensions", CM_ASPECT_DIMENSIONS | CM_CLASH_TWICE, false, false},
    [LENGTHS] = {"lengths", CM_ASPECT_DIMENSIONS, false, false},
    [SCALE] = {"scale_factor", CM_ASPECT_PACKING, false, false},
    [OFFSET] = {"add_offset", CM_ASPECT_PACKING, false, false},
    [FILL_ATTRIBUTE] = {"_FillValue", CM_ASPECT_PACKING, false, false},
    [MISSING_VALUE] = {"missing_value", CM_ASPECT_PACKING, false, false},
    [UNSIGNED] = {"_Unsigned", CM_ASPECT_PACKING, false, false},
    [UNITS] = {"units", CM_ASPECT_UNITS | CM_ASPECT_TIMES, false, false},
    [CALENDAR] = {"calendar", CM_ASPECT_TIMES, false, false},
    [VALUES] = {"values", CM_CLASH_VALUES, false, true},
    [LENGTH] = {"length_difference", CM_CLASH_LENGTH, false, false},
    [LAYOUT] = {"layout", 0, true, false},
    [CHUNKS] = {"chunks", 0, true, false},
    [SHARDS] = {"shards", 0, true, false},
    [CODECS] = {"codecs", 0, true, false},
    [ENDIAN] = {"byte_order", 0, true, false},
    [FILL] = {"fill", 0, true, false},
    [MASK] = {"filter_mask", 0, true, false},
    [UNWRITTEN] = {"unwritten_chunks", 0, true, false},
    [TRUNCATED] = {"truncated", 0, true, false},
    {0}};

static cm_json *list(const int64_t *lengths, int n, cm_json_doc *doc)
{
    cm_json *all = lengths ? cm_json_new_array(doc) : NULL;
    for (int i = 0; all && i < n; i++)
        if (cm_json_add(doc, all, cm_json_new_int64(doc, lengths[i])))
            return NULL;
    return all;
}

static cm_json *dimensions(const cm_variable *v, cm_json_doc *doc)
{
    cm_json *all = cm_json_new_array(doc);
    for (int i = 0; all && i < v->ndim; i++)
        if (cm_json_add(doc, all,
                        v->dimensions[i] ? cm_json_new_string(doc, v->dimensions[i])
                                         : cm_json_new_null(doc)))
            return NULL;
    return all;
}

/* But for the joined dimension. */
static cm_json *lengths(const cm_form *f, cm_json_doc *doc)
{
    cm_json *all = cm_json_new_array(doc);
    for (int i = 0; all && i < f->v->ndim; i++)
        if (cm_json_add(doc, all,
                        i == f->axis ? cm_json_new_null(doc)
                                     : cm_json_new_int64(doc, f->v->array->shape[i])))
            return NULL;
    return all;
}

static cm_json *attribute(const cm_variable *v, const char *name, cm_json_doc *doc)
{
    const cm_attribute *a = cm_variable_attribute_named(v, name);
    return a ? cm_json_copy(doc, a->value) : NULL;
}

static cm_json *calendar(const cm_variable *v, cm_json_doc *doc)
{
    cm_calendar known;
    const char *text = cm_cf_text(v, "calendar");
    if (!cm_units_are_time(cm_cf_text(v, "units")) && !text)
        return NULL;
    if (cm_calendar_named(text, &known))
        text = cm_calendar_name(known);
    return cm_json_new_string(doc, text);
}

static cm_json *values(const cm_form *f, cm_json_doc *doc)
{
    char text[40];
    if (!f->hashed)
        return NULL;
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)f->values[0],
             (unsigned long long)f->values[1]);
    return cm_json_new_string(doc, text);
}

/* ---- storage --------------------------------------------------------------------------------- */

static bool is_contiguous(const cm_array *a)
{
    uint64_t offset, limit;
    const int64_t *strides;
    return cm_table_is_strided(cm_chunked_table(a), &offset, &strides, &limit);
}

static cm_json *storage(const cm_form *f, size_t i, const cm_array *a, cm_json_doc *doc)
{
    const cm_storage *st = &f->v->storage;
    const cm_chain *c = cm_chunked_chain(a);
    bool contiguous = is_contiguous(a);
    switch (i) {
    case LAYOUT: return cm_json_new_string(doc, contiguous ? "contiguous" : "chunked");
    case CHUNKS:
        return contiguous ? NULL : list(st->chunks ? st->chunks : c->shape, f->v->ndim, doc);
    case SHARDS: return list(st->shards, f->v->ndim, doc);
    case CODECS: return st->codecs ? cm_json_new_string(doc, st->codecs) : NULL;
    case ENDIAN:
        return cm_dtype_word(a->dtype) > 1 && !cm_kind_is_vlen(a->dtype.kind)
                   ? cm_json_new_string(doc, c->big_endian ? "big" : "little")
                   : NULL;
    case FILL:
        return cm_kind_is_integer(a->dtype.kind) || cm_kind_is_float(a->dtype.kind)
                   ? cm_json_from_cells(doc, a->dtype, a->fill, 1, true)
                   : NULL;
    case MASK: return f->odd & CM_TOLD_MASK ? cm_json_new_bool(doc, true) : NULL;
    case UNWRITTEN: return f->odd & CM_TOLD_UNWRITTEN ? cm_json_new_bool(doc, true) : NULL;
    case TRUNCATED: return f->truncated ? cm_json_new_bool(doc, true) : NULL;
    default: return NULL;
    }
}

/* The stored array that a form's array is, or changes; NULL: it is made of several. */
static const cm_array *stored(const cm_array *a)
{
    if (cm_survey_is_stored(a))
        return a;
    const cm_array *source = cm_survey_changed_source(a);
    return source && cm_survey_is_stored(source) ? source : NULL;
}

cm_json *cm_survey_facet(const cm_survey *s, const cm_form *f, size_t i, cm_json_doc *doc)
{
    char name[CM_DTYPE_NAME];
    const cm_variable *v = f->v;
    (void)s;
    if (!v->array)
        return i == READABLE && v->problem ? cm_json_new_string(doc, v->problem->message) : NULL;
    switch (i) {
    case READABLE: return NULL;
    case DTYPE: return cm_json_new_string(doc, cm_dtype_name(v->array->dtype, name, sizeof name));
    case DIMENSIONS: return dimensions(v, doc);
    case LENGTHS: return lengths(f, doc);
    case SCALE:
    case OFFSET:
    case FILL_ATTRIBUTE:
    case MISSING_VALUE:
    case UNSIGNED:
    case UNITS: return attribute(v, cm_facets[i].name, doc);
    case CALENDAR: return calendar(v, doc);
    case VALUES: return values(f, doc);
    case LENGTH: return f->excess ? cm_json_new_int64(doc, f->excess) : NULL;
    default: break;
    }
    const cm_array *a = stored(v->array);
    if (!a)
        return i == LAYOUT ? cm_json_new_string(doc, cm_array_is_chunked(v->array)
                                                         ? "chunks of different lengths"
                                                         : "made of several arrays")
                           : NULL;
    return storage(f, i, a, doc);
}
