#!/bin/sh
# The program end to end on the OpenCL implementation that the environment chooses: trains a classifier and
# a density, tests, encodes, decodes, certifies and samples. Usage: network.sh PROGRAM FOLDER [REFERENCE]
#
# What it makes is left in FOLDER. REFERENCE is a FOLDER of another implementation: its models are encoded,
# decoded and sampled from here too, and compare.py says whether the numbers are the same. Last line: counts.
set -u

[ $# -ge 2 ] || { echo "usage: $0 PROGRAM FOLDER [REFERENCE]" >&2; exit 2; }
program=$(realpath "$1") || exit 2
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$2"
mkdir -p "$2" || exit 1
cd "$2" || exit 1
[ $# -lt 3 ] || reference=$(cd "$OLDPWD" && realpath "$3") || exit 2
models=${reference:-.}
passed=0 failed=0
tiny="--epochs 1 --seed 7 --blocks 1 --channels 8 --strides 1 --kernels 3,1,3 --pad-channels 0 --batch 64"

count() { # count WHAT STATUS
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1"
    fi
}

iresnet() { # iresnet ARGUMENTS...: one test, passed if the status is 0.
    "$program" "$@"
    count "iresnet $*" $?
}

# shellcheck disable=SC2086
train_and_test() {
    iresnet tune --repeats 1 --dry-run --quiet --json >tune.json
    iresnet train --data digits --out classifier $tiny
    iresnet train --data digits --out density --task density $tiny
    iresnet eval classifier/model.safetensors --data digits --count 20
    iresnet certify classifier/model.safetensors --json certificate.json
    iresnet verify certificate.json classifier/model.safetensors
}

# With the reference's models, so that only arithmetic differs.
apply() {
    model=$models/classifier/model.safetensors density=$models/density/model.safetensors
    iresnet encode "$model" --data digits --count 20 --out z.npy
    iresnet decode "$model" --in "$models/z.npy" --out x.npy
    iresnet predict "$model" --in "$models/x.npy" --out logits.npy
    iresnet encode "$density" --data digits --count 20 --out z-density.npy --logdet logdet.npy \
        --logdet-method series --terms 5 --seed 3
    iresnet eval "$density" --data digits --no-reconstruct --json --logdet-method roulette --seed 3 >density.json
    iresnet sample "$density" --count 10 --seed 3 --out samples.npy
}

# Each use has one best tile, also where CLBlast was measured twice.
check_tuning() {
    python3 -c '
import json
tiles = json.load(open("tune.json"))["tiles"]
for use in {t["use"] for t in tiles}:
    assert sum(t["best"] for t in tiles if t["use"] == use) == 1, use
assert all(t["gflops"] > 0 for t in tiles if t["best"])'
    count 'one tile of each use is the best' $?
}

# CLBlast's parameters that were measured to be the best, or nothing where it is not to choose.
clblast_parameters() {
    python3 -c '
import json
tiles = [t for t in json.load(open("tune.json"))["tiles"] if t["use"] == "clblast" and t["tile"] != "0"]
best = max(tiles, key=lambda t: t["gflops"], default=None)
print("clblast=" + best["tile"] if best else "")'
}

# 1x1 kernels by CLBlast, with parameters of ours where there are some to choose: enough images for its kernel
# for large products.
apply_by_clblast() {
    parameters=$(clblast_parameters)
    [ -n "$parameters" ] || return 0
    iresnet encode "$model" --data digits --count 200 --out z-tiles.npy
    export IRN_TUNING="dense=16384 dense-gradient=16384 $parameters"
    iresnet encode "$model" --data digits --count 200 --out z-clblast.npy 2>clblast.txt
    # shellcheck disable=SC2086
    iresnet train --data digits --out classifier-clblast $tiny 2>>clblast.txt
    unset IRN_TUNING
    cat clblast.txt
    ! grep -q 'CLBlast.*\(fails\|wrong\)' clblast.txt
    count 'CLBlast has not failed' $?
}

train_and_test
check_tuning
apply
apply_by_clblast
if [ -n "${reference:-}" ]; then
    python3 -B "$here/compare.py" "$reference" .
    count 'the same numbers as on the other implementation' $?
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
