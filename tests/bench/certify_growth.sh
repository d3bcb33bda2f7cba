#!/bin/sh
# How the time and memory of proving one kernel's bounds grow with channels, map, kernel and
# arithmetic. Nothing else should run on the machine. Usage: tests/bench/certify_growth.sh [PROGRAM]
# (default build/bench/iresnet)
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
program=${1:-$root/build/bench/iresnet}

# A line: padding, kernel, map, arithmetic.
measure() {
    "$program" bench certify --padding "$1" --kernel "$2" --size "$3" --arithmetic "$4" --repeats 3 \
        --json --quiet | python3 -c '
import json, sys
row = json.load(sys.stdin)
share = row["upper"] / row["lower"] - 1 if row["lower"] else float("nan")
print("%-9s %-12s %-8s %-8s %9.4f s %8.1f MiB   open by %.1e" % (
    *sys.argv[1:], row["best_seconds"], row["peak_device_memory"] / 2**20, share))
' "$@"
}

for channels in 16 32 64 128 256 512; do
    measure circular $channels,$channels,3,3 16x16 auto
done
for map in 8x8 16x16 32x32 64x64 128x128; do
    measure circular 64,64,3,3 $map auto
done
for kernel in 1,1 3,3 5,5 7,7; do
    measure circular 64,64,$kernel 32x32 auto
done
for map in 4x4 8x8 16x16 32x32 64x64 0x0; do
    measure zeros 64,64,3,3 $map auto
done
for arithmetic in float64 float32 host; do
    measure circular 128,128,3,3 16x16 $arithmetic
done
