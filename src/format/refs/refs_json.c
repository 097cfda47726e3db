/* format/refs/refs_json.c: kerchunk's JSON, versions 0 and 1, as one sorted list of entries.
 *
 *     v0   {key: value, ...}
 *     v1   {"version": 1, "templates": {...}, "gen": [...], "refs": {key: value, ...}}
 *
 * References of the usual form were taken out before the text is parsed (refs_scan.c). Of the
 * others a value stays as it was parsed; refs_open.c takes it apart when its array is made. Entries
 * that `gen` describes are made here, with their templates rendered. A key that is there twice, by
 * `gen` or otherwise, is refused: which one counts differs between readers.
 *
 * Beside these, "sources" is our own: what the files were like when the references were made. Other
 * readers pass over it. Source: fsspec's ReferenceFileSystem and its specification.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/refs/refs.h"

enum { MAX_GENERATED = 100000000, MAX_TEXT = 1 << 16, MAX_DIMENSIONS = CM_MAX_DIMS };

void cm_refs_json_deinit(cm_refs_json *j)
{
    cm_json_doc_free(j->doc);
    cm_json_doc_free(j->made);
    free(j->entries);
    cm_refs_ranges_deinit(&j->ranges);
    *j = (cm_refs_json){0};
}

static int add_entry(cm_refs_json *j, const char *key, const cm_json *value, cm_error *err)
{
    if (cm_grow(&j->entries, &j->capacity, j->n + 1, sizeof *j->entries, err))
        return CM_ENOMEM;
    j->entries[j->n++] = (cm_refs_entry){key, value};
    return 0;
}

/* ---- gen ------------------------------------------------------------------------------------- */

typedef struct gen_axis {
    const char *name;
    const cm_json *list; /* NULL: start, step */
    int64_t start, step, count;
} gen_axis;

typedef struct generator {
    gen_axis axes[MAX_DIMENSIONS];
    size_t naxes;
    const char *key, *url, *offset, *length;
} generator;

static int bad_gen(const char *what, cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "\"gen\": %s", what);
}

static int parse_axis(const char *name, const cm_json *v, gen_axis *a, cm_error *err)
{
    *a = (gen_axis){.name = name, .step = 1};
    if (cm_json_is(v, CM_JSON_ARRAY)) {
        a->list = v;
        a->count = (int64_t)cm_json_count(v);
        return 0;
    }
    int64_t stop, span;
    const cm_json *start = cm_json_get(v, "start"), *step = cm_json_get(v, "step");
    if (!cm_json_int64(cm_json_get(v, "stop"), &stop) ||
        (start && !cm_json_int64(start, &a->start)) || (step && !cm_json_int64(step, &a->step)) ||
        a->step == 0 || __builtin_sub_overflow(stop, a->start, &span))
        return bad_gen("a dimension is neither a list nor start, stop and step", err);
    if ((span > 0) == (a->step > 0) && span != 0 && a->step != INT64_MIN && span != INT64_MIN)
        a->count = cm_ceil_div(span < 0 ? -span : span, a->step < 0 ? -a->step : a->step);
    return 0;
}

static int parse_generator(const cm_json *v, generator *g, cm_error *err)
{
    const cm_json *dimensions = cm_json_get(v, "dimensions");
    *g = (generator){0};
    g->key = cm_json_string(cm_json_get(v, "key"));
    g->url = cm_json_string(cm_json_get(v, "url"));
    g->offset = cm_json_string(cm_json_get(v, "offset"));
    g->length = cm_json_string(cm_json_get(v, "length"));
    if (!g->key || !g->url || !cm_json_is(dimensions, CM_JSON_OBJECT))
        return bad_gen("\"key\", \"url\" or \"dimensions\" is missing", err);
    if (!g->offset != !g->length || !g->offset != !cm_json_get(v, "offset") ||
        !g->length != !cm_json_get(v, "length"))
        return bad_gen("\"offset\" and \"length\" are not both templates", err);
    if (cm_json_count(dimensions) > MAX_DIMENSIONS)
        return bad_gen("more than 32 dimensions", err);
    int64_t n = 1;
    int r = 0;
    g->naxes = cm_json_count(dimensions);
    for (size_t i = 0; i < g->naxes && r == 0; i++) {
        r = parse_axis(cm_json_key(dimensions, i), cm_json_at(dimensions, i), &g->axes[i], err);
        if (r == 0 && (!cm_mul_i64(n, g->axes[i].count, &n) || n > MAX_GENERATED))
            r = cm_error_set(err, CM_ELIMIT, "\"gen\" makes more than %d references",
                             MAX_GENERATED);
    }
    return r;
}

static int axis_value(const gen_axis *a, int64_t at, cm_refs_variable *out, cm_error *err)
{
    *out = (cm_refs_variable){.name = a->name};
    if (!a->list) {
        out->value = a->start + at * a->step;
        return 0;
    }
    const cm_json *v = cm_json_at(a->list, (size_t)at);
    out->text = cm_json_string(v);
    if (!out->text && !cm_json_int64(v, &out->value))
        return bad_gen("a dimension's value is neither a whole number nor a text", err);
    return 0;
}

/* The rendered template, NUL-terminated in buf. */
static int render(const cm_refs_json *j, const char *text, const cm_refs_variable *variables,
                  size_t n, cm_buffer *buf, cm_error *err)
{
    buf->nbytes = 0;
    int r = cm_refs_render(text, j->templates, variables, n, buf, err);
    return r ? r : cm_buffer_append(buf, "", 1, err);
}

static int render_number(cm_refs_json *j, const char *text, const cm_refs_variable *variables,
                         size_t n, cm_buffer *buf, cm_json *list, cm_error *err)
{
    int r = render(j, text, variables, n, buf, err);
    if (r)
        return r;
    char *end;
    const char *s = (const char *)buf->data;
    s += strspn(s, " \n\t");
    unsigned long long v = strtoull(s, &end, 10);
    end += strspn(end, " \n\t");
    if (*s < '0' || *s > '9' || *end || v > INT64_MAX)
        return bad_gen("an offset or a length is not a number", err);
    return cm_json_add(j->made, list, cm_json_new_uint64(j->made, v))
               ? cm_error_set(err, CM_ENOMEM, "out of memory (gen)")
               : 0;
}

static int make_one(cm_refs_json *j, const generator *g, const cm_refs_variable *variables,
                    cm_buffer *buf, cm_error *err)
{
    cm_json *list = cm_json_new_array(j->made);
    int r = render(j, g->url, variables, g->naxes, buf, err);
    if (r == 0 &&
        (!list || cm_json_add(j->made, list, cm_json_new_string(j->made, (char *)buf->data))))
        r = cm_error_set(err, CM_ENOMEM, "out of memory (gen)");
    if (r == 0 && g->offset)
        r = render_number(j, g->offset, variables, g->naxes, buf, list, err);
    if (r == 0 && g->length)
        r = render_number(j, g->length, variables, g->naxes, buf, list, err);
    if (r == 0)
        r = render(j, g->key, variables, g->naxes, buf, err);
    if (r)
        return r;
    const char *key = cm_json_string(cm_json_new_string(j->made, (char *)buf->data));
    return key ? add_entry(j, key, list, err) : cm_error_set(err, CM_ENOMEM, "out of memory (gen)");
}

static int run_generator(cm_refs_json *j, const cm_json *v, cm_error *err)
{
    generator g;
    cm_refs_variable variables[MAX_DIMENSIONS];
    int64_t at[MAX_DIMENSIONS] = {0}, n = 1;
    cm_buffer buf;
    cm_buffer_init(&buf, MAX_TEXT);
    int r = parse_generator(v, &g, err);
    for (size_t i = 0; i < g.naxes && r == 0; i++)
        n *= g.axes[i].count;
    for (; n > 0 && r == 0; n--) {
        for (size_t i = 0; i < g.naxes && r == 0; i++)
            r = axis_value(&g.axes[i], at[i], &variables[i], err);
        if (r == 0)
            r = make_one(j, &g, variables, &buf, err);
        for (size_t i = g.naxes; i-- > 0;) {
            if (++at[i] < g.axes[i].count)
                break;
            at[i] = 0;
        }
    }
    cm_buffer_deinit(&buf);
    return r;
}

/* ---- the file -------------------------------------------------------------------------------- */

static int by_key(const void *va, const void *vb)
{
    const cm_refs_entry *a = va, *b = vb;
    return strcmp(a->key, b->key);
}

static int sort_entries(cm_refs_json *j, cm_error *err)
{
    bool sorted = true;
    for (size_t i = 1; i < j->n && sorted; i++)
        sorted = strcmp(j->entries[i - 1].key, j->entries[i].key) < 0;
    if (!sorted)
        qsort(j->entries, j->n, sizeof *j->entries, by_key);
    for (size_t i = 1; i < j->n && !sorted; i++)
        if (!strcmp(j->entries[i - 1].key, j->entries[i].key))
            return cm_error_set(err, CM_EDATA, "\"%.200s\" is there twice", j->entries[i].key);
    return 0;
}

static int parse_version1(cm_refs_json *j, const cm_json *root, const cm_json **refs, cm_error *err)
{
    const cm_json *gen = cm_json_get(root, "gen");
    int r = 0;
    j->templates = cm_json_get(root, "templates");
    j->sources = cm_json_get(root, "sources");
    *refs = cm_json_get(root, "refs");
    if (j->templates && !cm_json_is(j->templates, CM_JSON_NULL)) {
        if (!cm_json_is(j->templates, CM_JSON_OBJECT))
            return cm_error_set(err, CM_EDATA, "\"templates\" is not an object");
        for (size_t i = 0; i < cm_json_count(j->templates); i++)
            if (!cm_json_string(cm_json_at(j->templates, i)))
                return cm_error_set(err, CM_EDATA, "template \"%.200s\" is not a text",
                                    cm_json_key(j->templates, i));
    }
    if (gen && !cm_json_is(gen, CM_JSON_NULL) && !cm_json_is(gen, CM_JSON_ARRAY))
        return bad_gen("not a list", err);
    if (cm_json_count(gen))
        r = cm_json_doc_new((size_t)64 << 30, &j->made, err);
    for (size_t i = 0; i < cm_json_count(gen) && r == 0; i++)
        r = run_generator(j, cm_json_at(gen, i), err);
    return r;
}

static int parse_rest(const cm_buffer *rest, bool *wrapped, cm_refs_json *out, cm_error *err)
{
    size_t n = rest->nbytes, most = n > (SIZE_MAX >> 8) ? SIZE_MAX : ((size_t)1 << 20) + n * 64;
    const char *text = rest->data ? (const char *)rest->data : "";
    int r = cm_json_parse(text, n, most, &out->doc, err);
    if (r)
        return r;
    const cm_json *root = cm_json_doc_root(out->doc), *refs = root;
    const cm_json *version = cm_json_get(root, "version");
    int64_t number = 0;
    if (!cm_json_is(root, CM_JSON_OBJECT))
        return cm_error_set(err, CM_EDATA, "not a JSON object");
    if (version && (!cm_json_int64(version, &number) || number < 0 || number > 1)) {
        const char *s = cm_json_number_text(version);
        return cm_error_set(err, CM_EUNSUP, "references of version %.20s: 0 and 1 are read",
                            s ? s : "?");
    }
    *wrapped = true;
    if (version && number == 1)
        r = parse_version1(out, root, &refs, err);
    else if (cm_json_is(cm_json_get(root, "refs"), CM_JSON_OBJECT))
        refs = cm_json_get(root, "refs"); /* version 0, wrapped, as some tools write it */
    else
        *wrapped = false;
    if (r == 0 && !cm_json_is(refs, CM_JSON_OBJECT) && !(out->made && !refs))
        return cm_error_set(err, CM_EDATA, "\"refs\" is %s", refs ? "not an object" : "missing");
    for (size_t i = 0; i < cm_json_count(refs) && r == 0; i++)
        r = add_entry(out, cm_json_key(refs, i), cm_json_at(refs, i), err);
    return r ? r : sort_entries(out, err);
}

int cm_refs_json_parse(char *text, size_t nbytes, cm_refs_json *out, cm_error *err)
{
    cm_refs_ranges root = {0};
    cm_buffer rest;
    bool wrapped = true;
    *out = (cm_refs_json){0};
    cm_buffer_init(&rest, nbytes < SIZE_MAX / 4 ? 3 * nbytes + 64 : nbytes);
    int r = cm_refs_scan(text, nbytes, &rest, &root, &out->ranges, err);
    out->nrest = rest.nbytes;
    if (r == 0)
        r = parse_rest(&rest, &wrapped, out, err);
    cm_buffer_deinit(&rest);
    if (!wrapped) {
        cm_refs_ranges_deinit(&out->ranges);
        out->ranges = root;
        root = (cm_refs_ranges){0};
    }
    cm_refs_ranges_deinit(&root);
    return r ? r : cm_refs_ranges_group(&out->ranges, err);
}
