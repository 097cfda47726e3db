/* base/buffer.c: the growable byte string; see buffer.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"

void cm_buffer_init(cm_buffer *b, size_t max)
{
    *b = (cm_buffer){.max = max};
}

void cm_buffer_deinit(cm_buffer *b)
{
    free(b->data);
    *b = (cm_buffer){.max = b->max};
}

int cm_buffer_reserve(cm_buffer *b, size_t nbytes, cm_error *err)
{
    size_t need;
    if (!cm_add_size(b->nbytes, nbytes, &need) || need > b->max)
        return cm_error_set(err, CM_ELIMIT, "more than %zu bytes", b->max);
    if (need <= b->capacity)
        return 0;
    size_t capacity = b->capacity ? b->capacity : 256;
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    if (capacity > b->max)
        capacity = b->max;
    uint8_t *p = realloc(b->data, capacity);
    if (!p)
        return cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", capacity);
    b->data = p;
    b->capacity = capacity;
    return 0;
}

int cm_buffer_append(cm_buffer *b, const void *data, size_t nbytes, cm_error *err)
{
    int r = cm_buffer_reserve(b, nbytes, err);
    if (r == 0 && nbytes) {
        memcpy(b->data + b->nbytes, data, nbytes);
        b->nbytes += nbytes;
    }
    return r;
}

int cm_buffer_append_string(cm_buffer *b, const char *s, cm_error *err)
{
    return cm_buffer_append(b, s, strlen(s), err);
}

int cm_buffer_printf(cm_buffer *b, cm_error *err, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    int r = n < 0 ? cm_error_set(err, CM_EINVAL, "bad format")
                  : cm_buffer_reserve(b, (size_t)n + 1, err);
    if (r)
        return r;
    va_start(ap, format);
    vsnprintf((char *)b->data + b->nbytes, (size_t)n + 1, format, ap);
    va_end(ap);
    b->nbytes += (size_t)n;
    return 0;
}

char *cm_buffer_take_string(cm_buffer *b)
{
    char *s = realloc(b->data, b->nbytes + 1);
    if (s) {
        s[b->nbytes] = 0;
        *b = (cm_buffer){.max = b->max};
    }
    return s;
}
