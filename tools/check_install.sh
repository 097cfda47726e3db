#!/bin/sh
# tools/check_install.sh BUILD_DIR: installs into a folder of the build, then compiles, links and runs a
# program against it as a stranger would, with the shared library, with the static one, and in C++.
set -eu
build=$1
prefix=$build/check-install
rm -rf "$prefix"
cmake --install "$build" --prefix "$prefix" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name chunkmill.pc)")
lib=$(dirname "$(find "$prefix" -name 'libchunkmill.so')")
export PKG_CONFIG_PATH
cat >"$prefix/use.c" <<'END'
#include <stdio.h>
END
for h in "$prefix"/include/chunkmill/*.h; do
    echo "#include <chunkmill/$(basename "$h")>" >>"$prefix/use.c"
done
cat >>"$prefix/use.c" <<'END'
int main(void)
{
    cm_context *ctx = NULL;
    cm_error err;
    cm_error_clear(&err);
    if (cm_context_new(NULL, &ctx, &err) != 0)
        return 1;
    cm_context_free(ctx);
    puts(cm_version());
    return 0;
}
END
want=$(pkg-config --modversion chunkmill)
check() {
    got=$("$@")
    [ "$got" = "$want" ] || { echo "not ok 1 - $*: $got, want $want"; exit 1; }
}
flags="-Wall -Wextra -Werror ${CM_LINK_FLAGS:-}"
${CC:-cc} $flags "$prefix/use.c" $(pkg-config --cflags --libs chunkmill) -o "$prefix/use-shared"
check env LD_LIBRARY_PATH="$lib" "$prefix/use-shared"
${CC:-cc} $flags "$prefix/use.c" $(pkg-config --cflags chunkmill) "$lib/libchunkmill.a" \
    $(pkg-config --static --libs chunkmill | sed 's/-lchunkmill//') -o "$prefix/use-static"
check "$prefix/use-static"
if command -v "${CXX:-c++}" >/dev/null; then
    ${CXX:-c++} -x c++ $flags "$prefix/use.c" $(pkg-config --cflags --libs chunkmill) -o "$prefix/use-cxx"
    check env LD_LIBRARY_PATH="$lib" "$prefix/use-cxx"
else
    echo "# no C++ compiler: the headers were not tried in C++"
fi
example=$(dirname "$0")/../examples/region.c
${CC:-cc} $flags "$example" $(pkg-config --cflags --libs chunkmill) -o "$prefix/region"
{ # a NetCDF-3 file with float v = 42.5
    printf 'CDF\1'
    head -c 20 /dev/zero # no records, dimensions, attributes
    printf '\0\0\0\13\0\0\0\1\0\0\0\1v\0\0\0'
    head -c 12 /dev/zero # no dimensions, no attributes
    printf '\0\0\0\5\0\0\0\4\0\0\0\100\102\52\0\0'
} >"$prefix/v.nc"
got=$(env LD_LIBRARY_PATH="$lib" "$prefix/region" "$prefix/v.nc" v)
[ "$got" = 42.5 ] || { echo "not ok 1 - examples/region.c printed $got"; exit 1; }
# it needs all codecs, so this is where a library that chunkmill.pc does not name would be missed
${CC:-cc} $flags "$example" $(pkg-config --cflags chunkmill) "$lib/libchunkmill.a" \
    $(pkg-config --static --libs chunkmill | sed 's/-lchunkmill//') -o "$prefix/region-static"
got=$("$prefix/region-static" "$prefix/v.nc" v)
[ "$got" = 42.5 ] || { echo "not ok 1 - examples/region.c, static, printed $got"; exit 1; }
status=0
got=$(env LD_LIBRARY_PATH="$lib" "$prefix/region" "$prefix/v.nc" w 2>&1) || status=$?
[ "$status" = 5 ] && [ "${got##*: }" = "there is no variable w" ] ||
    { echo "not ok 1 - examples/region.c: status $status, $got"; exit 1; }
grep -q 'Apache License' "$prefix"/share/doc/chunkmill/LICENSE
if [ -x "$prefix/bin/chunkmill" ]; then
    "$prefix/bin/chunkmill" --version >/dev/null
fi
echo "ok 1 - installed and used"
echo 1..1
