#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install_test.sh BUILD - installs what BUILD made into a fresh folder and uses it as an embedder would:
# by pkg-config and by CMake, shared and static, from C99, C17 and (where there is one) C++17. Also
# looks at what the shared library exports: weir_* and nothing else.
set -eu

build=$(cd "$1" && pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
say() { echo "install: $*"; }

cmake --install "$build" --prefix "$room/usr" >/dev/null
library=$(dirname "$(find "$room/usr" -name libweir.so | head -n 1)")
PKG_CONFIG_PATH=$library/pkgconfig
export PKG_CONFIG_PATH

odd=$(nm -D --defined-only "$library/libweir.so" | awk '$2 != "A" && $3 !~ /^weir_/ { print $3 }')
[ -z "$odd" ] || { say "exported, but not weir_*:" $odd; exit 1; }
exported=$(nm -D --defined-only "$library/libweir.so" | grep -c ' T weir_')
odd=$(nm --defined-only --extern-only "$library/libweir.a" | awk 'NF == 3 && $3 !~ /^weir_/ { print $3 }')
[ -z "$odd" ] || { say "in the archive, but not weir_*:" $odd; exit 1; }
say "$exported functions exported"

cat >"$room/use.c" <<'EOF'
#include <weir/weir.h>

#include <stdio.h>

int main(void)
{
    puts(weir_err_text(WEIR_OK));
    return 0;
}
EOF

cd "$room"
for std in c99 c17; do
    cc -std=$std -Wall -Wextra -Wpedantic -Werror use.c -o "use-$std" $(pkg-config --cflags --libs weir)
    LD_LIBRARY_PATH=$library "./use-$std" >/dev/null
    say "pkg-config, shared, $std: works"
done
cc use.c -o use-static $(pkg-config --cflags weir) "$library/libweir.a" $(pkg-config --static --libs weir |
    sed 's/-lweir//')
./use-static >/dev/null
say "pkg-config, static: works"
if command -v c++ >/dev/null; then
    cp use.c use.cc
    c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror use.cc -o use-cc $(pkg-config --cflags --libs weir)
    say "pkg-config, shared, C++17: works"
fi

cat >CMakeLists.txt <<'EOF'
cmake_minimum_required(VERSION 3.16)
project(use C)
find_package(weir REQUIRED)
add_executable(use use.c)
target_link_libraries(use weir::weir)
add_executable(use_static use.c)
target_link_libraries(use_static weir::weir_static)
EOF
cmake -S . -B build -DCMAKE_PREFIX_PATH="$room/usr" >cmake.log 2>&1 || { cat cmake.log; exit 1; }
cmake --build build >>cmake.log 2>&1 || { cat cmake.log; exit 1; }
./build/use >/dev/null
./build/use_static >/dev/null
say "find_package(weir), shared and static: works"

"$room/usr/bin/weir" version >/dev/null
say "the installed program runs"
