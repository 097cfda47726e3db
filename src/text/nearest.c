/* text/nearest.c: edit distance for suggestions.
 *
 * Optimal string alignment (Levenshtein plus swaps of neighbours) in three rows on the stack; names
 * above MAX_NAME bytes are not worth a suggestion and are not measured, which bounds both. Costs
 * are doubled so that a letter in the wrong case (Time for time, the most common slip) costs half
 * an edit. A name that holds the other (lat for latitude, temperature for air_temperature) counts
 * as near, however much is missing: abbreviations are meant.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "text/nearest.h"

#define MAX_NAME 64
#define PART_COST 3 /* more than one edit, less than two */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t cm_edit_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > MAX_NAME || nb > MAX_NAME)
        return strcmp(a, b) == 0 ? 0 : SIZE_MAX;
    size_t rows[3][MAX_NAME + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++)
        above[j] = 2 * j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = 2 * i;
        for (size_t j = 1; j <= nb; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            size_t change = a[i - 1] == b[j - 1] ? 0 : same ? 1 : 2;
            size_t d = above[j - 1] + change;
            d = least(d, above[j] + 2);
            d = least(d, row[j - 1] + 2);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d = least(d, before[j - 2] + 2);
            row[j] = d;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[nb];
}

/* Does text hold part, whatever the case? Only what is long enough to mean something counts. */
static bool holds(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; n >= 3 && *text; text++) {
        size_t i = 0;
        while (i < n && text[i] && lower(text[i]) == lower(part[i]))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

void cm_nearest_init(cm_nearest *n, const char *want)
{
    *n = (cm_nearest){.want = want, .distance = SIZE_MAX};
}

void cm_nearest_offer(cm_nearest *n, const char *candidate)
{
    if (!candidate)
        return;
    size_t d = cm_edit_distance(n->want, candidate);
    if (d > PART_COST && (holds(candidate, n->want) || holds(n->want, candidate)))
        d = PART_COST;
    if (d < n->distance ||
        (d == PART_COST && d == n->distance && strlen(candidate) < strlen(n->best))) {
        n->distance = d;
        n->best = candidate;
    }
}

const char *cm_nearest_best(const cm_nearest *n)
{
    if (!n->best)
        return NULL;
    size_t longest = strlen(n->want), other = strlen(n->best);
    if (other > longest)
        longest = other;
    return n->distance <= 2 * (longest + 2) / 3 ? n->best : NULL;
}
