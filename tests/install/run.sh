#!/bin/bash
# Installs to a scratch prefix and uses what is there as others would: pkg-config, find_package, C11
# and C++17. Usage: tests/install/run.sh BUILD PREFIX, where BUILD is a CMake build directory of this
# project and PREFIX a folder that is removed first. The last line: N passed, N failed.
set -u

[ $# -eq 2 ] || {
    echo "usage: $0 BUILD PREFIX" >&2
    exit 2
}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(realpath "$1") prefix=$(realpath -m "$2")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# check NAME COMMAND...: one test; its output is shown if it fails.
check() {
    local name=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        head -n 20 "$work/output" | sed 's/^/    /'
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

rm -rf "$prefix"
check "configure" cmake -DCMAKE_INSTALL_PREFIX="$prefix" "$build"
check "install" cmake --install "$build"
[ "$failed" -eq 0 ] || finish
library=$(find "$prefix" -name 'libiresnet.so.*.*.*')
libdir=${library%/*}
program=$prefix/bin/iresnet
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir
version=$(sed -n 's/^#define IRN_VERSION_STRING "\(.*\)"/\1/p' "$root/include/iresnet/status.h")

# Files.
for file in "$libdir/libiresnet.so" "$libdir/libiresnet.so.${version%.*}" "$libdir/libiresnet.so.$version" \
    "$libdir/cmake/iresnet/iresnetConfig.cmake" "$libdir/cmake/iresnet/iresnetConfigVersion.cmake" \
    "$prefix/share/man/man1/iresnet.1" "$prefix/share/bash-completion/completions/iresnet"; do
    check "${file#"$prefix"/} is installed" test -s "$file"
done
check "all headers are installed" diff -r "$root/include/iresnet" "$prefix/include/iresnet"

# The library.
dynamic() { # dynamic FILE TAG: the values of a tag in the dynamic section
    readelf -d "$1" | sed -n "s/.*($2).*\[\(.*\)\]$/\1/p"
}
symbols() {
    nm -D --defined-only "$library" | awk '{ print $3 }' | sort
}
declared() {
    cat "$prefix"/include/iresnet/*.h | tr '\n' ' ' | grep -oE 'IRN_API [^;(]*irn_[a-z0-9_]+ *\(' |
        grep -oE 'irn_[a-z0-9_]+ *\($' | tr -d ' (' | sort
}
check "SONAME" test "$(dynamic "$library" SONAME)" = "libiresnet.so.${version%.*}"
check "no run path in the library" test -z "$(dynamic "$library" 'R.*PATH')"
check "the program's run path is relative" test "$(dynamic "$program" 'R.*PATH')" = "\$ORIGIN/../${libdir##*/}"
symbols >"$work/symbols"
declared >"$work/declared"
check "the library exports exactly what the headers declare" diff "$work/declared" "$work/symbols"
foreign_symbols() {
    ! grep -v '^irn_' "$work/symbols"
}
check "every exported symbol begins with irn_" foreign_symbols
clean_copy() {
    rm -rf "$work/copy"
    cp -a "$prefix" "$work/copy"
    ! grep -rlaF -e "$root" -e "$build" -e "$prefix" "$work/copy"
}
check "no path of the build in any file" clean_copy

# The program, moved elsewhere, with an empty environment.
moved() {
    env -i HOME="$work" "$work/copy/bin/iresnet" --version | grep -qx "iresnet $version"
}
check "the program runs from where it was moved" moved

moved_variable() { # moved_variable NAME FOLDER: pkg-config finds the moved folder
    local found
    found=$(PKG_CONFIG_PATH=$work/copy/${libdir#"$prefix"/}/pkgconfig pkg-config --variable="$1" iresnet)
    [ "$(realpath "$found")" = "$(realpath "$work/copy/$2")" ]
}
check "pkg-config: finds the headers where they were moved" moved_variable includedir include
check "pkg-config: finds the library where it was moved" moved_variable libdir "${libdir#"$prefix"/}"

# Headers, each alone.
printf 'int main(void)\n{\n    return 0;\n}\n' >"$work/main.c"
for header in "$prefix"/include/iresnet/*.h; do
    name=iresnet/${header##*/}
    printf '#include <%s>\n#include <%s>\nint dummy;\n' "$name" "$name" >"$work/header.c"
    cp "$work/header.c" "$work/header.cpp"
    flags=(-I"$prefix/include" -Wall -Wextra -Wpedantic -pedantic-errors -Werror -fsyntax-only)
    check "$name as C11" gcc -std=c11 -Wstrict-prototypes "${flags[@]}" "$work/header.c"
    check "$name as C++17" g++ -std=c++17 "${flags[@]}" "$work/header.cpp"
done

# pkg-config.
check "pkg-config: version" test "$(pkg-config --modversion iresnet)" = "$version"
check "pkg-config: validates" pkg-config --validate iresnet
read -r -a flags < <(pkg-config --cflags --libs iresnet)
check "pkg-config: links no more than it must" test -z "$(printf '%s\n' "${flags[@]}" | grep -E -- '-l(png|cjson|nettle|clFFT|clblast)')"
compile() { # compile SOURCE: an example by pkg-config
    gcc -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -O2 "$1" -o "$work/$(basename "$1" .c)" "${flags[@]}" -lm
}
for source in "$root"/examples/*.c; do
    check "pkg-config: ${source##*/}" compile "$source"
done
check "a program needs the SONAME" test "$(dynamic "$work/invert" NEEDED | grep iresnet)" = "libiresnet.so.${version%.*}"
printf '#include <iresnet/iresnet.h>\nint main()\n{\n    return irn_version()[0] == 0;\n}\n' >"$work/cxx.cpp"
check "C++: builds" g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror "$work/cxx.cpp" -o "$work/cxx" "${flags[@]}"
check "C++: runs" "$work/cxx"

# The README's example.
awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$root/README.md" >"$work/readme.c"
check "README: the example compiles" compile "$work/readme.c"

# find_package.
unset PKG_CONFIG_PATH LD_LIBRARY_PATH
check "find_package: configures" cmake -S "$root/examples" -B "$work/examples" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
    -DCMAKE_C_FLAGS=-Werror
check "find_package: builds" cmake --build "$work/examples"
mkdir "$work/future"
for wanted in 0.0 0.99 1; do
    printf 'cmake_minimum_required(VERSION 3.16)\nproject(future C)\nfind_package(iresnet %s REQUIRED)\n' $wanted \
        >"$work/future/CMakeLists.txt"
    refused() {
        ! cmake -S "$work/future" -B "$work/future/build" -DCMAKE_PREFIX_PATH="$prefix"
    }
    check "find_package: version $wanted is refused" refused
    rm -rf "$work/future/build"
done

# What was built runs.
export LD_LIBRARY_PATH=$libdir
check "certify_kernel" "$work/certify_kernel"
check "adopt_queue" "$work/adopt_queue"
unset LD_LIBRARY_PATH
check "figure1" "$work/examples/figure1" "$work/figure1.png"
check "figure1: a picture" grep -qa PNG "$work/figure1.png"
check "train_loop" "$work/examples/train_loop" 2 "$work/model.safetensors"
check "invert" "$work/examples/invert" "$work/model.safetensors" "$work/picture.png"
check "invert: a picture" grep -qa PNG "$work/picture.png"
status_is() { # status_is STATUS COMMAND...
    local wanted=$1 status=0
    shift
    "$@" || status=$?
    [ $status -eq "$wanted" ]
}
check "verify" "$work/examples/verify" "$work/model.safetensors" "$work/certificate.json"
check "verify: the program agrees" "$program" verify "$work/certificate.json" "$work/model.safetensors"
check "verify: no model" status_is 1 "$work/examples/verify" "$work/missing" "$work/other.json"
check "invert: usage" status_is 2 "$work/examples/invert"
check "invert: no model" status_is 1 "$work/examples/invert" "$work/missing"
check "figure1: usage" status_is 2 "$work/examples/figure1"
check "train_loop: usage" status_is 2 "$work/examples/train_loop" many
LD_LIBRARY_PATH=$libdir check "README: the example runs" "$work/readme" "$work/model.safetensors"
finish
