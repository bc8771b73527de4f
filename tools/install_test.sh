#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install_test.sh BUILD - installs what BUILD made into a fresh folder and uses it as an embedder would:
# by pkg-config and by CMake, shared and static, from C99, C17 and C++17, with every program of examples/.
# Also looks at what the libraries export, and whether the manual is found.
set -eu

build=$(cd "$1" && pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
say() { echo "install: $*"; }
fail() { say "$*"; exit 1; }

# DESTDIR puts files where they are packed; the prefix is where they will be.
DESTDIR=$room/stage cmake --install "$build" --prefix /usr >/dev/null
usr=$room/stage/usr
if grep -rl "$room" "$usr" >/dev/null; then
    fail "the staging folder is named in what was installed"
fi
library=$(dirname "$(find "$usr" -name libweir.so | head -n 1)")
PKG_CONFIG_PATH=$library/pkgconfig
export PKG_CONFIG_PATH

# --- what the libraries show -------------------------------------------------------------------------
soname=$(objdump -p "$library/libweir.so" | awk '$1 == "SONAME" { print $2 }')
[ -e "$library/$soname" ] || fail "no file of the library's own name, $soname"
odd=$(nm -D --defined-only "$library/libweir.so" | awk '$2 != "A" && $3 !~ /^weir_[a-z0-9_]+@@WEIR_[0-9]+$/ { print $3 }')
[ -z "$odd" ] || fail "exported, but not weir_* of a version:" $odd
exported=$(nm -D --defined-only "$library/libweir.so" | sed -n 's/.* T \(weir_[a-z0-9_]*\)@.*/\1/p' | sort)
odd=$(nm --defined-only --extern-only "$library/libweir.a" | awk 'NF == 3 && $3 !~ /^weir_/ { print $3 }')
[ -z "$odd" ] || fail "in the archive, but not weir_*:" $odd
declared=$(cat "$usr"/include/weir/*.h | tr '\n' ' ' | grep -o 'WEIR_API [^;]*;' | grep -o 'weir_[a-z0-9_]*(' | tr -d '(' | sort -u)
for name in $declared; do
    echo "$exported" | grep -qx "$name" || fail "declared, but not exported: $name"
done
for name in $exported; do
    echo "$declared" | grep -qx "$name" || fail "exported, but not declared: $name"
done
say "$soname, $(echo "$exported" | wc -l) functions exported, all of them declared"

# --- by pkg-config -----------------------------------------------------------------------------------
cat >"$room/use.c" <<'EOF'
#include <weir/weir.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    weir_engine_options opt;
    weir_engine *engine = NULL;
    memset(&opt, 0, sizeof opt);
    opt.size = sizeof opt;
    if (weir_engine_new(&opt, &engine) != WEIR_OK) {
        return 1;
    }
    puts(weir_err_text(WEIR_EDOWN));
    weir_step(engine, 1);
    weir_engine_free(engine);
    return 0;
}
EOF
cp "$room/use.c" "$room/use.cc"
cd "$room"
strict="-Wall -Wextra -Wpedantic -Werror"
shared=$(pkg-config --cflags --libs weir)
static="$(pkg-config --cflags weir) $library/libweir.a $(pkg-config --static --libs weir | sed 's/-lweir//')"
try() { # NAME COMMAND...: compiles, and runs what came out
    what=$1
    shift
    rm -f made
    "$@" -o made
    LD_LIBRARY_PATH=$library ./made >/dev/null
    say "$what: works"
}
for std in c99 c17; do
    try "pkg-config, shared, $std" cc -std=$std $strict use.c $shared
done
try "pkg-config, shared, C++17" c++ -std=c++17 $strict use.cc $shared
try "pkg-config, static, C" cc use.c $static
try "pkg-config, static, C++17" c++ -std=c++17 use.cc $static
ldd made | grep -q libweir && fail "the static program needs the shared library"

# --- every example, as its reader would build it ----------------------------------------------------
examples=$(find "$usr" -type d -name examples)
for source in "$examples"/*.c; do
    name=$(basename "$source" .c)
    case $name in
    postgres) more=$(pkg-config --cflags --libs libpq) ;;
    uv_loop) more=$(pkg-config --cflags --libs libuv) ;;
    *) more= ;;
    esac
    cc -std=gnu17 $strict "$source" -o "$name" $shared $more -lpthread
done
LD_LIBRARY_PATH=$library ./manager >/dev/null
say "$(find "$examples" -name '*.c' | wc -l) examples: compile"

# --- by CMake ----------------------------------------------------------------------------------------
version=$(pkg-config --modversion weir)
for language in C CXX; do
    mkdir "$language"
    source=use.c
    [ $language = C ] || source=use.cc
    cat >"$language/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.16)
project(use LANGUAGES $language)
find_package(weir $version REQUIRED)
add_executable(use ../$source)
target_link_libraries(use weir::weir)
add_executable(use_static ../$source)
target_link_libraries(use_static weir::weir_static)
EOF
    cmake -S $language -B $language/build -DCMAKE_PREFIX_PATH="$usr" >cmake.log 2>&1 || { cat cmake.log; exit 1; }
    cmake --build $language/build >>cmake.log 2>&1 || { cat cmake.log; exit 1; }
    ./$language/build/use >/dev/null
    ./$language/build/use_static >/dev/null
    say "find_package(weir), shared and static, $language: works"
done
sed -i "s/weir $version/weir 99.0/" C/CMakeLists.txt
! cmake -S C -B C/other -DCMAKE_PREFIX_PATH="$usr" >cmake.log 2>&1 || fail "find_package(weir 99.0) finds $version"

# --- the manual, and the program -----------------------------------------------------------------------
for page in $exported weir weir.yaml weir.h; do
    MANPATH=$usr/share/man man -w "$page" >/dev/null || fail "no manual page $page"
done
MANPATH=$usr/share/man man -P cat weir_acquire_wait 2>&1 | grep -q 'WEIR_LOAN(3)' || fail "man weir_acquire_wait is another page"
say "a manual page for each of them"
"$usr/bin/weir" version | grep -q "$version" || fail "the installed program is not $version"
say "the installed program runs; it is $version"
