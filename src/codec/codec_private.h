/* codec/codec_private.h: what the codecs share with each other and nobody else sees. */
#ifndef CM_CODEC_CODEC_PRIVATE_H
#define CM_CODEC_CODEC_PRIVATE_H

#include "codec/codec.h"

/* ---- the classes, one per file --------------------------------------------------------------- */

extern const cm_codec_class cm_class_adler32, cm_class_base64, cm_class_blosc, cm_class_bz2,
    cm_class_crc32, cm_class_crc32c, cm_class_fletcher32, cm_class_gzip, cm_class_lookup3,
    cm_class_lz4, cm_class_lzma, cm_class_shuffle, cm_class_zlib, cm_class_zstd;

/* Codecs of arrays. */
extern const cm_codec_class cm_class_astype, cm_class_bitround, cm_class_cast_value,
    cm_class_categorize, cm_class_delta, cm_class_fixedscaleoffset, cm_class_json2,
    cm_class_packbits, cm_class_packbits_bool, cm_class_quantize, cm_class_reshape,
    cm_class_scale_offset;

/* Those that a chain makes by itself: a transpose behind a filter, and "bytes" behind one. */
extern const cm_codec_class cm_class_byteswap, cm_class_transpose;

/* form is changed to the transposed one. */
int cm_codec_new_transpose(const int *order, cm_array_form *form, cm_codec **out, cm_error *err);
int cm_codec_new_byteswap(uint32_t word, cm_codec **out, cm_error *err);

/* Those that only HDF5 files have: they decode, but neither encode nor have a configuration, and
 * the registry does not know them. */
extern const cm_codec_class cm_class_bitshuffle_hdf5, cm_class_lz4_hdf5, cm_class_lzf,
    cm_class_nbit, cm_class_scaleoffset, cm_class_szip;

/* A zeroed codec of nbytes bytes, whose first member is a cm_codec. */
int cm_codec_alloc(const cm_codec_class *cls, size_t nbytes, void *out, cm_error *err);

/* The same with the content of src, which is of this type and whose cls is set here. */
int cm_codec_copy(const cm_codec_class *cls, const void *src, size_t nbytes, cm_codec **out,
                  cm_error *err);

/* The scratch function of codecs that need none. */
size_t cm_no_scratch(const cm_codec *codec, size_t n, bool encoding);

/* CM_EUNSUP for a name that the registry does not know, with the reason where there is one. what:
 * "codec", "filter", "compressor". */
int cm_codec_unknown(const char *name, cm_dialect dialect, const char *what, cm_error *err);

/* ---- reading configurations (config.c) ------------------------------------------------------- */

/* One member that a configuration may have. */
typedef struct cm_config_field {
    const char *key;
    int64_t min, max;    /* of integers */
    int64_t *value;      /* integers are put here; its content is the default */
    bool *flag;          /* or booleans here */
    const char **string; /* or strings here (borrowed from the document) */
    bool null_allowed;   /* null is the same as leaving it out */
    bool required;
} cm_config_field;

/* Read config (NULL, or an object) by these fields. A member that is not among them is CM_EUNSUP by
 * name, unless it is an object with must_understand: false; a wrong type or a value out of bounds
 * is CM_EDATA. codec: the name for messages. With CM_ZARR2 the member "id" is passed over. */
int cm_config_read(const cm_json *config, cm_dialect dialect, const char *codec,
                   const cm_config_field *fields, size_t nfields, cm_error *err);

/* True for an object with must_understand: false. */
bool cm_config_ignorable(const cm_json *v);

/* {"name": name, "configuration": {}} or, for CM_ZARR2, {"id": id}; *config is the object that
 * takes the members. NULL when memory is out. */
cm_json *cm_config_describe(cm_json_doc *doc, const cm_codec_class *cls, const char *v3_name,
                            cm_dialect dialect, cm_json **config);

/* ---- one thread's states (work.c) ------------------------------------------------------------ */

/* Each is made on first use and kept; NULL with CM_ENOMEM set when that fails. They are the
 * libraries' types, void here so that this header needs none of theirs. */
void *cm_work_inflater(cm_codec_work *work, cm_error *err); /* struct libdeflate_decompressor */
void *cm_work_deflater(cm_codec_work *work, int level,
                       cm_error *err); /* struct libdeflate_compressor of level 0..12 */
void *cm_work_zstd_decoder(cm_codec_work *work, cm_error *err); /* ZSTD_DCtx */
void *cm_work_zstd_encoder(cm_codec_work *work, int level, bool checksum,
                           cm_error *err);                   /* ZSTD_CCtx, set up */
void *cm_work_lz4_state(cm_codec_work *work, cm_error *err); /* LZ4_sizeofState() bytes */
/* At least nbytes of plain memory, content undefined; valid until the next call. */
void *cm_work_bytes(cm_codec_work *work, size_t nbytes, cm_error *err);

/* What they take: for scratch(). */
#define CM_INFLATER_NBYTES ((size_t)16 << 10)
size_t cm_deflater_nbytes(int level);
size_t cm_zstd_nbytes(int level, size_t nbytes, bool encoding); /* for inputs of nbytes */

/* ---- byte shuffle kernels (shuffle_kernels.c) ------------------------------------------------ */

/* dst[j * nelem + i] = src[i * size + j] for i < nelem, j < size, and back. The buffers do not
 * overlap. The _scalar ones are the reference that the test holds the others to. */
void cm_shuffle(const void *src, void *dst, size_t nelem, size_t size);
void cm_unshuffle(const void *src, void *dst, size_t nelem, size_t size);
void cm_shuffle_scalar(const void *src, void *dst, size_t nelem, size_t size);
void cm_unshuffle_scalar(const void *src, void *dst, size_t nelem, size_t size);
/* One kernel by itself, for the test: level 0 SSE2, 1 AVX2. Returns how many elements, from the
 * first on, it did (a multiple of its step); 0 if it does not exist or this CPU cannot run it. */
size_t cm_shuffle_kernel(const void *src, void *dst, size_t nelem, size_t size, bool forward,
                         int level);

/* blosc's bit shuffle (bitshuffle.c) of nelem (a multiple of 8) elements, and back. tmp: as many
 * bytes as src. The buffers do not overlap. */
void cm_bitshuffle(const void *src, void *dst, void *tmp, size_t nelem, size_t size);
void cm_bitunshuffle(const void *src, void *dst, void *tmp, size_t nelem, size_t size);

/* ---- chains ---------------------------------------------------------------------------------- */

/* Is the decoded size of a chunk known beforehand? Not with vlen-utf8, nor when a whole shard is
 * compressed. */
bool cm_chain_size_known(const cm_chain *chain);

/* A new chain with a2b and order as given, everything checked; inner and index are not set. */
int cm_chain_alloc(cm_dtype dtype, int ndim, const int64_t *shape, cm_chain **out, cm_error *err);

#endif
