/* text/utf8.h: is it UTF-8? (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF.) */
#ifndef CM_TEXT_UTF8_H
#define CM_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Number of leading bytes of s[0..nbytes) that are whole UTF-8 characters; nbytes when all is well.
 * NUL is a character like any other. */
size_t cm_utf8_span(const char *s, size_t nbytes);

bool cm_utf8_valid(const char *s, size_t nbytes);

/* Write code point c (a scalar value) at out, 4 bytes of room; returns the number of bytes. */
size_t cm_utf8_put(uint32_t c, char *out);

#endif
