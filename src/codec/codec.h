/* codec/codec.h: codecs and chains of them.
 *
 * A chain turns the cells of one chunk into stored bytes and back, in three stages, as Zarr v3 says
 * ("Codecs", zarr-specs v3 core): array to array (transpose), array to bytes (bytes, vlen-utf8,
 * sharding_indexed), bytes to bytes (blosc, zstd, gzip, ...). Zarr v2's filters and compressor and
 * HDF5's filter pipeline are read into the same chain. The engine handles transpose, byte order and
 * sharding itself while scattering; so the array stages are plain fields here, and only
 * bytes-to-bytes stages (and vlen-utf8) are codecs with functions.
 *
 * "Encode order" is the order of the metadata: stage 0 is applied first when writing, last when
 * reading.
 *
 * Threads: a chain is immutable after it is made and may be used from many threads; each brings its
 * own cm_codec_work.
 */
#ifndef CM_CODEC_CODEC_H
#define CM_CODEC_CODEC_H

#include "base/buffer.h"
#include "chunkmill/dtype.h"
#include "chunkmill/json.h"
#include "text/utf8.h"

/* Which metadata dialect a codec's configuration is in. */
typedef enum cm_dialect {
    CM_ZARR3, /* {"name": "zstd", "configuration": {...}} or "zstd" */
    CM_ZARR2, /* {"id": "zstd", "level": 5}: a numcodecs configuration */
} cm_dialect;

/* One configured bytes-to-bytes codec. */
typedef struct cm_codec cm_codec;

/* One thread's decompressor and compressor states, reused. */
typedef struct cm_codec_work cm_codec_work;

enum {
    CM_FILTER_LOSSY = 1,  /* not every cell comes back: encoding refuses those that do not */
    CM_FILTER_BIG = 2,    /* configured for big-endian numbers */
    CM_FILTER_LAYOUT = 4, /* only where cells or their bytes lie: copies do without it */
    CM_FILTER_BYTES = 8   /* what it makes is bytes: Zarr v3's array-to-bytes codecs */
};

/* What an array codec is given, and what it makes of it: cells of a type in C order. */
typedef struct cm_array_form {
    cm_dtype dtype;  /* record is borrowed */
    bool big_endian; /* v2; in v3 numbers between codecs have no order and are little-endian */
    int ndim;        /* -1: not known (v2's filters after the first) */
    int64_t shape[CM_MAX_DIMS];
} cm_array_form;

/* A class of bytes-to-bytes codecs: one per file, one registry (codec/registry.c). */
typedef struct cm_codec_class {
    const char *name;  /* v3 name, e.g. "numcodecs.lz4" for those that v3 core does not define */
    const char *v2_id; /* numcodecs id, NULL if there is none */

    /* Make a codec from a configuration object (v3: the "configuration" member, may be NULL; v2:
     * the whole object). Unknown members are CM_EUNSUP by name. dtype gives the type size to
     * shuffles that leave it out. */
    int (*parse)(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                 cm_error *err);

    /* The same for codecs that depend on more than the type: instead of parse. */
    int (*parse_array)(const cm_json *config, cm_dialect dialect, const cm_array_form *in,
                       cm_codec **out, cm_error *err);

    /* The configuration again, as an element of "codecs" (v3) or a filter/compressor object
     * (v2). */
    cm_json *(*describe)(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect);

    /* Most bytes that encoding n bytes can give. */
    size_t (*bound)(const cm_codec *codec, size_t n);

    /* Memory that the libraries behind it take for n bytes of decoded data, beside src and dst:
     * what the budget is charged. */
    size_t (*scratch)(const cm_codec *codec, size_t n, bool encoding);

    /* src[0..nsrc) -> dst[0..capacity), *nout bytes. Decode: a frame that is malformed or has bytes
     * left over is CM_EDATA; one that wants more than capacity is CM_ELIMIT, with *nout the size it
     * wants where the frame says so, else 0 (a chain makes CM_EDATA of it where the size is known).
     * Encode: capacity is at least bound(nsrc). src and dst do not overlap; but a codec with `view`
     * also encodes in place, src == dst. */
    int (*encode)(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err);
    int (*decode)(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err);

    /* For checksums, whose decoded bytes lie unchanged inside the encoded ones: check src and say
     * where, so that a chain need not copy. NULL for all others. has_view: which codecs of the
     * class can; NULL: all. */
    int (*view)(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset, size_t *nbytes,
                cm_error *err);
    bool (*has_view)(const cm_codec *codec);

    /* Encoding piece by piece, for chunks that nobody wants to hold whole; NULL for codecs that
     * cannot. begin: n bytes will come. feed: the next of them; what is encoded so far is written,
     * all of it when `last`. stream_scratch: memory for that, in all. */
    int (*stream_begin)(const cm_codec *codec, cm_codec_work *work, size_t n, cm_error *err);
    int (*stream_feed)(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       bool last, cm_write_fn write, void *to, cm_error *err);
    size_t (*stream_scratch)(const cm_codec *codec, size_t n);

    /* Exact encoded size of n bytes if it is a function of n (shuffle: n, crc32c: n + 4), which is
     * what a shard's index needs; NULL for compressors. */
    size_t (*encoded_size)(const cm_codec *codec, size_t n);

    /* For those that Zarr v3 has among the codecs of arrays: *form becomes what the codec makes of
     * it (left alone where the result is bytes). Returns CM_FILTER_ flags. NULL for all others. */
    int (*filter)(const cm_codec *codec, cm_array_form *form);

    /* Append the text for people: "zstd:3", "blosc(zstd:5,shuffle,4)". */
    int (*text)(const cm_codec *codec, cm_buffer *out, cm_error *err);

    /* Of two codecs of this class: does each decode what the other encodes; exactly: and are they
     * configured alike (level and all)? */
    bool (*equal)(const cm_codec *a, const cm_codec *b, bool exactly);
} cm_codec_class;

struct cm_codec {
    const cm_codec_class *cls;
};

void cm_codec_free(cm_codec *codec); /* codecs are one malloc'ed block each */

/* cls->parse_array or cls->parse. */
int cm_codec_parse(const cm_codec_class *cls, const cm_json *config, cm_dialect dialect,
                   const cm_array_form *in, cm_codec **out, cm_error *err);

/* Does decoding only look (view)? */
bool cm_codec_looks_through(const cm_codec *codec);

/* NULL when there is none of that name. v3 also accepts the numcodecs names "numcodecs.zlib",
 * ... */
const cm_codec_class *cm_codec_class_named(const char *name, cm_dialect dialect);

/* Make codecs by hand: HDF5 filters, the CLI's "zstd:5". level as the codec's own. All raise
 * CM_EINVAL (a number outside the codec's range) and CM_ENOMEM. */
int cm_codec_new_zlib(int level, cm_codec **out, cm_error *err); /* HDF5 deflate, v2 "zlib" */
int cm_codec_new_gzip(int level, cm_codec **out, cm_error *err);
int cm_codec_new_bz2(int level, cm_codec **out, cm_error *err); /* HDF5's 307 as well */
int cm_codec_new_zstd(int level, bool checksum, cm_codec **out, cm_error *err);

/* Bytes that a shuffle takes as one element; 1 for all other codecs. HDF5 leaves a rest as it is,
 * numcodecs refuses bytes that are no multiple. */
uint32_t cm_codec_shuffle_width(const cm_codec *codec);

/* numcodecs' LZ4: a block with its decoded size in 4 bytes before it. */
int cm_codec_new_lz4(int acceleration, cm_codec **out, cm_error *err);

/* shuffle: 0, 1 byte, 2 bit. blocksize 0: as blosc chooses. */
int cm_codec_new_blosc(const char *compressor, int level, int shuffle, uint32_t typesize,
                       int64_t blocksize, cm_codec **out, cm_error *err);

/* HDF5's and numcodecs' are the same bytes. */
int cm_codec_new_shuffle(uint32_t typesize, cm_codec **out, cm_error *err);

/* 4 bytes at the end: crc32c little-endian; fletcher32 as HDF5 and numcodecs have it. */
int cm_codec_new_crc32c(cm_codec **out, cm_error *err);
int cm_codec_new_fletcher32(cm_codec **out, cm_error *err);

/* ---- filters of HDF5 that no Zarr store has: they decode and cannot encode (cls->encode, describe
 * and parse are NULL). Their parameters are those of the filter message; ones that cannot be are
 * CM_EDATA. ---- */

/* h5py's lzf (32000); the registered lz4 (32004). */
int cm_codec_new_lzf(cm_codec **out, cm_error *err);
int cm_codec_new_lz4_hdf5(cm_codec **out, cm_error *err);

typedef enum cm_bitshuffle_inner {
    CM_BITSHUFFLE_PLAIN,
    CM_BITSHUFFLE_LZ4,
    CM_BITSHUFFLE_ZSTD
} cm_bitshuffle_inner;

/* The registered bitshuffle (32008). cell: bytes; block: cells, 0 for the rule. */
int cm_codec_new_bitshuffle_hdf5(uint32_t cell, uint32_t block, cm_bitshuffle_inner inner,
                                 cm_codec **out, cm_error *err);

/* szip (4): options mask, pixels of a block, bits of a pixel, pixels of a scanline. */
int cm_codec_new_szip(uint32_t options, uint32_t block, uint32_t bits, uint32_t scanline,
                      cm_codec **out, cm_error *err);

/* nbit (5) and scaleoffset (6). */
int cm_codec_new_nbit(const uint32_t *values, size_t nvalues, cm_codec **out, cm_error *err);
int cm_codec_new_scaleoffset(const uint32_t *values, size_t nvalues, cm_codec **out, cm_error *err);

/* ---------------------------------------------------------------------------------------------- */

/* Parse the command line's NAME[:ARG]...: "blosc:zstd:5:shuffle", "zstd:3", "gzip:6", "zlib:6",
 * "lz4:1", "lz4", "none" (*out = NULL). dtype chooses blosc's typesize. CM_EINVAL with the known
 * names in the hint. */
int cm_codec_from_spec(const char *spec, cm_dtype dtype, cm_codec **out, cm_error *err);

int cm_codec_work_new(cm_codec_work **out, cm_error *err);
void cm_codec_work_free(cm_codec_work *work);

/* ---- chains ---------------------------------------------------------------------------------- */

#define CM_MAX_STAGES 32

typedef enum cm_array_codec {
    CM_A2B_BYTES,    /* cells in a byte order */
    CM_A2B_VLEN,     /* vlen-utf8, -bytes, -array: u32 count, then u32 length + bytes for each */
    CM_A2B_SHARDING, /* sharding_indexed */
    CM_A2B_CUSTOM    /* a format's own cells (HDF5 strings in the global heap); array/chunked.h */
} cm_array_codec;

typedef struct cm_chain {
    int refcount;   /* atomic */
    cm_dtype dtype; /* in memory */
    int ndim;
    int64_t shape[CM_MAX_DIMS]; /* of a chunk, in the array's own axis order */

    bool transposed; /* stored axis i is array axis order[i] */
    int order[CM_MAX_DIMS];

    cm_array_codec a2b;
    bool big_endian;      /* CM_A2B_BYTES: stored byte order */
    bool endian_given;    /* the metadata has an "endian" member (absent for one-byte types) */
    uint32_t stored_size; /* bytes per cell as stored: dtype.size; CUSTOM: its own; VLEN: 0 */

    int nstages; /* bytes to bytes, encode order; HDF5's filter i is stage i */
    cm_codec *stages[CM_MAX_STAGES];

    /* How the format that made the stages wrote them, if it left that here: what another process
     * makes the same stages of. Owned. */
    void *note;
    size_t note_nbytes;

    /* CM_A2B_SHARDING: inner chunks of inner->shape, which is in the order of the stored axes
     * (after the transpose) and divides the shard's; an index of (offset, nbytes) pairs. Stages
     * after a sharding codec (a compressed shard) are legal but rare; their decoded size is not
     * known. */
    struct cm_chain *inner;
    struct cm_chain *index; /* of the index array: uint64, ndim + 1 axes; fixed-size codecs only */
    bool index_at_start;

    struct cm_chain *lender; /* not NULL: the stages are that chain's */
} cm_chain;

cm_chain *cm_chain_ref(cm_chain *chain);
void cm_chain_unref(cm_chain *chain);

/* A chain of "bytes" in little-endian order (vlen-utf8 for strings) for this chunk shape, no
 * stages. Raises CM_EUNSUP (more than CM_MAX_DIMS axes), CM_EDATA (a length below 1), CM_ELIMIT (a
 * chunk that size_t cannot count), CM_ENOMEM. */
int cm_chain_new(cm_dtype dtype, int ndim, const int64_t *shape, cm_chain **out, cm_error *err);

/* The same bytes as a chunk with one more axis, of length 1, before the others. Raises CM_EUNSUP
 * (shards, cells of a format's own, too many axes), CM_ENOMEM. */
int cm_chain_with_lead(cm_chain *chain, cm_chain **out, cm_error *err);

/* Put a stage at the end. stage is taken, also on failure. Raises CM_EUNSUP (more than
 * CM_MAX_STAGES). */
int cm_chain_append(cm_chain *chain, cm_codec *stage, cm_error *err);

/* From v3's "codecs" array: shape is the chunk's (for sharding: the shard's). Every rule of the
 * spec is checked: exactly one array-to-bytes codec, transpose a permutation, inner shape divides,
 * index codecs of fixed size. Unknown codecs: CM_EUNSUP by name, unless the object has
 * must_understand: false, which the core specification (v3.1, "must_understand") lets a reader
 * leave out. */
int cm_chain_parse_v3(const cm_json *codecs, cm_dtype dtype, int ndim, const int64_t *shape,
                      cm_chain **out, cm_error *err);
cm_json *cm_chain_describe_v3(const cm_chain *chain, cm_json_doc *doc);

/* Shards of `shape` holding chunks of inner's shape, whose lengths divide; index at the end with a
 * crc32c. inner is taken, also on failure. */
int cm_chain_new_sharding(cm_chain *inner, const int64_t *shape, cm_chain **out, cm_error *err);

/* How many of the chain's stages, the first ones, are filters; *flags: theirs together, but for
 * CM_FILTER_LAYOUT. -1 when a filter comes after something else. */
int cm_chain_filters(const cm_chain *chain, int *flags);

/* Put copies of from's stages behind those of `to`, a chain of the same type of cells and perhaps
 * other chunks, to be written in this dialect: without those that are CM_FILTER_LAYOUT, and
 * little-endian. Raises what parsing raises: a codec may not suit the other chunks. */
int cm_chain_copy_stages(const cm_chain *from, cm_chain *to, cm_dialect dialect, cm_error *err);

/* From v2's "filters" and "compressor" (JSON null or values), "order" 'C' or 'F', and the byte
 * order of the dtype. */
int cm_chain_parse_v2(const cm_json *filters, const cm_json *compressor, char order,
                      bool big_endian, cm_dtype dtype, int ndim, const int64_t *shape,
                      cm_chain **out, cm_error *err);

/* One-line text for people: "transpose(1,0) blosc(zstd:5,shuffle,4) crc32c", "none"; sharding shows
 * "shard[16,16](zstd:0)". Appended as a new string. */
char *cm_chain_text(const cm_chain *chain, cm_error *err);

/* True when the stored bytes of two chains with the same chunk shape are interchangeable: each
 * decodes what the other encodes. Compression levels do not matter, nor does blosc's compressor. */
bool cm_chain_equal(const cm_chain *a, const cm_chain *b);

/* The same, and configured alike: what one encodes the other would have encoded the same way. */
bool cm_chain_identical(const cm_chain *a, const cm_chain *b);

/* Do stored cells differ from those in memory in their order or in the order of their bytes? */
bool cm_chain_reorders(const cm_chain *chain);

/* Bytes of one decoded chunk as stored (after the array stages, before bytes-to-bytes): nelem *
 * stored_size. Checked at making: fits size_t. */
size_t cm_chain_stored_nbytes(const cm_chain *chain);

/* Most bytes of an encoded chunk; and exact size if fixed (no compressor), else 0. */
size_t cm_chain_bound(const cm_chain *chain, size_t stored_nbytes);
size_t cm_chain_fixed_nbytes(const cm_chain *chain);

/* What the budget must be charged for decoding (encoding) one chunk beside the encoded bytes and
 * the final stored bytes: middle buffers and the libraries' own memory. */
size_t cm_chain_decode_scratch(const cm_chain *chain, size_t stored_nbytes);
size_t cm_chain_encode_scratch(const cm_chain *chain, size_t stored_nbytes);

/* The bytes-to-bytes part only. Stages whose bit i is set in skip_mask were not applied (HDF5
 * filter mask) and are left out. scratch: cm_chain_middle_nbytes() bytes, may be NULL when that is
 * 0. No buffer may overlap another. A chain without stages copies (callers avoid it by reading in
 * place).
 *
 * decode: the result must be exactly nstored bytes, else CM_EDATA. With CM_A2B_VLEN and
 * CM_A2B_SHARDING the size is unknown: pass the capacity in nstored and take the real size from
 * *nout; a capacity that is too small is CM_ELIMIT with *nout the size needed, if known (0
 * otherwise: try twice as much).
 *
 * encode: nsrc decoded bytes, capacity at least cm_chain_bound(nsrc), scratch for nsrc. */
size_t cm_chain_middle_nbytes(const cm_chain *chain, size_t stored_nbytes);
int cm_chain_decode(const cm_chain *chain, cm_codec_work *work, uint32_t skip_mask, const void *src,
                    size_t nsrc, void *dst, size_t nstored, size_t *nout, void *scratch,
                    cm_error *err);
int cm_chain_encode(const cm_chain *chain, cm_codec_work *work, const void *src, size_t nsrc,
                    void *dst, size_t capacity, size_t *nout, void *scratch, cm_error *err);

/* Encoding a chunk piece by piece: see cm_codec_class. Possible when its cells are stored in C
 * order and there is no stage, or one that can. Pieces are whole cells in the order of storage,
 * nstored bytes in all. */
bool cm_chain_streams(const cm_chain *chain);
size_t cm_chain_stream_scratch(const cm_chain *chain, size_t stored_nbytes);
int cm_chain_stream_begin(const cm_chain *chain, cm_codec_work *work, size_t nstored,
                          cm_error *err);
int cm_chain_stream_feed(const cm_chain *chain, cm_codec_work *work, const void *src, size_t nsrc,
                         bool last, cm_write_fn write, void *to, cm_error *err);

/* numcodecs' VLenUTF8 and its like: decode src into nelem views whose bytes are inside src (no
 * copies). Of CM_STRING each must be valid UTF-8 (text/utf8.h), of CM_VBYTES any bytes, of
 * CM_SEQUENCE whole cells; the count must be nelem and nothing may be left over (CM_EDATA). */
int cm_vlen_decode(cm_dtype dtype, const void *src, size_t nsrc, cm_string *dst, size_t nelem,
                   cm_error *err);

/* The other way. encoded_nbytes: SIZE_MAX on overflow or when a string is over 4 GiB; dst has so
 * many bytes. */
size_t cm_vlen_encoded_nbytes(const cm_string *src, size_t nelem);
void cm_vlen_encode(const cm_string *src, size_t nelem, void *dst);

#endif
