#!/usr/bin/python3
"""Ratios from the lines that tests/bench/run.sh collects. Usage: compare.py RESULTS. Exit status: 0; 3 if one misses its goal."""
import json
import sys

GOALS = {"step": 2.0, "inverse": 3.0, "conv": 0.8, "certify model": 10.0, "certify kernel": 12.0}
RATES = {"forward_gflops": "forward", "data_gradient_gflops": "data gradient", "weight_gradient_gflops": "weight gradient"}


def read(path):
    ours, theirs = [], []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            (ours if row["from"] == "iresnet" else theirs).append({"of": row["of"], **row["data"]})
    return ours, theirs


def inverse_lines(ours, theirs, line):
    """The inverse against the official code's form of it, and against a rewriting that normalises the weights once."""
    mine = min(row["best_seconds"] for row in ours if row["of"] == "inverse")
    for form, goal in (("official", GOALS["inverse"]), ("rewritten", None)):
        other = min(row["seconds_min"] for row in theirs if row["of"] == f"inverse {form}")
        line(f"inverse, cifar10, batch 128, PyTorch, {form}", mine, other, "s", other / mine, goal)


def density_lines(ours, theirs, line):
    """Both gradients here against PyTorch's exact one, in two forms.

    The goal is against the same computation in PyTorch, which is the official code's: vector-Jacobian products by
    torch.autograd.grad, and autograd's double backward through them. The other form is a rewriting of ours that spares
    autograd the double backward; it is faster, nobody runs it, and its ratio is told for those who would rewrite.
    """
    for case in ("a", "b"):
        for method, goal in (("series", 2.5), ("neumann", 5.0)):
            mine = min(row["best_seconds"] for row in ours if row["of"] == f"density {case} {method}")
            for form, whose in (("autograd", "official form"), ("explicit", "rewritten")):
                other = min(row["seconds_min"] for row in theirs if row["of"] == f"density {case} {form}")
                line(f"density {case}, {method}, PyTorch, {whose}", mine, other, "s", other / mine,
                     goal if form == "autograd" else None)


def main():
    ours, theirs = read(sys.argv[1])
    failed = False

    def line(what, mine, other, unit, ratio, goal):
        nonlocal failed
        missed = goal is not None and not ratio >= goal
        failed |= missed
        verdict = "" if goal is None else f"  goal {goal:.1f}x {'MISSED' if missed else 'met'}"
        print(f"{what:48} {mine:9.3f} {other:9.3f} {unit:8} {ratio:6.2f}x{verdict}")

    print(f"{'':48} {'iresnet':>9} {'other':>9}")
    mine = min(row["best_seconds"] for row in ours if row["of"] == "step")
    other = min(row["seconds_min"] for row in theirs if row["of"] == "step")
    line("step, cifar10, batch 128, PyTorch", mine, other, "s", other / mine, GOALS["step"])
    inverse_lines(ours, theirs, line)
    density_lines(ours, theirs, line)
    for what in ("certify model", "certify kernel"):
        mine = min(row["best_seconds"] for row in ours if row["of"] == what)
        other = min(row["seconds_min"] for row in theirs if row["of"] == what)
        line(f"{what}, NumPy", mine, other, "s", other / mine, GOALS[what])
    gemm = max(row["gflops"] for row in theirs if row["of"] == "gemm")
    best = {}
    for shape in (shape for row in ours for shape in row.get("shapes", [])):
        kernel = shape["kernel"]
        size = f"{kernel}x{kernel}, {shape['batch']}x{shape['height']}x{shape['width']}, {shape['inputs']} -> {shape['outputs']}"
        for key, part in RATES.items():
            name = f"{shape['method']} {size}, {part}"
            best[name] = max(best.get(name, 0), shape[key])
    for name, rate in best.items():
        # Winograd's method is counted as if it did all the operations, so only the other one is compared by them.
        line(name, rate, gemm, "GFLOP/s", rate / gemm, GOALS["conv"] if name.startswith("direct 3x3") else None)
    memory = [row["peak_device_memory"] for row in ours if row["of"] == "step"]
    print(f"{'step: peak device memory':48} {max(memory) / 2**30:9.3f} GiB")
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
