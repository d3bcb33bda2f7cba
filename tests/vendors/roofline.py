#!/usr/bin/env python3
"""For each hot kernel: operations, bytes, arithmetic intensity, and how long four GPUs take at least,
beside what the compilers report of it. Writes FOLDER/roofline.md.

Usage: roofline.py FOLDER [CONV.json KERNELS.json]     FOLDER/kernels.csv is report.py's
The others are what `iresnet bench conv --json` and `iresnet bench kernels --json` printed on some
device: their times fill a column.

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

# As src/cli/bench.c: kernel, images, side, input and output channels.
CONVOLUTIONS = [(3, 128, 32, 32, 32), (3, 128, 16, 64, 64), (3, 128, 8, 128, 128),
                (3, 32, 16, 512, 512), (1, 128, 8, 256, 256)]
FORMS = {
    "forward": ["conv_tiled", "conv_apply"],
    "data_gradient": ["conv_tiled", "conv_apply"],
    "weight_gradient": ["conv_tiled_gradient", "conv_weight_gradient"],
}


class Work:
    """What a launch has to do. kernels: names it may go by, the first that was compiled counts.
    key: by which the bench's times are found, None: it has none."""

    def __init__(self, what, kernels, operations, moved, double=False, key=None):
        self.what, self.kernels, self.double, self.key = what, kernels, double, key
        self.operations, self.bytes = operations, moved


def convolutions():
    for size, images, side, inputs, outputs in CONVOLUTIONS:
        pixels, weights = images * side * side, size * size * inputs * outputs
        for form, kernels in FORMS.items():
            yield Work(f"{form.replace('_', ' ')} {size}x{size}, {images} x {side}x{side}, "
                       f"{inputs} -> {outputs}", kernels, 2 * pixels * weights,
                       4 * (pixels * (inputs + outputs) + weights), False,
                       (size, images, side, inputs, outputs, form))
    pixels, channels = 32 * 16 * 16, 64
    yield Work("forward 3x3 in float64, 32 x 16x16, 64 -> 64", ["conv_tiled", "conv_apply"],
               2 * 9 * pixels * channels**2, 8 * (2 * pixels * channels + 9 * channels**2), True,
               "conv_float64")


def streams():
    """Kernels that read and write tensors once: a layer of the largest shape of cifar10's."""
    count, terms = 128 * 32 * 32 * 32, 10
    exponential = 20  # of activation.clh: products and sums of ELU, the reduction included
    yield Work("activation (ELU)", ["activation"], exponential * count, 8 * count, key="activation")
    yield Work("its derivative times a tensor", ["activation_derivative"], 2 * count, 12 * count,
               key="activation_derivative")
    yield Work("a multiple added to a tensor", ["add_scaled"], 2 * count, 12 * count,
               key="add_scaled")
    yield Work("sums by channel, in two stages", ["channel_sums"], count, 4 * count,
               key="channel_sums")
    yield Work("inner products by sample", ["sample_dots"], 2 * count, 8 * count, key="sample_dots")
    yield Work("a map to a matrix for CLBlast", ["dense_pack"], 0, 8 * count)
    yield Work("the product to a map, with bias and activation", ["dense_finish"],
               (2 + exponential) * count, 8 * count)
    yield Work(f"pairs of a series of {terms} terms", ["combine_pairs"],
               (terms * (terms + 1) + 2 * terms) * count, 4 * (3 * terms + 2) * count)
    yield Work("a probe of signs", ["sign_probes"], 0, 4 * count, key="sign_probes")
    yield Work("a normal probe", ["normal_probes"], 0, 4 * count, key="normal_probes")
    parameters = 4_876_224  # of cifar10's classifier, in blocks of 16
    yield Work("Adam, 4.9 million parameters", ["adam"], 12 * parameters, 28 * parameters,
               key="adam")


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


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read_bench(conv, kernels):
    """The device, and {key: a function from Work to seconds}: of convolutions the faster method's."""
    rates, times = {}, {}
    for row in conv["shapes"]:
        for form in FORMS:
            key = (row["kernel"], row["batch"], row["height"], row["inputs"], row["outputs"], form)
            rates[key] = max(rates.get(key, 0), 1e9 * row[form + "_gflops"])
    for key, rate in rates.items():
        if rate > 0:
            times[key] = lambda work, rate=rate: work.operations / rate
    for row in kernels["kernels"]:
        times[row["name"]] = lambda work, row=row: work.bytes / row["bytes"] * row["seconds"]
    return conv["device"], times


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
    device, times = measured
    compiled = list(dict.fromkeys(gpu[3] for gpu in GPUS.values()))
    heads = ["work", "operations", "bytes", "FLOP/byte"] + list(GPUS)
    heads += [f"{target}: registers, occupancy" for target in compiled]
    heads += [f"measured on {device or '(iresnet bench conv, bench kernels)'}"]
    with open(path, "w", encoding="utf-8") as file:
        file.write("# What hot kernels take at least\n\n" + __doc__.split("\n\n")[2] + "\n\nPeaks:\n"
                   + SOURCES + "\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|\n")
        for w in works:
            cells = [w.what, f"{w.operations:.3g}", f"{w.bytes:.3g}", f"{w.operations / w.bytes:.3g}"]
            cells += [time_text(w, gpu) for gpu in GPUS]
            cells += [report_text(w, target, reports) for target in compiled]
            cells += [f"{times[w.key](w) * 1e6:.3g} µs" if w.key in times else ""]
            file.write("| " + " | ".join(cells) + " |\n")


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    folder, bench = sys.argv[1], [read_json(path) for path in sys.argv[2:]]
    works = [*convolutions(), *streams(), *proofs()]
    reports = read_reports(os.path.join(folder, "kernels.csv"))
    measured = read_bench(*bench) if bench else (None, {})
    write(works, reports, measured, os.path.join(folder, "roofline.md"))
    unknown = [w.kernels[-1] for w in works
               if not any((k, "double" if w.double else "float", t) in reports
                          for k in w.kernels for _, _, _, t in GPUS.values())]
    unmeasured = [w.what for w in works if bench and w.key and w.key not in measured[1]
                  and w.key != "conv_float64"]  # not every device has it
    unknown_times = set(measured[1]) - {w.key for w in works}
    if unmeasured or unknown_times:
        sys.exit(f"no times of: {unmeasured}; not in the table: {sorted(unknown_times, key=str)}")
    if unknown and reports:
        sys.exit("not among the compiled kernels: " + ", ".join(sorted(set(unknown))))


if __name__ == "__main__":
    main()
