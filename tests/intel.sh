#!/bin/sh
# Puts Intel's OpenCL runtime for CPUs (from PyPI; it runs on any x86-64 CPU) into FOLDER, once, and
# says in FOLDER/environment, a variable a line, how to use it and no other. Usage: tests/intel.sh FOLDER. Exit status:
# 77 where PyPI cannot be reached.
set -eu

folder=$1
[ ! -s "$folder/environment" ] || exit 0
rm -rf "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check intel-opencl-rt==2026.2.0 \
    intel-cmplr-lib-rt==2026.2.0 || exit 77
library=$folder/venv/lib
[ -e "$library/libintelocl.so" ]
# The loader is the system's.
rm -f "$library"/libOpenCL.so*
mkdir "$folder/vendors"
echo "$library/libintelocl.so" >"$folder/vendors/intel.icd"
printf 'OCL_ICD_VENDORS=%s\nLD_LIBRARY_PATH=%s\n' "$folder/vendors" "$library" >"$folder/environment"
