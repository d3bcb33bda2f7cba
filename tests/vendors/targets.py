"""The vendors' compilers: what each says of the kernels of one program.

A result is a list of kernels, each a dictionary: name; registers, of a work-item (of an Intel thread
the register file that it may use); local, bytes of local memory a work-group; scratch, bytes of
private memory a work-item that are no registers; spills; waves, the compiler's own occupancy (AMD)
or None.
"""
import os
import re
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


def clang(source, options, target, library, output):
    """OpenCL C to assembly, as the drivers' own front ends do it, with libclc's built-ins."""
    run(["clang-15", "-x", "cl", *target, "-nogpulib", "-Xclang", "-finclude-default-header",
         "-Xclang", "-mlink-builtin-bitcode", "-Xclang", LIBCLC + library, "-O3", "-w",
         *options.split(), "-S", source, "-o", output])


# ---- NVIDIA ----

def ptxas_kernels(log):
    """Of the output of ptxas -v."""
    kernels = []
    for part in re.split(r"Compiling entry function '", log)[1:]:
        number = lambda pattern: sum(int(n) for n in re.findall(pattern, part))
        kernels.append({
            "name": part.split("'")[0],
            "registers": number(r"Used (\d+) registers"),
            "local": number(r"(\d+) bytes smem"),
            "scratch": number(r"(\d+) bytes stack frame"),
            "spills": number(r"(\d+) bytes spill (?:stores|loads)"),
            "waves": None,
        })
    return kernels


def nvidia(source, options, targets, folder):
    ptx = os.path.join(folder, "k.ptx")
    clang(source, options, ["-target", "nvptx64--nvidiacl", "-Xclang", "-target-cpu", "-Xclang",
                            "sm_75"], "nvptx64--nvidiacl.bc", ptx)
    return {target: ptxas_kernels(run(["ptxas", "-arch=" + target, "-v", ptx, "-o", "/dev/null"]))
            for target in targets}


# ---- AMD ----

def amd_kernels(assembly):
    """Of the assembly's metadata, and of the comments behind each kernel."""
    waves = re.findall(r"^; Occupancy: (\d+)", assembly, re.M)
    metadata = assembly[assembly.index(".amdgpu_metadata"):]
    kernels = []
    for i, part in enumerate(re.split(r"^  - \.a", metadata, flags=re.M)[1:]):
        field = lambda name: int((re.findall(r"^    \." + name + r": +(\d+)$", part, re.M) or [0])[0])
        kernels.append({
            "name": re.search(r"^    \.name: +(\w+)$", part, re.M).group(1),
            "registers": field("vgpr_count"),
            "local": field("group_segment_fixed_size"),
            "scratch": field("private_segment_fixed_size"),
            "spills": field("vgpr_spill_count") + field("sgpr_spill_count"),
            "waves": int(waves[i]),
        })
    return kernels


def amd(source, options, targets, folder):
    results = {}
    for target in targets:
        output = os.path.join(folder, target + ".s")
        clang(source, options, ["-target", "amdgcn--amdhsa", "-mcpu=" + target],
              "amdgcn--amdhsa.bc", output)
        with open(output, encoding="utf-8") as file:
            results[target] = amd_kernels(file.read())
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


def intel_kernels(description):
    """Of the section .ze_info of a binary (the compiler's documentation/igc/ZEBinary)."""
    kernels = []
    description = description.split("kernels_misc_info:")[0]
    for part in re.split(r"^  - name: +", description, flags=re.M)[1:]:
        field = lambda name: int((re.findall(name + r": +(\d+)", part) or [0])[0])
        if part.startswith("Intel_"):
            continue  # no kernel: where the program's tables are
        buffers = re.findall(r"usage: +(\w+)\n +size: +(\d+)", part)
        size = lambda use: sum(int(bytes_) for usage, bytes_ in buffers if usage == use)
        kernels.append({
            "name": part.split()[0],
            "registers": field("grf_count"),
            "local": field("slm_size"),
            "scratch": size("private_space"),
            "spills": size("spill_fill_space") + size("single_space"),
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
        with open(os.path.join(where, binary[0]), "rb") as file:
            results[target] = intel_kernels(elf_section(file.read(), ".ze_info"))
    return results


# ----

def compiler_of(gpu):
    return {"NVIDIA": nvidia, "AMD": amd, "Intel": intel}[gpu.split()[0]]


def ocloc_version():
    """It answers into a file."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ocloc", "query", "OCL_DRIVER_VERSION"], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(folder, "OCL_DRIVER_VERSION"), encoding="utf-8") as file:
            return file.read().strip("\0 \n")


def version_of(gpu):
    """Of the GPU's compilers, or None where one is missing."""
    try:
        if gpu.startswith("Intel"):
            return "ocloc " + ocloc_version()
        version = run(["clang-15", "--version"]).split("\n")[0]
        if gpu == "NVIDIA":
            version += ", ptxas " + re.search(r"V([\d.]+)", run(["ptxas", "--version"])).group(1)
        return version
    except (OSError, subprocess.CalledProcessError, CompilerError):
        return None


def compile_program(gpu, source, options):
    """{target: kernels} for the GPU's targets."""
    with tempfile.TemporaryDirectory() as folder:
        return compiler_of(gpu)(source, options, OF_GPU[gpu], folder)
