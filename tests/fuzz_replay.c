/* tests/fuzz_replay.c: main for a fuzz target that runs as an ordinary test.
 *
 *     fuzz_thing FILE_OR_FOLDER...
 *
 * Feeds every file, as it is and as every mutation of a small fixed set: cut at some places, and
 * with single bytes changed. So a corpus of a few valid files already tries what damaged ones do.
 * The target itself aborts when something is wrong; a sanitizer does too. Nothing is random: what
 * fails once fails again. No files at all is a failure.
 *
 * LLVMFuzzerCustomMutator and the like are not used.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

enum { CUTS = 40, CHANGES = 200, SECONDS_PER_FILE = 2 };

static long nfiles, nruns;

/* The input in memory of exactly its size, so that a sanitizer sees every byte read beyond it. */
static void feed(const uint8_t *data, size_t nbytes)
{
    uint8_t *own = malloc(nbytes ? nbytes : 1);
    if (!own)
        exit(1);
    if (nbytes)
        memcpy(own, data, nbytes);
    LLVMFuzzerTestOneInput(own, nbytes);
    free(own);
    nruns++;
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void feed_mutations(uint8_t *data, size_t nbytes)
{
    time_t end = time(NULL) + SECONDS_PER_FILE;
    for (size_t k = 0; k < CUTS && nbytes && time(NULL) < end; k++)
        feed(data, nbytes < CUTS ? k % nbytes : nbytes * k / CUTS);
    for (uint64_t k = 0; k < CHANGES && nbytes && time(NULL) < end; k++) {
        static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '"', '[', '9'};
        size_t at = (size_t)(mix(k * 2 + 1) % nbytes);
        uint8_t was = data[at];
        data[at] = (uint8_t)(k % 3 ? odd[mix(k) % sizeof odd] : was ^ 1u << k % 8);
        feed(data, nbytes);
        data[at] = was;
    }
}

static int feed_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        printf("# cannot read %s\n", path);
        if (f)
            fclose(f);
        return 1;
    }
    long n = ftell(f);
    uint8_t *data = n < 0 ? NULL : malloc((size_t)n + 1);
    rewind(f);
    int r = !data || fread(data, 1, (size_t)n, f) != (size_t)n;
    fclose(f);
    if (r == 0) {
        printf("# %s\n", path);
        fflush(stdout); /* names the culprit when the target dies */
        feed(data, (size_t)n);
        feed_mutations(data, (size_t)n);
        nfiles++;
    }
    free(data);
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct dirent *const *x = a, *const *y = b;
    return strcmp((*x)->d_name, (*y)->d_name);
}

static int feed_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        printf("# there is no %s\n", path);
        return 1;
    }
    if (!S_ISDIR(st.st_mode))
        return feed_file(path);
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, NULL), r = n < 0;
    if (n > 0)
        qsort(entries, (size_t)n, sizeof *entries, by_name);
    for (int i = 0; i < n; i++) {
        char whole[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(whole, sizeof whole, "%s/%s", path, entries[i]->d_name);
            r |= feed_path(whole);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int main(int argc, char **argv)
{
    int r = 0;
    feed((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        r |= feed_path(argv[i]);
    r |= nfiles == 0;
    printf("%sok 1 - %ld files, %ld inputs\n1..1\n", r ? "not " : "", nfiles, nruns);
    return r;
}
