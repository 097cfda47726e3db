/* cli/spelling.c: edit distance with swaps of neighbours (optimal string alignment).
 *
 * Words are option and command names, so a fixed table of 64 letters is enough; longer words are
 * never suggested.
 */
#include <string.h>

#include "cli/spelling.h"

enum { LONGEST = 63 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][LONGEST + 1];
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t d = before[j - 1] + (a[i - 1] != b[j - 1]);
            d = smaller(d, smaller(before[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d = smaller(d, older[j - 2] + 1);
            now[j] = d;
        }
    }
    return rows[na % 3][nb];
}

void cm_cli_nearest_try(cm_cli_nearest *best, const char *typed, const char *candidate)
{
    size_t nt = strlen(typed), nc = strlen(candidate);
    if (nt == 0 || nt > LONGEST || nc > LONGEST)
        return;
    size_t d = distance(typed, nt, candidate, nc);
    size_t allowed = (nt > nc ? nt : nc) / 3;
    if (nt >= 3 && strncmp(typed, candidate, nt) == 0)
        d = 1;
    else if (d > (allowed ? allowed : 1))
        return;
    if (!best->word || d < best->distance) {
        best->word = candidate;
        best->distance = d;
    }
}
