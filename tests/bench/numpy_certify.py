#!/usr/bin/python3
"""Spectral norms of convolutions by NumPy's FFT and SVD: the yardstick for the timings of `iresnet bench certify`.

The method is the official i-ResNet code's and everyone's (Sedghi, Gupta, Long 2019): transform the kernel on the map, then
decompose the matrix of every frequency in one batch. It holds for circular padding only, and proves nothing in floating point.
Assumptions: Debian's python3-numpy over OpenBLAS, run with /usr/bin/python3.

Prints one JSON object per line: what, seconds_min, seconds_median, norm, threads, numpy. Exit status: 0, 2 (usage).
Usage: numpy_certify.py model | kernel [--kernel O,I,H,W --size HxW]   [--repeats N]
"""
import argparse
import json
import os
import statistics
import sys
import time

THREADS = len(os.sched_getaffinity(0))
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(THREADS))  # read when the library loads

import numpy as np  # noqa: E402

# The cifar10 classifier: stages of 7 blocks; channels of the stage's data and inside its blocks, and the map's side.
STAGES = [(16, 32, 32), (64, 64, 16), (256, 128, 8)]
BLOCKS = 7


def norm(kernel, size):
    """The largest singular value of the circular layer; kernel [O, I, height, width]."""
    transformed = np.fft.fft2(kernel, size, axes=(2, 3))
    return np.linalg.svd(transformed.transpose(2, 3, 0, 1), compute_uv=False).max()


def model_kernels(random):
    for channels, hidden, side in STAGES:
        for _ in range(BLOCKS):
            for outputs, inputs, taps in ((hidden, channels, 3), (hidden, hidden, 1), (channels, hidden, 3)):
                # the map of a 1x1 kernel is one pixel: its matrix is the same at all frequencies
                yield random.standard_normal((outputs, inputs, taps, taps)), (side, side) if taps > 1 else (1, 1)


def timed(what, layers, repeats):
    seconds, largest = [], 0.0
    for _ in range(repeats):
        begun = time.perf_counter()
        largest = max(norm(kernel, size) for kernel, size in layers)
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"what": what, "layers": len(layers), "seconds_min": min(seconds), "seconds_median": statistics.median(seconds),
                      "norm": largest, "threads": THREADS, "numpy": np.__version__}))


def sizes(text, separator, count):
    values = [int(part) for part in text.split(separator)]
    if len(values) != count or min(values) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not {count} sizes with '{separator}' between them")
    return tuple(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=("model", "kernel"))
    parser.add_argument("--kernel", type=lambda text: sizes(text, ",", 4), default=(128, 128, 3, 3))
    parser.add_argument("--size", type=lambda text: sizes(text, "x", 2), default=(32, 32))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    if options.what == "model":
        layers = list(model_kernels(random))
    else:
        layers = [(random.standard_normal(options.kernel), options.size)]
    timed(options.what, layers, options.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
