#!/bin/sh
# tools/demo.sh PROGRAM: a climate model's file, fetched from PyPI (the package iris-sample-data, Open
# Government Licence, 29 MB), converted to a Zarr cube, compared with what it came from, and looked at.
# The files that the examples of --help name are made beside it.
set -eu
program=$(realpath "$1")
cd "$(dirname "$0")/.."
dir=build/demo
file=A1B_north_america.nc
mkdir -p $dir

if [ ! -f $dir/$file ]; then
    echo "== fetching iris-sample-data 2.5.2 from PyPI"
    pip=
    for p in ${PYTHON:-python3 /usr/bin/python3}; do
        "$p" -m pip --version >/dev/null 2>&1 && { pip="$p -m pip"; python=$p; break; }
        # Debian's python3 comes without pip; its venv module brings one
        "$p" -m venv $dir/venv >/dev/null 2>&1 && { python=$dir/venv/bin/python; pip="$python -m pip"; break; }
    done
    [ -n "$pip" ] || { echo "the demo needs python3 with pip or venv: make deps" >&2; exit 1; }
    $pip download --quiet --disable-pip-version-check --no-deps --dest $dir iris-sample-data==2.5.2
    "$python" - $dir/iris_sample_data-2.5.2-*.whl $file $dir <<'END'
import pathlib, sys, zipfile
wheel, name, folder = sys.argv[1:]
data = zipfile.ZipFile(wheel).read("iris_sample_data/sample_data/" + name)
target = pathlib.Path(folder, name)
target.with_suffix(".part").write_bytes(data)
target.with_suffix(".part").rename(target)
END
fi
"${python:-${PYTHON:-python3}}" tools/make_tas.py $dir
cd $dir

show() {
    printf '\n$ chunkmill'
    printf ' %s' "$@"
    printf '\n'
    "$program" "$@"
}
show info $file
# what the suggestions below and the examples of --help made the last time
rm -rf a1b.zarr maps.zarr recent.zarr tas.zarr list.zarr part.zarr tas.json tas.parq copy.parq axes.json
show rechunk $file a1b.zarr --chunks time=240,latitude=10,longitude=10
show diff $file a1b.zarr
show verify a1b.zarr
show info a1b.zarr
show values a1b.zarr air_temperature --sel time=2098/2099,latitude=50:55,longitude=240:245

cat <<END

The file holds one map per year, so that the series of one place lies all over it. The cube that you
have now, $dir/a1b.zarr, holds whole series of 10 x 10 places. What to try next:

    cd $dir
    PATH=$(dirname "$program"):\$PATH
    chunkmill rechunk $file maps.zarr --chunks time=12 --codec zstd:5     # whole maps again
    chunkmill rechunk $file recent.zarr --sel time=2000/2099 --vars air_temperature
    chunkmill rechunk $file big.zarr --dry-run --max-mem 64MB             # the plan only
    chunkmill values a1b.zarr time --json
    chunkmill help rechunk                                                # its examples work here too

In Python: xarray.open_zarr("$dir/a1b.zarr")
END
