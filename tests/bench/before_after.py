#!/usr/bin/python3
"""Compares the speed of two builds of the program on one device, in one run.

Usage: before_after.py BEFORE AFTER [ROUNDS] (two programs; 3 rounds). They alternate, and the best time of each counts;
convolutions count by the geometric mean over shapes. Nothing else should run on the machine.
Exit status: 0; 1 something failed; 3 the second is more than 3 % slower in something.
"""
import json
import math
import subprocess
import sys

ALLOWED = 1.03
DENSITY = ["step", "--preset", "mnist-density", "--batch", "64", "--average", "0", "--repeats", "10"]
BENCHES = {
    "convolutions": ["conv", "--repeats", "5"],
    "step, cifar10": ["step", "--repeats", "5"],
    "inverse, cifar10": ["inverse", "--repeats", "2"],
    "step, mnist-density, series": DENSITY + ["--logdet", "series"],
    "step, mnist-density, Neumann": DENSITY + ["--logdet", "neumann"],
    "certificate, cifar10": ["certify", "--repeats", "3"],
}
RATES = ["forward_gflops", "data_gradient_gflops", "weight_gradient_gflops"]


def times_of(name, found):
    """What one run measured: (name, which of several) and seconds."""
    if "shapes" not in found:
        yield (name, 0), found["best_seconds"]
        return
    for index, row in enumerate(found["shapes"]):
        for rate in RATES:
            label = f"{name}, {row['method']}, {rate.removesuffix('_gflops').replace('_', ' ')}"
            yield (label, index), 1 / row[rate]


def measure(program, best):
    for name, arguments in BENCHES.items():
        output = subprocess.run([program, "bench", *arguments, "--json", "--quiet"], check=True, stdout=subprocess.PIPE)
        for key, seconds in times_of(name, json.loads(output.stdout)):
            best[key] = min(seconds, best.get(key, math.inf))


def means(best):
    groups = {}
    for (name, _), seconds in best.items():
        groups.setdefault(name, []).append(math.log(seconds))
    return {name: math.exp(sum(logs) / len(logs)) for name, logs in groups.items()}


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.strip())
    programs, rounds = sys.argv[1:3], int(sys.argv[3]) if len(sys.argv) > 3 else 3
    before, after = {}, {}
    for _ in range(rounds):
        measure(programs[0], before)
        measure(programs[1], after)
    slower, after = False, means(after)
    for name, first in means(before).items():
        ratio = after[name] / first
        slower |= not ratio <= ALLOWED
        print(f"{name:45} {first:10.4g} {after[name]:10.4g}  {ratio:.3f}{'' if ratio <= ALLOWED else '  SLOWER'}")
    return 3 if slower else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (subprocess.CalledProcessError, OSError, ValueError, KeyError) as error:
        sys.exit(f"before_after.py: {error}")
