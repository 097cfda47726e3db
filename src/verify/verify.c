/* verify/verify.c: a store looked at chunk by chunk, as JSON (see verify_array.c). */
#include "chunkmill/verify.h"

#include "base/context_private.h"
#include "dataset/dataset_private.h"
#include "verify/verify_array.h"

typedef struct cm_verify_run {
    cm_context *ctx;
    cm_verify_level level;
    bool strict, ok;
    cm_json_doc *doc;
    cm_json *arrays;
} verify_run;

static int no_memory(cm_error *err)
{
    return cm_error_set(err, CM_ENOMEM, "out of memory");
}

static cm_json *missing_json(cm_json_doc *doc, const cm_found_chunks *list)
{
    cm_json *out = cm_json_new_array(doc);
    for (int i = 0; i < list->n; i++)
        if (cm_json_add(doc, out, cm_json_new_string(doc, list->first[i].key)))
            return NULL;
    return out;
}

static cm_json *bad_json(cm_json_doc *doc, const cm_found_chunks *list)
{
    cm_json *out = cm_json_new_array(doc);
    for (int i = 0; i < list->n; i++) {
        cm_json *o = cm_json_new_object(doc);
        if (cm_json_set_string(doc, o, "key", list->first[i].key) ||
            cm_json_set_string(doc, o, "message", list->first[i].message) ||
            cm_json_add(doc, out, o))
            return NULL;
    }
    return out;
}

static int report(verify_run *v, const char *path, const cm_array_check *c, const char *problem,
                  cm_error *err)
{
    cm_json *o = cm_json_new_object(v->doc);
    v->ok &= !problem && c->bad == 0 && (c->missing == 0 || !v->strict);
    if (cm_json_set_string(v->doc, o, "path", path) ||
        cm_json_set_int64(v->doc, o, "chunks", c->chunks) ||
        cm_json_set_int64(v->doc, o, "present", c->present) ||
        cm_json_set_int64(v->doc, o, "missing", c->missing) ||
        cm_json_set_int64(v->doc, o, "bad", c->bad) ||
        cm_json_set(v->doc, o, "missing_first", missing_json(v->doc, &c->missing_first)) ||
        cm_json_set(v->doc, o, "bad_first", bad_json(v->doc, &c->bad_first)) ||
        (problem && cm_json_set_string(v->doc, o, "problem", problem)) ||
        cm_json_add(v->doc, v->arrays, o))
        return no_memory(err);
    return 0;
}

static int verify_group(verify_run *v, const cm_group *g, cm_error *err)
{
    int ret = 0;
    for (size_t i = 0; i < g->nvariables && ret == 0; i++) {
        const cm_variable *var = g->variables[i];
        cm_array_check check = {.chunks = 0};
        if (var->array)
            ret = cm_array_check_chunks(v->ctx, var->array, v->level, &check, err);
        if (ret == 0)
            ret = report(v, var->path, &check, var->problem ? var->problem->message : NULL, err);
        else
            cm_error_variable(err, var->path);
        cm_array_check_deinit(&check);
    }
    for (size_t i = 0; i < g->ngroups && ret == 0; i++)
        ret = verify_group(v, g->groups[i], err);
    return ret;
}

/* References: is every file there, and what it was when they were made? */
static int verify_sources(verify_run *v, cm_paths *paths, cm_json *root, cm_error *err)
{
    cm_json *list = cm_json_new_array(v->doc), *all = cm_json_new_object(v->doc);
    int64_t bad = 0;
    size_t n = cm_paths_count(paths);
    for (size_t i = 0; i < n; i++) {
        cm_error why = {0};
        const char *key;
        int ret = cm_context_check(v->ctx, err);
        if (ret)
            return ret;
        if (cm_paths_key(paths, (uint32_t)i, &key, &why) == 0)
            continue;
        cm_json *o = bad++ < CM_VERIFY_FIRST ? cm_json_new_object(v->doc) : NULL;
        if (bad <= CM_VERIFY_FIRST &&
            (cm_json_set_string(v->doc, o, "name", cm_paths_name(paths, (uint32_t)i)) ||
             cm_json_set_string(v->doc, o, "message", why.message) || cm_json_add(v->doc, list, o)))
            return no_memory(err);
    }
    v->ok &= bad == 0;
    if (cm_json_set_int64(v->doc, all, "count", (int64_t)n) ||
        cm_json_set_int64(v->doc, all, "bad", bad) || cm_json_set(v->doc, all, "bad_first", list) ||
        cm_json_set(v->doc, root, "sources", all))
        return no_memory(err);
    return 0;
}

int cm_verify(cm_context *ctx, cm_dataset *ds, cm_verify_level level, bool strict,
              cm_json_doc **out, cm_error *err)
{
    *out = NULL;
    if (level != CM_VERIFY_PRESENCE && level != CM_VERIFY_DECODE)
        return cm_error_set(err, CM_EINVAL, "there is no verification level %d", (int)level);
    verify_run v = {.ctx = ctx, .level = level, .strict = strict, .ok = true};
    int ret = cm_json_doc_new(0, &v.doc, err);
    if (ret)
        return ret;
    cm_json *root = cm_json_new_object(v.doc);
    v.arrays = cm_json_new_array(v.doc);
    cm_json_doc_set_root(v.doc, root);
    ret = verify_group(&v, cm_dataset_root(ds), err);
    if (ret == 0 && ds->sources)
        ret = verify_sources(&v, ds->sources, root, err);
    if (ret == 0 && (cm_json_set_bool(v.doc, root, "ok", v.ok) ||
                     cm_json_set_string(v.doc, root, "level",
                                        level == CM_VERIFY_DECODE ? "decode" : "presence") ||
                     cm_json_set(v.doc, root, "arrays", v.arrays)))
        ret = no_memory(err);
    if (ret == 0) {
        *out = v.doc;
        v.doc = NULL;
    }
    cm_json_doc_free(v.doc);
    return ret;
}
