/* codec/config.c: reading the JSON configuration of a codec, and the frame of writing one.
 *
 * Zarr v3.1 ("must_understand") wants a reader to fail on any metadata that it does not know, since
 * an unknown member may change what the bytes mean. So every codec lists its members in a table and
 * one loop refuses the rest by name.
 */
#include <inttypes.h>
#include <string.h>

#include "codec/codec_private.h"

bool cm_config_ignorable(const cm_json *v)
{
    const cm_json *m = cm_json_get(v, "must_understand");
    return cm_json_is(m, CM_JSON_BOOL) && !cm_json_bool(m, true);
}

static int read_field(const cm_json *v, const char *codec, const cm_config_field *f, cm_error *err)
{
    if (f->null_allowed && cm_json_is(v, CM_JSON_NULL))
        return 0;
    if (f->value) {
        int64_t n;
        if (!cm_json_int64(v, &n))
            return cm_error_set(err, CM_EDATA, "codec %s: %s is not an integer", codec, f->key);
        if (n < f->min || n > f->max)
            return cm_error_set(err, CM_EDATA,
                                "codec %s: %s %" PRId64 " is outside %" PRId64 "..%" PRId64, codec,
                                f->key, n, f->min, f->max);
        *f->value = n;
    } else if (f->flag) {
        if (!cm_json_is(v, CM_JSON_BOOL))
            return cm_error_set(err, CM_EDATA, "codec %s: %s is not true or false", codec, f->key);
        *f->flag = cm_json_bool(v, false);
    } else if (f->string) {
        const char *s = cm_json_string(v);
        if (!s || strlen(s) != cm_json_string_nbytes(v))
            return cm_error_set(err, CM_EDATA, "codec %s: %s is not a plain string", codec, f->key);
        *f->string = s;
    }
    return 0;
}

int cm_config_read(const cm_json *config, cm_dialect dialect, const char *codec,
                   const cm_config_field *fields, size_t nfields, cm_error *err)
{
    if (config && !cm_json_is(config, CM_JSON_OBJECT))
        return cm_error_set(err, CM_EDATA, "codec %s: the configuration is not an object", codec);
    for (size_t i = 0, n = cm_json_count(config); i < n; i++) {
        const char *key = cm_json_key(config, i);
        const cm_config_field *f = NULL;
        for (size_t k = 0; k < nfields && !f; k++)
            if (strcmp(fields[k].key, key) == 0)
                f = &fields[k];
        if (f) {
            int r = read_field(cm_json_at(config, i), codec, f, err);
            if (r)
                return r;
        } else if (!(dialect == CM_ZARR2 && strcmp(key, "id") == 0) &&
                   !cm_config_ignorable(cm_json_at(config, i))) {
            return cm_error_set(err, CM_EUNSUP, "codec %s: unknown configuration member \"%s\"",
                                codec, key);
        }
    }
    for (size_t k = 0; k < nfields; k++) {
        if (!fields[k].required)
            continue;
        const cm_json *v = cm_json_get(config, fields[k].key);
        if (!v || (fields[k].null_allowed && cm_json_is(v, CM_JSON_NULL)))
            return cm_error_set(err, CM_EDATA, "codec %s: %s is missing", codec, fields[k].key);
    }
    return 0;
}

cm_json *cm_config_describe(cm_json_doc *doc, const cm_codec_class *cls, const char *v3_name,
                            cm_dialect dialect, cm_json **config)
{
    cm_json *o = cm_json_new_object(doc);
    *config = NULL;
    if (!o)
        return NULL;
    if (dialect == CM_ZARR2) {
        *config = o;
        return cm_json_set_string(doc, o, "id", cls->v2_id) ? NULL : o;
    }
    if (cm_json_set_string(doc, o, "name", v3_name))
        return NULL;
    *config = cm_json_new_object(doc);
    return cm_json_set(doc, o, "configuration", *config) ? NULL : o;
}
