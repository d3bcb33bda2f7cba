"""Occupancy: the share of the work-items that a compute unit can hold which its registers, local
memory and group slots leave room for."""

# CUDA C++ Programming Guide, "Technical Specifications per Compute Capability": warps and blocks a
# multiprocessor, bytes of shared memory. From 8.0 on a block takes 1 KiB of it for the system
# (Ampere Tuning Guide, 1.4.2.2). Registers, 65536 of 32 bits, go to warps of 32 in units of 256, and
# warps to the four parts of a multiprocessor (the toolkit's cuda_occupancy.h).
NVIDIA = {
    "sm_75": {"warps": 32, "blocks": 16, "shared": 64 << 10, "unit": 256, "reserved": 0},
    "sm_80": {"warps": 64, "blocks": 32, "shared": 164 << 10, "unit": 128, "reserved": 1 << 10},
    "sm_90": {"warps": 64, "blocks": 32, "shared": 228 << 10, "unit": 128, "reserved": 1 << 10},
}
REGISTERS, REGISTER_UNIT, PARTS, WARP = 65536, 256, 4, 32

# Waves of a SIMD: LLVM's AMDGPU back end, "Occupancy" in user guide and AMDGPUBaseInfo.cpp
# (getMaxWavesPerEU).
AMD = {"gfx906": 10, "gfx90a": 8, "gfx1030": 16, "gfx1100": 16}

# Where the driver chooses the group.
USUAL_GROUP = 256


def up(value, unit):
    return (value + unit - 1) // unit * unit


def nvidia(target, registers, local, group):
    figures = NVIDIA[target]
    warps = up(group, WARP) // WARP
    of_warp = up(max(registers, 1) * WARP, REGISTER_UNIT)
    blocks = [figures["blocks"], figures["warps"] // warps,
              REGISTERS // PARTS // of_warp * PARTS // warps,
              figures["shared"] // (up(local, figures["unit"]) + figures["reserved"] or 1)]
    return min(blocks) * warps / figures["warps"]


def of(target, kernel, group, dynamic_local):
    """A number from 0 to 1, or None: Intel's compiler always gives a thread the same share."""
    if target in NVIDIA:
        return nvidia(target, kernel["registers"], kernel["local"] + dynamic_local,
                      group or USUAL_GROUP)
    if target in AMD:
        return kernel["waves"] / AMD[target]
    return None
