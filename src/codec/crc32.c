/* codec/crc32.c: numcodecs "crc32": the CRC of zlib and gzip, before the data unless "location"
 * says "end". The sum is libdeflate's, which has it in vectors.
 */
#include <libdeflate.h>

#include "codec/checksum32.h"

static uint32_t compute(const cm_checksum32 *c, const void *data, size_t n)
{
    (void)c;
    return libdeflate_crc32(0, data, n);
}

static int crc32_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                       cm_error *err)
{
    (void)dtype;
    cm_checksum32 c = {.compute = compute};
    return cm_checksum32_parse_location(&cm_class_crc32, config, dialect, &c, out, err);
}

const cm_codec_class cm_class_crc32 =
    CM_CHECKSUM32_CLASS("crc32", crc32_parse, cm_checksum32_describe);
