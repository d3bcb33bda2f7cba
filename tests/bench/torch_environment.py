"""The environment in which PyTorch runs fastest on the CPU, for the yardsticks beside this file. Imports nothing of PyTorch."""
import os
import sys

THREADS = len(os.sched_getaffinity(0))


def cpu_flags():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
            return set(next((line for line in info if line.startswith("flags")), "").split())
    except OSError:
        return set()


# What must stand in the environment before the process starts, for the fastest run: libraries read these when they load.
# A value already set by the caller wins. TORCH_REFERENCE_ENV=asis leaves the environment alone.
def tuned_environment():
    wanted = {
        # glibc gives large blocks back to the kernel; each step would then fault every page of its activations in again
        "MALLOC_MMAP_THRESHOLD_": str(1 << 40),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
        "MALLOC_TOP_PAD_": str(1 << 26),
        "OMP_NUM_THREADS": str(THREADS),
    }
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= cpu_flags():
        # ATen's own loops default to AVX2; oneDNN and OpenBLAS find AVX-512 by themselves
        wanted["ATEN_CPU_CAPABILITY"] = "avx512"
    return wanted


def restart_tuned():
    if os.environ.get("TORCH_REFERENCE_ENV") in ("tuned", "asis"):
        return
    environment = dict(os.environ)
    for name, value in tuned_environment().items():
        environment.setdefault(name, value)
    environment["TORCH_REFERENCE_ENV"] = "tuned"
    os.execve(sys.executable, [sys.executable] + sys.argv, environment)
