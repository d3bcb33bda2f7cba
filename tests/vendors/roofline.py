#!/usr/bin/env python3
"""For each hot kernel: operations, bytes, arithmetic intensity, and how long four GPUs take at least,
beside what the compilers report of it. Writes FOLDER/roofline.md.

Usage: roofline.py FOLDER [BENCH.json]     FOLDER/kernels.csv is report.py's
BENCH.json is what `iresnet bench conv --json` printed on some device: its times fill a column.

A kernel takes at least operations / peak and at least bytes / bandwidth. Operations are those of
plain sums of products, two each; bytes are what has to come from memory and go there once, as if
caches held all else.
"""
import csv
import json
import os
import sys

# FLOP/s in float32 and float64 of vector units (none: 0), bytes/s, the target of the compilers.
GPUS = {
    "H100 SXM": (66.9e12, 33.5e12, 3.35e12, "sm_90"),
    "MI250 (a die)": (22.6e12, 22.6e12, 1.6e12, "gfx90a"),
    "Arc A770": (19.7e12, 0, 560e9, "dg2"),
    "RTX 4060 Laptop": (14.6e12, 14.6e12 / 64, 256e9, "sm_80"),
}
SOURCES = """\
- H100 SXM: NVIDIA, "H100 Tensor Core GPU" data sheet and architecture white paper.
- MI250: AMD, ROCm documentation, "MI250 microarchitecture"; OpenCL has each of its two dies as a device.
- Arc A770 (16 GB): Intel ARK; 4096 lanes x 2 x 2.4 GHz. Its drivers have no float64.
- RTX 4060 Laptop: NVIDIA, "GeForce RTX 40 series laptops"; 3072 lanes x 2 x 2.37 GHz, float64 at
  1/64 (Ada architecture white paper). Beside it stands sm_80, the nearest that is compiled for.
"""

# As src/cli/bench.c: images, side, input and output channels, of 3x3 kernels.
CONVOLUTIONS = [(128, 32, 32, 32), (128, 16, 64, 64), (128, 8, 128, 128), (32, 16, 512, 512)]
FORMS = {
    "forward": ["conv_tiled", "conv_apply"],
    "data_gradient": ["conv_tiled", "conv_apply"],
    "weight_gradient": ["conv_tiled_gradient", "conv_weight_gradient"],
}


class Work:
    """What a launch has to do. kernels: names it may go by, the first that was compiled counts."""

    def __init__(self, what, kernels, operations, moved, double=False, key=None):
        self.what, self.kernels, self.double, self.key = what, kernels, double, key
        self.operations, self.bytes = operations, moved


def convolutions():
    for images, side, inputs, outputs in CONVOLUTIONS:
        pixels, weights = images * side * side, 9 * inputs * outputs
        for form, kernels in FORMS.items():
            yield Work(f"{form.replace('_', ' ')}, {images} x {side}x{side}, {inputs} -> {outputs}",
                       kernels, 2 * pixels * weights,
                       4 * (pixels * (inputs + outputs) + weights), False,
                       (images, side, inputs, outputs, form))


def streams():
    """Kernels that read and write tensors once: a layer of the largest shape of cifar10's."""
    count, terms = 128 * 32 * 32 * 32, 10
    exponential = 20  # of activation.clh: products and sums of ELU, the reduction included
    yield Work("activation (ELU)", ["activation"], exponential * count, 8 * count)
    yield Work("its derivative times a tensor", ["activation_derivative"], 2 * count, 12 * count)
    yield Work(f"pairs of a series of {terms} terms", ["combine_pairs"],
               (terms * (terms + 1) + 2 * terms) * count, 4 * (3 * terms + 2) * count)
    yield Work("a probe of signs", ["sign_probes"], 0, 4 * count)
    parameters = 7_000_000
    yield Work("Adam, 7 million parameters", ["adam"], 12 * parameters, 28 * parameters)


def proofs():
    """512 frequencies of a kernel of 128 -> 128 channels with 25 lags, in float64."""
    frequencies, order, lags = 512, 128, 25
    matrix = 16 * order * order
    yield Work("Gram matrices and their factors, 512 of order 128", ["factor"],
               frequencies * (4 * lags * order * order // 2 + 4 * order**3 // 3),
               frequencies * 2 * matrix + lags * matrix, True)
    yield Work("singular values, 512 matrices of order 128", ["svd"],
               frequencies * (32 * order**3 // 3), frequencies * 2 * matrix, True)


def read_reports(path):
    """{(kernel, precision, target): (registers, lowest occupancy)} of what is not left to tuning."""
    found = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["choice"] == "1":
                continue
            real = "double" if "REAL=double" in row["options"] else "float"
            key = (row["kernel"], real, row["target"])
            registers, occupancy = int(row["registers"]), float(row["occupancy"] or "nan")
            before = found.get(key, (0, float("inf")))
            found[key] = (max(before[0], registers), min(before[1], occupancy))
    return found


def read_bench(path):
    """The device, and {(images, side, inputs, outputs, form): FLOP/s}, the faster method's."""
    with open(path, encoding="utf-8") as file:
        bench = json.load(file)
    rates = {}
    for row in bench["shapes"]:
        for form in FORMS:
            key = (row["batch"], row["height"], row["inputs"], row["outputs"], form)
            rates[key] = max(rates.get(key, 0), 1e9 * row[form + "_gflops"])
    return bench["device"], rates


def bound(work, gpu):
    """Seconds, and what they are spent on."""
    single, double, bandwidth, _ = GPUS[gpu]
    peak = double if work.double else single
    if not peak:
        return None
    seconds = max(work.operations / peak, work.bytes / bandwidth)
    return seconds, "arithmetic" if work.operations / peak > work.bytes / bandwidth else "memory"


def time_text(work, gpu):
    limit = bound(work, gpu)
    return f"{limit[0] * 1e6:.3g} µs, {limit[1]}" if limit else "no float64"


def report_text(work, target, reports):
    real = "double" if work.double else "float"
    for name in work.kernels:
        if (name, real, target) in reports:
            registers, occupancy = reports[name, real, target]
            return f"{registers}, {100 * occupancy:.0f} %" if occupancy < 2 else str(registers)
    return ""


def write(works, reports, measured, path):
    device, rates = measured
    compiled = list(dict.fromkeys(gpu[3] for gpu in GPUS.values()))
    heads = ["work", "operations", "bytes", "FLOP/byte"] + list(GPUS)
    heads += [f"{target}: registers, occupancy" for target in compiled]
    heads += [f"measured on {device or '(iresnet bench conv --json)'}"]
    with open(path, "w", encoding="utf-8") as file:
        file.write("# What hot kernels take at least\n\n" + __doc__.split("\n\n")[2] + "\n\nPeaks:\n"
                   + SOURCES + "\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|\n")
        for w in works:
            cells = [w.what, f"{w.operations:.3g}", f"{w.bytes:.3g}", f"{w.operations / w.bytes:.3g}"]
            cells += [time_text(w, gpu) for gpu in GPUS]
            cells += [report_text(w, target, reports) for target in compiled]
            cells += [f"{w.operations / rates[w.key] * 1e6:.3g} µs" if rates.get(w.key) else ""]
            file.write("| " + " | ".join(cells) + " |\n")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = sys.argv[1]
    works = [*convolutions(), *streams(), *proofs()]
    reports = read_reports(os.path.join(folder, "kernels.csv"))
    measured = read_bench(sys.argv[2]) if len(sys.argv) == 3 else (None, {})
    write(works, reports, measured, os.path.join(folder, "roofline.md"))
    unknown = [w.kernels[-1] for w in works
               if not any((k, "double" if w.double else "float", t) in reports
                          for k in w.kernels for _, _, _, t in GPUS.values())]
    unmeasured = [w.what for w in works if w.key and len(sys.argv) == 3 and not measured[1].get(w.key)]
    if unmeasured:
        sys.exit(sys.argv[2] + " has no times of: " + "; ".join(unmeasured))
    if unknown and reports:
        sys.exit("not among the compiled kernels: " + ", ".join(sorted(set(unknown))))


if __name__ == "__main__":
    main()
