#!/usr/bin/env python3
"""Whether report.py would notice: canary.cl's kernels, of which some must have scratch or spills,
go the way of all others through every compiler that is there; then what the compilers said of them
is altered, and must be refused.

Usage: canary.py
Exit status: 0; 1 something would go unnoticed, or is taken for what it is not.
"""
import concurrent.futures
import os
import re
import sys

import report
import targets

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "canary.cl")
GROUP, COUNT, SHARED = 64, 600, 1024  # COUNT is above the 512 registers of gfx90a
OPTIONS = f"-cl-std=CL1.2 -DWG={GROUP} -DCOUNT={COUNT}"
CLEAN, SPILLING = {"plain", "shared_values"}, {"private_array", "many_values"}

# What another version of a compiler might write instead; each must be refused.
RENAMED = {
    "NVIDIA": [("Used ", "Uses "), (" registers", " regs"), ("Used ", "Used 0x"),
               (" smem", " shared"), ("bytes stack frame", "bytes frame"),
               ("bytes spill stores", "bytes stores"), ("bytes spill loads", "bytes loads"),
               ("'plain'", "'other'"),
               ("Compiling entry", "Compiling an entry")],
    "AMD": [(".vgpr_count:", ".vgprs:"), (".vgpr_spill_count:", ".vgpr_spills:"),
            (".sgpr_spill_count:", ".sgpr_spills:"),
            (".private_segment_fixed_size:", ".private_size:"),
            (".group_segment_fixed_size:", ".group_size:"),
            ("_dynamic_stack: false", "_dynamic_stack: true"),
            ("; Occupancy:", "; Waves:"), ("amdhsa.kernels:", "amdhsa.functions:"),
            (" plain\n", " other\n")],
    "Intel": [("version:         '1", "version:         '2"), ("\nkernels:", "\nfunctions:"),
              ("grf_count:", "grfs:"), ("simd_size:", "simd:"), ("slm_size:", "local_size:"),
              ("per_thread_memory_buffers:", "thread_buffers:"), (" usage: ", " use: "),
              ("_space\n        size: ", "_space\n        bytes: "), ("_space\n", "_area\n"),
              ("- name:            plain", "- name:            other"),
              ("simd_size:", "spill_size:      64\n      simd_size:"),
              ("execution_env:", "environment:")],
}

# Lines that only kernels with local memory or scratch have: without them there is none.
UNSAID = {"NVIDIA": r"$^", "AMD": r"$^", "Intel": r"slm_size:|per_thread_memory_buffers:"}

# Where a compiler tells of kernels, among all else.
TELLING = {"NVIDIA": r"", "AMD": r"^; \w|^ +(- )?\.\w|^amdhsa", "Intel": r""}


def program(gpu):
    """As programs.json would have it."""
    kernels = [{"name": name, "work_group": GROUP, "local_memory": 0} for name in CLEAN | SPILLING]
    return {"gpu": gpu, "options": OPTIONS, "text": '#line 1 "canary.cl"\n', "choice": False,
            "kernels": kernels}


def misjudged(gpu, results):
    """Sentences on kernels that are judged otherwise than they must be."""
    for row in report.rows_of(program(gpu), results):
        where, name = f"{row['target']}: {row['kernel']} of canary.cl", row["kernel"]
        problem = report.judged(row)
        if name in SPILLING and not problem:
            yield f"{where} must have scratch or spills, but passes"
        if name in CLEAN and problem:
            yield f"{where} must pass, but: {problem}"
        if (row["local"] == SHARED) != (name == "shared_values"):
            yield f"{where} is said to have {row['local']} bytes of local memory"
        if not row["registers"] > 0:
            yield f"{where} is said to have {row['registers']} registers"


def read(gpu, output):
    """What is read from a compiler's output, or None where it is refused."""
    try:
        return targets.kernels_of(gpu, output, CLEAN | SPILLING, "")
    except targets.CompilerError:
        return None


def unnoticed(gpu, target, output):
    """Sentences on alterations of a compiler's output that are not refused."""
    vendor, right = gpu.split()[0], read(gpu, output)
    for old, new in RENAMED[vendor]:
        if old not in output:
            yield f"{target}: the compiler does not write {old!r}, which is to be altered"
        elif read(gpu, output.replace(old, new)) is not None:
            yield f"{target}: {new!r} instead of {old!r} goes unnoticed"
    lines = output.splitlines(keepends=True)
    for i, line in enumerate(lines):
        if not re.search(TELLING[vendor], line) or re.search(UNSAID[vendor], line):
            continue
        if read(gpu, "".join(lines[:i] + lines[i + 1:])) not in (None, right):
            yield f"{target}: without the line {line.strip()!r} other figures are read"


def of_gpu(gpu):
    """Sentences on what is wrong with a GPU's compilers, or with how their output is read."""
    try:
        defined = targets.defined_kernels(SOURCE, OPTIONS)
        if defined != CLEAN | SPILLING:
            return [f"canary.cl defines {sorted(defined)} by what targets.py finds"]
        outputs = targets.outputs(gpu, SOURCE, OPTIONS)
        results = {target: targets.kernels_of(gpu, output, defined, target)
                   for target, output in outputs.items()}
    except targets.CompilerError as error:
        return [str(error)]
    problems = list(misjudged(gpu, results))
    for target, output in outputs.items():
        problems += unnoticed(gpu, target, output)
    return problems


def of_occupancy():
    row = {"target": "", "kernel": "", "program": "", "options": "", "scratch": 0, "spills": 0,
           "judge_occupancy": True}
    for occupied in (0.0, 0.2499, float("nan")):
        if not report.judged({**row, "occupancy": occupied}):
            yield f"an occupancy of {occupied} passes"
    if report.judged({**row, "occupancy": report.LEAST_OCCUPANCY}):
        yield "the least occupancy that is allowed does not pass"


def main():
    present = [gpu for gpu in targets.OF_GPU if targets.version_of(gpu)]  # report.py tells of others
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = sum(pool.map(of_gpu, present), list(of_occupancy()))
    seen = [target for gpu in present for target in targets.OF_GPU[gpu]]
    for text in problems:
        print("FAILED " + text)
    print(f"canary.cl on {', '.join(seen) or 'no target'}: {len(problems)} problems")
    return 1 if problems or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
