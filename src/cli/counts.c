/* cli/counts.c: see the header. */
#include "cli/counts.h"

int64_t cm_cli_number(const cm_json *object, const char *key)
{
    int64_t n = 0;
    cm_json_int64(cm_json_get(object, key), &n);
    return n;
}

const char *cm_cli_plural(int64_t n)
{
    return n == 1 ? "" : "s";
}
