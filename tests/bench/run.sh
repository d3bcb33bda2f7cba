#!/bin/sh
# Compares speeds with PyTorch and OpenBLAS on the CPU, in one run: a training step and the inverse
# of the cifar10 network with tests/bench/torch_reference.py, steps of two density models with
# tests/bench/torch_density.py, convolutions with OpenBLAS's SGEMM; certificates with NumPy's FFT and
# SVD.
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

# A line of JSON from either program, marked with whose it is and what it is of.
mark() {
    python3 -c '
import json, sys
data = [json.loads(line) for line in sys.stdin] if sys.argv[1] == "reference" else [json.load(sys.stdin)]
for row in data:
    print(json.dumps({"from": sys.argv[1], "of": sys.argv[2], "data": row}))' "$@" >>"$results"
}
ours() {
    "$program" bench "$@" --repeats 3 --json --quiet | mark iresnet "$1"
}
theirs() {
    /usr/bin/python3 "$root/tests/bench/torch_reference.py" "$@" 2>/dev/null | mark reference "$1"
}
# Bounds of a network's layers and of one large kernel, proven here, and as NumPy estimates them.
certificates() {
    "$program" bench certify --preset cifar10 --repeats 3 --json --quiet | mark iresnet "certify model"
    "$program" bench certify --kernel 128,128,3,3 --size 32x32 --padding circular --repeats 5 --json \
        --quiet | mark iresnet "certify kernel"
    for what in model kernel; do
        /usr/bin/python3 "$root/tests/bench/numpy_certify.py" $what --repeats 1 |
            mark reference "certify $what"
    done
}
# A density's training step: the case's name in torch_density.py, then what makes it here. Probes
# are Gaussian, as the official code's, and both programs take as many steps.
density_steps=5
density() {
    case=$1
    shift
    for method in series neumann; do
        "$program" bench step "$@" --logdet $method --terms 5 --average 0 --gaussian-probes \
            --repeats $density_steps --json --quiet |
            mark iresnet "density $case $method"
    done
    for form in autograd explicit; do
        /usr/bin/python3 "$root/tests/bench/torch_density.py" step --case "$case" --form $form \
            --repeats $density_steps 2>/dev/null | mark reference "density $case $form"
    done
}

round=1
while [ "$round" -le "$rounds" ]; do
    echo "round $round of $rounds" >&2
    ours step --preset cifar10 --batch 128
    theirs step --preset cifar10 --batch 128 --repeats 2
    ours inverse --preset cifar10 --batch 128
    for form in official rewritten; do
        /usr/bin/python3 "$root/tests/bench/torch_reference.py" inverse --preset cifar10 --batch 128 \
            --repeats 1 --warm-up 0 --form $form 2>/dev/null | mark reference "inverse $form"
    done
    density a --preset cifar10-density --coeff 0.9 --blocks 4,4,4 --channels 64,64,64 --batch 32 \
        --power-iterations 5
    density b --preset mnist-density --coeff 0.9 --blocks 4,4 --channels 32,32 --batch 64 \
        --power-iterations 1
    certificates
    theirs gemm --n 2048 --repeats 5
    ours conv
    round=$((round + 1))
done

python3 "$root/tests/bench/compare.py" "$results"
