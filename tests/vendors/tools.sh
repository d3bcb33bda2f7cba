#!/bin/sh
# The vendors' compilers that Debian has no package for, or none that may be installed beside the
# others, as FOLDER/bin/ptxas and FOLDER/bin/ocloc. What cannot be had is said, and left out.
# Usage: tests/vendors/tools.sh FOLDER
set -eu

mkdir -p "$1/bin" "$1/packages"
folder=$(cd "$1" && pwd)

# NVIDIA's assembler, from the CUDA toolkit or the package on PyPI.
wheel=nvidia-cuda-nvcc-cu12==12.9.86
find_ptxas() {
    for path in "$(command -v ptxas || true)" /usr/local/cuda/bin/ptxas; do
        if [ -x "$path" ]; then
            ln -sf "$path" "$folder/bin/ptxas"
            return
        fi
    done
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$folder/packages" $wheel &&
        python3 -c '
import glob, sys, zipfile
archive = zipfile.ZipFile(glob.glob(sys.argv[1] + "/packages/nvidia_cuda_nvcc*.whl")[0])
open(sys.argv[1] + "/bin/ptxas", "wb").write(archive.read("nvidia/cuda_nvcc/bin/ptxas"))' "$folder" &&
        chmod +x "$folder/bin/ptxas"
}

# Intel's offline compiler. Its package would also install a driver for all programs, and conflicts
# with libclc-14, so it is unpacked aside; LLVM 14 is there with clang.
packages="intel-opencl-icd libigc1 libigdfcl1 libigdgmm12 libopencl-clang14 libllvmspirvlib14"
unpack_ocloc() {
    libraries=$folder/intel/usr/lib/x86_64-linux-gnu
    # shellcheck disable=SC2086
    (cd "$folder/packages" && apt-get download -qq $packages) || return
    for package in "$folder"/packages/*.deb; do
        dpkg-deb -x "$package" "$folder/intel" || return
    done
    cat >"$folder/bin/ocloc" <<END
#!/bin/sh
LD_LIBRARY_PATH=$libraries exec $folder/intel/usr/bin/ocloc "\$@"
END
    chmod +x "$folder/bin/ocloc"
}

[ -x "$folder/bin/ptxas" ] || find_ptxas || echo "SKIPPED ptxas: neither a CUDA toolkit nor $wheel"
[ -x "$folder/bin/ocloc" ] || unpack_ocloc || echo "SKIPPED ocloc: apt-get does not find $packages"
