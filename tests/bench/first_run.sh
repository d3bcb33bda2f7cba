#!/bin/bash
# How long a command takes at its first use of a device, with nothing compiled before, and at its
# second. What training compiles is the difference; predicting one image shows how soon the second
# run starts. Usage: tests/bench/first_run.sh [PROGRAM] (default build/bench/iresnet)
# Exit status: 0; 1 something failed; 3 compiling took more than 60 s, or the second start 1 s.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${1:-$root/build/bench/iresnet}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export IRN_CACHE_DIR=$work/cache POCL_CACHE_DIR=$work/pocl
mkdir "$POCL_CACHE_DIR"

# seconds COMMAND...: what it takes.
seconds() {
    local LC_ALL=C begun
    begun=$EPOCHREALTIME
    "$program" "$@" --quiet >/dev/null || return
    awk "BEGIN { print $EPOCHREALTIME - $begun }"
}
status=0
# report WHAT SECONDS LIMIT
report() {
    printf '%-48s %7.2f s, at most %s\n' "$1" "$2" "$3"
    awk "BEGIN { exit !($2 <= $3) }" || status=3
}

python3 - "$work" <<'END'
import struct, sys
header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 8, 8), }"
header += b" " * ((-len(header) - 11) % 64) + b"\n"
with open(sys.argv[1] + "/image.npy", "wb") as out:
    out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4 * 64))
END
first=$(seconds train --data digits --epochs 1 --out first)
second=$(seconds train --data digits --epochs 1 --out second)
report 'first training, less what the second takes' "$(awk "BEGIN { print $first - $second }")" 60
first=$(seconds predict first/model.safetensors --in image.npy --out scores.npy)
second=$(seconds predict first/model.safetensors --in image.npy --out scores.npy)
report 'first prediction after that' "$first" 60
report 'second prediction, from start to end' "$second" 1
exit $status
