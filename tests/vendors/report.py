#!/usr/bin/env python3
"""Compiles what vendor_programs has listed for the GPUs of three vendors, and tells of every kernel
its registers, local memory, scratch, spills and occupancy: FOLDER/kernels.csv, and in
FOLDER/kernels.md what is worst of each over its variants. Results are kept in FOLDER/cache.

Usage: report.py FOLDER [--all]     FOLDER/list holds the list
By default programs that differ in ACT and TERMS alone are thinned out, see thinned(); --all: none.
Exit status: 0; 1 a kernel has scratch or spills, a convolution on NVIDIA or AMD less than 25 %
occupancy, or a program is in no list; 2 something failed.
"""
import argparse
import collections
import concurrent.futures
import csv
import hashlib
import json
import os
import re
import sys

import occupancy
import targets

LEAST_OCCUPANCY = 0.25
COMPILER_SOURCE = targets.read_file(targets.__file__)

# Files whose kernels only CPUs run (WG = 1): src/ops and src/flow/chain.c ask for !is_simt.
CPU_FILES = {"chain.cl", "chain.clh", "chain_series.cl", "narrow.cl", "pointwise.cl", "product.clh",
             "winograd.cl", "winograd.clh", "winograd_gradient.cl"}

# Options that say how a convolution is cut: GROUP, GP, GB, GK and NQ, NO, GQ, GO of a tile.
TILES = [("GROUP", "GP", "GB", "GK"), ("NQ", "NO", "GQ", "GO")]

COLUMNS = ["target", "program", "options", "choice", "kernel", "work_group", "registers", "local",
           "scratch", "spills", "occupancy"]


def files_of(source):
    return re.findall(r'^#line 1 "([^"]+)"$', source, re.M)


def option(options, name):
    found = re.search(r"-D" + name + r"=(\S+)", options)
    return found.group(1) if found else None


def tile_of(options):
    """As `iresnet tune` writes it, or nothing."""
    for names in TILES:
        if option(options, names[0]):
            return "x".join(option(options, name) for name in names)
    return ""


# ---- which programs ----

def terms_that_differ(source, terms):
    """Of the numbers of terms: the ends, and both sides of where the source tells them apart."""
    edges = {int(edge) for edge in re.findall(r"TERMS\s*<=\s*(\d+)", source)}
    wanted = {min(terms), max(terms)} | edges | {edge + 1 for edge in edges}
    return wanted & set(terms)


def thinned(programs):
    """Of programs that differ in TERMS alone, those of terms_that_differ(), all of them for the last
    activation (which has the longest code), the largest that is unrolled for the others; of those
    that differ in ACT alone, in float64 or of a tile that is only a choice, the last: where another
    spills, so does this one."""
    terms = collections.defaultdict(set)
    last = collections.defaultdict(int)
    for p in programs:
        p["family"] = (p["gpu"], files_of(p["text"])[-1])
        terms[p["family"]].add(int(option(p["options"], "TERMS") or 0))
        last[p["family"]] = max(last[p["family"]], int(option(p["options"], "ACT") or 0))

    def kept(p):
        act, is_last = option(p["options"], "ACT"), False
        is_last = act is None or int(act) == last[p["family"]]
        if option(p["options"], "TERMS"):
            differ = terms_that_differ(p["text"], terms[p["family"]])
            edges = {int(n) for n in re.findall(r"TERMS\s*<=\s*(\d+)", p["text"])}
            return int(option(p["options"], "TERMS")) in (differ if is_last else edges)
        return is_last or not (p["choice"] or option(p["options"], "REAL") == "double")
    return [p for p in programs if kept(p)]


def read_list(folder):
    with open(os.path.join(folder, "programs.json"), encoding="utf-8") as file:
        programs = json.load(file)
    for p in programs:
        p["path"] = os.path.join(folder, p["source"])
        with open(p["path"], encoding="utf-8") as file:
            p["text"] = file.read()
    return programs


def unlisted(programs, cl_folder):
    """Sentences on kernel files that no program has, or that CPUs alone should have."""
    listed = {name for p in programs for name in files_of(p["text"])}
    there = {name for name in os.listdir(cl_folder) if name.endswith((".cl", ".clh"))}
    for name in sorted(there - listed - CPU_FILES):
        yield f"{name}: no use in programs.c leads to it"
    for name in sorted(CPU_FILES & listed):
        yield f"{name}: GPUs compile it, but report.py takes it for CPUs' alone"
    for name in sorted(CPU_FILES - there):
        yield f"{name}: there is no such file, but report.py names it"


# ---- compiling ----

def compiled(program, version, cache):
    """{target: kernels}, from the cache if it is there."""
    asked = sorted(k["name"] for k in program["kernels"])
    key = "\0".join([version, program["gpu"], program["options"], program["text"], *asked,
                     COMPILER_SOURCE])
    path = os.path.join(cache, hashlib.sha256(key.encode()).hexdigest() + ".json")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        pass
    result = targets.compile_program(program["gpu"], program["path"], program["options"], asked)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(path + ".new", path)
    return result


def rows_of(program, results):
    asked = {k["name"]: k for k in program["kernels"]}
    usual = int(option(program["options"], "WG"))
    for target, kernels in results.items():
        for k in kernels:
            launch = asked.get(k["name"], {"work_group": usual, "local_memory": 0})
            is_conv = files_of(program["text"])[-1].startswith("conv")
            occupied = occupancy.of(target, k, launch["work_group"], launch["local_memory"])
            yield {
                "target": target,
                "program": files_of(program["text"])[-1],
                "options": " ".join(o for o in program["options"].split() if o.startswith("-D")),
                "choice": int(program["choice"]),
                "kernel": k["name"],
                "work_group": launch["work_group"] or "driver",
                "registers": k["registers"],
                "local": k["local"] + launch["local_memory"],
                "scratch": k["scratch"],
                "spills": k["spills"],
                "occupancy": occupied,
                "judge_occupancy": is_conv and k["name"] in asked,
            }


def compile_all(programs, versions, folder):
    """The table's rows, and sentences on what failed."""
    cache = os.path.join(folder, "cache")
    os.makedirs(cache, exist_ok=True)
    rows, failures = [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {pool.submit(compiled, p, versions[p["gpu"]], cache): p
                for p in programs if versions[p["gpu"]]}
        for job, program in jobs.items():
            try:
                rows += rows_of(program, job.result())
            except targets.CompilerError as error:
                failures.append(str(error))
    return rows, failures


# ---- judging and telling ----

def judged(row):
    """What is wrong with a row, or None."""
    where = f"{row['target']}: {row['kernel']} ({row['program']} {row['options']})"
    if row["scratch"] or row["spills"]:
        return f"{where} has {row['scratch']} bytes of scratch, {row['spills']} spills"
    occupied = row["occupancy"]
    if row["judge_occupancy"] and occupied is not None and not occupied >= LEAST_OCCUPANCY:
        return f"{where} has an occupancy of {100 * occupied:.0f} %"
    return None


def write_csv(rows, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            shown = "" if row["occupancy"] is None else f"{row['occupancy']:.4f}"
            writer.writerow({**row, "occupancy": shown})


def worst(rows):
    """{(program, precision, tile, kernel): {target: the worst figures over all variants}}."""
    table = collections.defaultdict(dict)
    for row in rows:
        key = (row["program"], option(row["options"], "REAL") or "", tile_of(row["options"]),
               row["kernel"])
        cell = table[key].setdefault(row["target"], dict(row))
        for name in ("registers", "local", "scratch", "spills"):
            cell[name] = max(cell[name], row[name])
        cell["choice"] = min(cell["choice"], row["choice"])
        if row["occupancy"] is not None:
            cell["occupancy"] = min(cell["occupancy"], row["occupancy"])
    return table


def cell_text(cell):
    text = str(cell["registers"])
    if cell["occupancy"] is not None:
        text += f" ({100 * cell['occupancy']:.0f} %)"
    if cell["local"]:
        text += f", {cell['local']} B"
    if cell["scratch"] or cell["spills"]:
        text += f", **{cell['scratch']} B scratch, {cell['spills']} spills**"
    return f"[{text}]" if cell["choice"] else text


def compilers(versions):
    for gpu, version in versions.items():
        yield f"{gpu}: {version}" if version else f"SKIPPED {gpu}: its compilers are not there"


def write_markdown(rows, versions, path):
    with open(path, "w", encoding="utf-8") as file:
        file.write("# Kernels as the vendors' compilers make them\n\n"
                   "Registers a work-item (Intel: of a thread), occupancy, and where there is any, "
                   "local memory a work-group: the worst of a kernel's variants. Tiles in "
                   "brackets are not a class's own, tuning may choose them there.\n\n")
        file.writelines(f"- {text}\n" for text in compilers(versions))
        file.write("\n| program | real | tile | kernel | " + " | ".join(targets.ALL) + " |\n")
        file.write("|---" * (4 + len(targets.ALL)) + "|\n")
        for key, cells in sorted(worst(rows).items()):
            texts = [cell_text(cells[t]) if t in cells else "" for t in targets.ALL]
            file.write("| " + " | ".join([*key, *texts]) + " |\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder")
    parser.add_argument("--all", action="store_true", help="every program, however alike")
    arguments = parser.parse_args()
    folder = arguments.folder
    cl_folder = os.path.join(os.path.dirname(__file__), "..", "..", "cl")
    programs = read_list(os.path.join(folder, "list"))
    problems = list(unlisted(programs, cl_folder))
    chosen = programs if arguments.all else thinned(programs)
    versions = {gpu: targets.version_of(gpu) for gpu in targets.OF_GPU}
    print("\n".join(compilers(versions)))
    rows, failures = compile_all(chosen, versions, folder)
    write_csv(rows, os.path.join(folder, "kernels.csv"))
    write_markdown(rows, versions, os.path.join(folder, "kernels.md"))
    problems += [text for text in map(judged, rows) if text]
    for text in failures + problems:
        print("FAILED " + text)
    print(f"{len(chosen)} of {len(programs)} programs, {len(rows)} kernels compiled")
    return 2 if failures or not rows else 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
