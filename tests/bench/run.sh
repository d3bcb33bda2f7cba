#!/bin/sh
# Compares speeds with PyTorch and OpenBLAS on the CPU, in one run: a training step and the inverse
# of the cifar10 network with tests/bench/torch_reference.py, convolutions with OpenBLAS's SGEMM.
# Programs alternate, and the best time of each counts. Nothing else should run on the machine.
# Usage: tests/bench/run.sh [PROGRAM [ROUNDS]] (default build/bench/iresnet, built if need be; 3)
# Exit status: 0; 1 something failed; 3 a ratio is below its goal.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
program=${1:-$root/build/bench/iresnet}
rounds=${2:-3}
results=$(mktemp)
trap 'rm -f "$results"' EXIT

if [ $# -eq 0 ]; then
    "$root/tests/packages.sh" build bench
    cmake -S "$root" -B "$root/build/bench" -G Ninja >&2
    cmake --build "$root/build/bench" >&2
fi

# A line of JSON from either program, marked with whose it is.
ours() {
    "$program" bench "$@" --repeats 3 --json --quiet | python3 -c '
import json, sys
print(json.dumps({"from": "iresnet", "data": json.load(sys.stdin)}))' >>"$results"
}
theirs() {
    /usr/bin/python3 "$root/tests/bench/torch_reference.py" "$@" 2>/dev/null | python3 -c '
import json, sys
for line in sys.stdin:
    print(json.dumps({"from": "reference", "data": json.loads(line)}))' >>"$results"
}

round=1
while [ "$round" -le "$rounds" ]; do
    echo "round $round of $rounds" >&2
    ours step --preset cifar10 --batch 128
    theirs step --preset cifar10 --batch 128 --repeats 2
    ours inverse --preset cifar10 --batch 128
    theirs inverse --preset cifar10 --batch 128 --repeats 1 --warm-up 0
    theirs gemm --n 2048 --repeats 5
    ours conv
    round=$((round + 1))
done

python3 "$root/tests/bench/compare.py" "$results"
