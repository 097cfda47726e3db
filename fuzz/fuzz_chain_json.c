/* fuzz/fuzz_chain_json.c: codec chains from metadata.
 *
 * Byte 0 chooses type and dimensions, the rest is JSON: a list is v3's "codecs", an object v2's
 * {"filters", "compressor"}. What parses must describe itself, parse again to an identical chain,
 * have a text, and carry a small chunk there and back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"

static void require(bool good)
{
    if (!good)
        abort();
}

static cm_chain *parsed(const cm_json *root, cm_dtype dtype, int ndim)
{
    static const int64_t shape[] = {4, 6, 1, 8};
    cm_chain *chain = NULL;
    cm_error err = {0};
    int r = cm_json_is(root, CM_JSON_ARRAY)
                ? cm_chain_parse_v3(root, dtype, ndim, shape, &chain, &err)
                : cm_chain_parse_v2(cm_json_get(root, "filters"), cm_json_get(root, "compressor"),
                                    'F', true, dtype, ndim, shape, &chain, &err);
    require((r == 0) == (chain != NULL) && r == err.code);
    require(r == 0 || r == CM_EDATA || r == CM_EUNSUP || r == CM_ELIMIT);
    return chain;
}

static void describe_again(const cm_chain *chain, int ndim)
{
    cm_json_doc *doc;
    require(cm_json_doc_new(0, &doc, NULL) == 0);
    cm_json *v = cm_chain_describe_v3(chain, doc);
    require(v != NULL);
    cm_chain *again = parsed(v, chain->dtype, ndim);
    require(again && cm_chain_identical(chain, again) && cm_chain_equal(again, chain));
    char *text = cm_chain_text(chain, NULL);
    require(text && text[0]);
    free(text);
    cm_chain_unref(again);
    cm_json_doc_free(doc);
}

static void there_and_back(const cm_chain *chain)
{
    uint8_t data[192 * 16], dec[sizeof data];
    size_t n = chain->a2b == CM_A2B_BYTES ? cm_chain_stored_nbytes(chain) : 100, nenc, ndec;
    require(n <= sizeof data);
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)(i / 3);
    size_t bound = cm_chain_bound(chain, n), nmiddle = cm_chain_middle_nbytes(chain, n);
    uint8_t *enc = malloc(bound ? bound : 1), *middle = malloc(nmiddle ? nmiddle : 1);
    cm_codec_work *work = NULL;
    require(enc && middle && cm_codec_work_new(&work, NULL) == 0);
    int flags, r = cm_chain_encode(chain, work, data, n, enc, bound, &nenc, middle, NULL);
    int nfilters = cm_chain_filters(chain, &flags); /* these refuse what would not come back */
    require(r == 0 || (nfilters != 0 && (r == CM_EUNSUP || r == CM_EINVAL)));
    size_t fixed = cm_chain_fixed_nbytes(chain);
    require(r || fixed == 0 || fixed == nenc);
    require(r || cm_chain_decode(chain, work, 0, enc, nenc, dec, n, &ndec, middle, NULL) == 0);
    require(r || (ndec == n && memcmp(data, dec, n) == 0));
    cm_codec_work_free(work);
    free(enc);
    free(middle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    cm_dtype dtype = cm_dtype_of((cm_kind)(CM_BOOL + (data[0] & 31) % (CM_BYTES - CM_BOOL + 1)), 5);
    int ndim = data[0] >> 5 & 3;
    cm_json_doc *doc;
    if (cm_json_parse((const char *)data + 1, size - 1, 1 << 20, &doc, NULL))
        return 0;
    cm_chain *chain = parsed(cm_json_doc_root(doc), dtype, ndim);
    bool v3 = cm_json_is(cm_json_doc_root(doc), CM_JSON_ARRAY);
    cm_json_doc_free(doc);
    if (chain) {
        /* v2 knows big-endian text and one-byte cells, and filters that look at bytes; v3 metadata
         * have no word for that */
        int flags, nfilters = cm_chain_filters(chain, &flags);
        if (!(chain->big_endian && !chain->endian_given) && (v3 || nfilters == 0))
            describe_again(chain, ndim);
        there_and_back(chain);
    }
    cm_chain_unref(chain);
    return 0;
}
