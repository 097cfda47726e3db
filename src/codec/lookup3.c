/* codec/lookup3.c: numcodecs "jenkins_lookup3": Bob Jenkins' hash as HDF5 has it, always behind the
 * data. A "prefix" that would be hashed before them is refused: nobody writes one.
 */
#include "base/hash.h"
#include "codec/checksum32.h"

static uint32_t compute(const cm_checksum32 *c, const void *data, size_t n)
{
    return cm_lookup3_from(c->initval, data, n);
}

static int lookup3_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                         cm_error *err)
{
    (void)dtype;
    int64_t initval = 0;
    const cm_config_field fields[] = {{.key = "initval", .max = UINT32_MAX, .value = &initval},
                                      {.key = "prefix"}};
    const cm_json *prefix = cm_json_get(config, "prefix");
    int r = cm_config_read(config, dialect, "jenkins_lookup3", fields, 2, err);
    if (!r && prefix && !cm_json_is(prefix, CM_JSON_NULL))
        r = cm_error_set(err, CM_EUNSUP, "codec jenkins_lookup3: a prefix");
    if (r)
        return r;
    const cm_checksum32 c = {
        .compute = compute, .at_end = true, .usually_at_end = true, .initval = (uint32_t)initval};
    return cm_codec_copy(&cm_class_lookup3, &c, sizeof c, out, err);
}

static cm_json *lookup3_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    int64_t initval = ((const cm_checksum32 *)codec)->initval;
    return !o || cm_json_set_int64(doc, config, "initval", initval) ||
                   cm_json_set(doc, config, "prefix", cm_json_new_null(doc))
               ? NULL
               : o;
}

const cm_codec_class cm_class_lookup3 =
    CM_CHECKSUM32_CLASS("jenkins_lookup3", lookup3_parse, lookup3_describe);
