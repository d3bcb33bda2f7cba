#!/bin/sh
# How the time and memory of a density's training step grow with blocks, terms, batch, width and
# map size. Nothing else should run on the machine. Usage: tests/bench/growth.sh [PROGRAM] (default
# build/bench/iresnet)
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
program=${1:-$root/build/bench/iresnet}

# A line: what changes, for both gradients.
measure() {
    label=$1
    shift
    for method in series neumann; do
        "$program" bench step --average 0 --power-iterations 1 --repeats 5 \
            --logdet $method "$@" --json --quiet | python3 -c '
import json, sys
row = json.load(sys.stdin)
print("%-24s %-8s %8.4f s %8.1f MiB" % (sys.argv[1], sys.argv[2], row["best_seconds"], row["peak_device_memory"] / 2**20))
' "$label" $method
    done
}

base="--preset mnist-density --channels 32,32 --batch 64"
for blocks in 2 4 8; do
    # shellcheck disable=SC2086
    measure "blocks $blocks,$blocks" $base --blocks $blocks,$blocks --terms 5
done
for terms in 2 5 10 20; do
    # shellcheck disable=SC2086
    measure "terms $terms" $base --blocks 4,4 --terms $terms
done
for batch in 16 64 256; do
    measure "batch $batch" --preset mnist-density --channels 32,32 --blocks 4,4 --terms 5 --batch $batch
done
for preset in digits mnist cifar10; do # maps of 8x8, 28x28 and, of three channels, 32x32
    measure "data $preset" --preset $preset-density --strides 2,2 --channels 32,32 --blocks 4,4 \
        --coeff 0.9 --terms 5 --batch 64
done
for channels in 16 32 64 128; do
    measure "channels $channels" --preset mnist-density --channels $channels,$channels --blocks 4,4 --terms 5 --batch 64
done
