#!/bin/sh
# From a fresh Debian 12 machine to a trained, inverted and certified network, in a few minutes on
# two cores: installs packages, builds, trains on the bundled digits, certifies, inverts, and says
# where the pictures are. Usage: examples/quickstart.sh [DIRECTORY] (default build/quickstart)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/build/quickstart}
begun=$(date +%s)
mkdir -p "$out"
out=$(cd "$out" && pwd)

say() {
    printf '\n== %s\n' "$*"
}

# quietly LOG COMMAND...: shows what the command said only if it fails.
quietly() {
    log=$1
    shift
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
}

say "Packages"
"$root/tests/packages.sh" build
echo "all there"

say "Build, and install to $out/prefix"
quietly "$out/build.log" cmake -S "$root" -B "$out/library" -G Ninja -DCMAKE_INSTALL_PREFIX="$out/prefix"
quietly "$out/build.log" cmake --build "$out/library"
quietly "$out/build.log" cmake --install "$out/library"
quietly "$out/build.log" cmake -S "$root/examples" -B "$out/examples" -G Ninja -DCMAKE_PREFIX_PATH="$out/prefix"
quietly "$out/build.log" cmake --build "$out/examples"
PATH=$out/prefix/bin:$PATH
iresnet --version
iresnet devices

cd "$out"
say "Train (the first run also compiles the kernels for this device)"
iresnet train --data digits --out run --force >train.txt
cat train.txt

say "Certify"
iresnet certify run/model.safetensors --json certificate.json >certify.txt || [ $? -eq 3 ]
cat certify.txt

say "Invert"
status=0
examples/invert run/model.safetensors reconstruction.png >invert.txt || status=$?
cat invert.txt
quietly decode.log iresnet encode run/model.safetensors --data digits --count 100 --out z.npy
quietly decode.log iresnet decode run/model.safetensors --in z.npy --out decoded.png

say "Summary after $(($(date +%s) - begun)) s"
grep 'test accuracy' train.txt
tail -n 1 certify.txt
head -n 2 invert.txt
cat <<END
$out/reconstruction.png   ten test digits, their reconstructions, the difference times a million
$out/decoded.png          a hundred test digits, decoded from their latents
$out/run/model.safetensors
$out/certificate.json
END
exit $status
