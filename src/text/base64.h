/* text/base64.h: bytes as text (RFC 4648, section 4: the standard alphabet, padded). */
#ifndef CM_TEXT_BASE64_H
#define CM_TEXT_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const char cm_base64_digits[65]; /* and a NUL */

/* Characters for n bytes: four for every three begun. n is below SIZE_MAX / 2. */
size_t cm_base64_nbytes(size_t n);

/* out: cm_base64_nbytes(n) characters, no NUL. */
void cm_base64_encode(const void *data, size_t n, char *out);

/* *nbytes: what n characters decode to, which out must have room for: at most three for every four.
 * Only what an encoder writes is decoded, so that encoding gives it back: no line breaks, no
 * missing padding, zeros in the bits that no byte has. False for anything else. */
bool cm_base64_decode_size(const char *s, size_t n, size_t *nbytes);
bool cm_base64_decode(const char *s, size_t n, void *out, size_t *nbytes);

#endif
