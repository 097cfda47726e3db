/* examples/region.c: print a corner of a variable: at most 3 cells along each axis.
 *
 *     cc region.c $(pkg-config --cflags --libs chunkmill) -o region
 *     ./region FILE VARIABLE
 *
 * FILE is NetCDF, HDF5 or a Zarr store; cells are read as they are stored, so this prints only
 * float32 and float64. Every function that can fail returns 0 or an error code and fills `err`.
 */
#include <stdio.h>
#include <stdlib.h>

#include <chunkmill.h>

static int print_corner(cm_context *ctx, cm_array *array, cm_error *err)
{
    cm_dtype dtype = cm_array_dtype(array);
    int64_t start[CM_MAX_DIMS] = {0}, count[CM_MAX_DIMS], n = 1;
    for (int i = 0; i < cm_array_ndim(array); i++) {
        int64_t length = cm_array_shape(array)[i];
        count[i] = length < 3 ? length : 3;
        n *= count[i];
    }
    if (dtype.kind != CM_FLOAT32 && dtype.kind != CM_FLOAT64)
        return cm_error_set(err, CM_EUNSUP, "neither float32 nor float64");
    void *cells = malloc((size_t)n * dtype.size + 1);
    if (!cells)
        return cm_error_set(err, CM_ENOMEM, "out of memory");
    int r = cm_array_read(ctx, array, start, count, cells, NULL, NULL, err);
    for (int64_t i = 0; i < n && r == 0; i++)
        printf("%.9g\n", dtype.size == 4 ? (double)((float *)cells)[i] : ((double *)cells)[i]);
    free(cells);
    return r;
}

int main(int argc, char **argv)
{
    cm_context *ctx = NULL; /* threads and the memory budget; NULL options are the defaults */
    cm_dataset *ds = NULL;
    cm_variable *v;
    cm_error err;
    cm_error_clear(&err);
    if (argc != 3) {
        fprintf(stderr, "usage: region FILE VARIABLE\n");
        return 2;
    }
    int r = cm_context_new(NULL, &ctx, &err);
    if (r == 0)
        r = cm_dataset_open(ctx, argv[1], NULL, &ds, &err);
    if (r == 0) {
        v = cm_group_find_variable(cm_dataset_root(ds), argv[2]);
        if (!v)
            r = cm_error_set(&err, CM_ENOTFOUND, "there is no variable %s", argv[2]);
        else if (cm_variable_problem(v))
            r = (err = *cm_variable_problem(v)).code;
        else
            r = print_corner(ctx, cm_variable_array(v), &err);
        cm_error_object(&err, argv[1]);
    }
    if (r != 0) {
        char line[2048];
        fprintf(stderr, "region: %s\n", cm_error_line(&err, line, sizeof line));
    }
    cm_dataset_free(ds);
    cm_context_free(ctx);
    return cm_code_exit(r);
}
