"""The vendors' compilers: what each says of the kernels of one program.

A result is a list of kernels, each a dictionary: name; registers, of a work-item (of an Intel
thread the register file that it may use); local, bytes of local memory a work-group; scratch,
bytes of private memory a work-item that are no registers; spills; waves, the compiler's own
occupancy (AMD) or None.

Nothing is taken for none because it was not found: what a compiler says of a kernel has every field
that is read, and no other that might tell of memory, or is refused with a CompilerError. Only local
memory and, on Intel, scratch are left unsaid where there is none; that they are found where there
is some is for canary.py to see.
"""
import os
import re
import shutil
import struct
import subprocess
import tempfile

NVIDIA = ["sm_75", "sm_80", "sm_90"]
AMD_CDNA = ["gfx906", "gfx90a"]
AMD_RDNA = ["gfx1030", "gfx1100"]
INTEL = ["skl"]
INTEL_WITHOUT_FLOAT64 = ["tgllp", "dg2"]

# By the names of the GPUs in programs.c.
OF_GPU = {
    "NVIDIA": NVIDIA,
    "AMD CDNA": AMD_CDNA,
    "AMD RDNA": AMD_RDNA,
    "Intel": INTEL,
    "Intel without float64": INTEL_WITHOUT_FLOAT64,
}
ALL = NVIDIA + AMD_CDNA + AMD_RDNA + INTEL + INTEL_WITHOUT_FLOAT64

LIBCLC = "/usr/lib/clc/"


class CompilerError(Exception):
    pass


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise CompilerError(" ".join(command) + "\n" + done.stdout)
    return done.stdout


def only(pattern, text, what):
    """The one match of the pattern."""
    found = re.findall(pattern, text, re.M)
    if len(found) != 1:
        raise CompilerError(f"{what}: {len(found)} lines of the compiler's output match "
                            f"{pattern!r} instead of one")
    return found[0]


def read_file(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


# ---- the source ----

def clang(source, options, target, library, output):
    """OpenCL C to assembly, as the drivers' own front ends do it, with libclc's built-ins."""
    run(["clang-15", "-x", "cl", *target, "-nogpulib", "-Xclang", "-finclude-default-header",
         "-Xclang", "-mlink-builtin-bitcode", "-Xclang", LIBCLC + library, "-O3", "-w",
         *options.split(), "-S", source, "-o", output])


def defined_kernels(source, options):
    """The names of the kernels that a program defines."""
    text = run(["clang-15", "-x", "cl", "-E", "-P", "-w", *options.split(), source])
    return set(re.findall(r"\b__kernel\b[^{};]*?\bvoid\s+(\w+)\s*\(", text))


# ---- NVIDIA ----

# What ptxas may say of a kernel behind its registers.
USED = re.compile(r"used \d+ barriers|\d+ bytes (?:smem|cumulative stack size|cmem\[\d+\])")


def ptxas_kernels(log):
    """Of the output of ptxas -v."""
    kernels = []
    for part in re.split(r"Compiling entry function '", log)[1:]:
        name = part.split("'")[0]
        what = f"ptxas, kernel {name}"
        registers, others = only(r": Used (\d+) registers((?:, [^,\n]+)*)$", part, what)
        others = others.split(", ")[1:]
        unknown = [text for text in others if not USED.fullmatch(text)]
        if unknown:
            raise CompilerError(f"{what}: targets.py does not know what it means by '{unknown[0]}'")
        stack, stores, loads = only(r"^ +(\d+) bytes stack frame, (\d+) bytes spill stores, "
                                    r"(\d+) bytes spill loads$", part, what)
        kernels.append({
            "name": name,
            "registers": int(registers),
            "local": sum(int(text.split()[0]) for text in others if text.endswith(" smem")),
            "scratch": int(stack),
            "spills": int(stores) + int(loads),
            "waves": None,
        })
    return kernels


def nvidia(source, options, targets, folder):
    ptx = os.path.join(folder, "k.ptx")
    clang(source, options, ["-target", "nvptx64--nvidiacl", "-Xclang", "-target-cpu", "-Xclang",
                            "sm_75"], "nvptx64--nvidiacl.bc", ptx)
    return {target: run(["ptxas", "-arch=" + target, "-v", ptx, "-o", "/dev/null"])
            for target in targets}


# ---- AMD ----

def amd_waves(assembly):
    """{kernel: occupancy}, of the comments behind each function."""
    waves, name = {}, None
    for label, occupancy in re.findall(r"^(\w+): +; @\w+$|^; Occupancy: (\d+)$", assembly, re.M):
        if label:
            name = label
        else:
            waves[name] = int(occupancy)
    return waves


def amd_kernels(assembly):
    """Of the assembly's metadata, and of the comments behind each kernel."""
    waves = amd_waves(assembly)
    metadata = only(r"^amdhsa\.kernels:\n((?: .*\n)+)", assembly, "metadata of an AMD program")
    kernels = []
    for part in re.split(r"^  - ", metadata, flags=re.M)[1:]:
        name = only(r"^    \.name: +(\w+)$", part, "metadata of an AMD kernel")
        what = f"AMD kernel {name}"
        field = lambda key: int(only(r"^    \." + key + r": +(\d+)$", part, what))
        only(r"^    \.uses_dynamic_stack: +false$", part, what)
        if name not in waves:
            raise CompilerError(f"{what}: the compiler does not tell its occupancy")
        kernels.append({
            "name": name,
            "registers": field("vgpr_count"),
            "local": field("group_segment_fixed_size"),
            "scratch": field("private_segment_fixed_size"),
            "spills": field("vgpr_spill_count") + field("sgpr_spill_count"),
            "waves": waves[name],
        })
    return kernels


def amd(source, options, targets, folder):
    results = {}
    for target in targets:
        output = os.path.join(folder, target + ".s")
        clang(source, options, ["-target", "amdgcn--amdhsa", "-mcpu=" + target],
              "amdgcn--amdhsa.bc", output)
        results[target] = read_file(output)
    return results


# ---- Intel ----

def elf_section(data, wanted):
    offset, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    rows = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
    for row in rows:
        start = rows[names][4] + row[0]
        if data[start:data.index(b"\0", start)].decode() == wanted:
            return data[row[4]:row[4] + row[5]].decode()
    raise CompilerError("no section " + wanted)


# What the description of a kernel may have: sections, and what is in execution_env.
INTEL_SECTIONS = {"user_attributes", "execution_env", "payload_arguments", "binding_table_indices",
                  "per_thread_payload_arguments", "per_thread_memory_buffers"}
INTEL_ENVIRONMENT = {"barrier_count", "disable_mid_thread_preemption", "grf_count",
                     "has_4gb_buffers", "has_global_atomics", "has_no_stateless_write",
                     "inline_data_payload_size", "offset_to_skip_per_thread_data_load",
                     "required_sub_group_size", "required_work_group_size", "simd_size", "slm_size",
                     "subgroup_independent_forward_progress", "work_group_walk_order_dimensions"}


def sections_of(text, indent, known, what):
    """{key: what is below it}, of the keys at an indent, which must be known."""
    parts = re.split(rf"^ {{{indent}}}(\w+):", text, flags=re.M)
    sections = dict(zip(parts[1::2], parts[2::2]))
    for key in sections.keys() - known:
        raise CompilerError(f"{what}: targets.py does not know whether '{key}' tells of memory")
    return sections


def intel_buffers(section, what):
    """{usage: bytes} of per_thread_memory_buffers."""
    sizes = {"private_space": 0, "spill_fill_space": 0, "single_space": 0}
    for part in re.split(r"^ +- ", section, flags=re.M)[1:]:
        usage = only(r"^ +usage: +(\w+)$", part, what)
        if usage not in sizes:
            raise CompilerError(f"{what}: targets.py does not know memory for '{usage}'")
        sizes[usage] += int(only(r"^ +size: +(\d+)$", part, what))
    return sizes


def intel_kernels(description):
    """Of the section .ze_info of a binary (the compiler's documentation/igc/ZEBinary)."""
    kernels = []
    only(r"^version: +'(1)\.\d+'$", description, "Intel's description of a program")
    listed = only(r"^kernels:\n((?: .*\n)+)", description, "Intel's description of a program")
    for part in re.split(r"^  - name: +", listed, flags=re.M)[1:]:
        name = part.split()[0]
        if name.startswith("Intel_"):
            continue  # no kernel: where the program's tables are
        what = f"Intel kernel {name}"
        sections = sections_of(part, 4, INTEL_SECTIONS, what)
        environment = sections.get("execution_env", "")
        has_local = "slm_size" in sections_of(environment, 6, INTEL_ENVIRONMENT, what)
        field = lambda key: int(only(r"^ {6}" + key + r": +(\d+)$", environment, what))
        buffers = intel_buffers(sections.get("per_thread_memory_buffers", ""), what)
        if "per_thread_memory_buffers" in sections and not sum(buffers.values()):
            raise CompilerError(f"{what}: buffers of private memory without a size")
        kernels.append({
            "name": name,
            "registers": field("grf_count"),
            "local": field("slm_size") if has_local else 0,
            "scratch": buffers["private_space"],
            "spills": buffers["spill_fill_space"] + buffers["single_space"],
            "waves": None,
            "simd": field("simd_size"),
        })
    return kernels


def intel(source, options, targets, folder):
    results = {}
    for target in targets:
        where = os.path.join(folder, target)
        run(["ocloc", "compile", "-q", "-file", source, "-device", target, "-options", options,
             "--format", "zebin", "-output", "k", "-out_dir", where])
        binary = [name for name in os.listdir(where) if name.endswith(".bin")]
        if len(binary) != 1:
            raise CompilerError(f"ocloc: {len(binary)} binaries for {target} instead of one")
        with open(os.path.join(where, binary[0]), "rb") as file:
            results[target] = elf_section(file.read(), ".ze_info")
    return results


# ----

def compiler_of(gpu):
    """What calls the compiler, and what reads its output."""
    return {"NVIDIA": (nvidia, ptxas_kernels), "AMD": (amd, amd_kernels),
            "Intel": (intel, intel_kernels)}[gpu.split()[0]]


def ocloc_version():
    """It answers into a file."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ocloc", "query", "OCL_DRIVER_VERSION"], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return read_file(os.path.join(folder, "OCL_DRIVER_VERSION")).strip("\0 \n")


def version_of(gpu):
    """Of the GPU's compilers, or None where one is not there; one that does not work is an error."""
    needed = {"NVIDIA": "ptxas", "AMD": "clang-15", "Intel": "ocloc"}[gpu.split()[0]]
    if not shutil.which("clang-15") or not shutil.which(needed):
        return None
    if needed == "ocloc":
        return "ocloc " + ocloc_version()
    version = run(["clang-15", "--version"]).split("\n")[0]
    if needed == "ptxas":
        version += ", ptxas " + only(r"V([\d.]+)$", run(["ptxas", "--version"]), "ptxas --version")
    return version


def outputs(gpu, source, options):
    """{target: what the compiler says} for the GPU's targets."""
    compiler, _ = compiler_of(gpu)
    with tempfile.TemporaryDirectory() as folder:
        return compiler(source, options, OF_GPU[gpu], folder)


def kernels_of(gpu, output, wanted, what):
    """Of a compiler's output, which must tell of the wanted kernels, each once, and no others."""
    _, reader = compiler_of(gpu)
    kernels = reader(output)
    names = sorted(k["name"] for k in kernels)
    if names != sorted(wanted):
        raise CompilerError(f"{what}: the compiler tells of the kernels {names}, but there are "
                            f"{sorted(wanted)}")
    return kernels


def compile_program(gpu, source, options, asked):
    """{target: kernels} for the GPU's targets: those that the program defines, and those asked for."""
    wanted = defined_kernels(source, options) | set(asked)
    return {target: kernels_of(gpu, output, wanted, f"{target}: {source} {options}")
            for target, output in outputs(gpu, source, options).items()}
