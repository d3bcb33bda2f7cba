#!/bin/bash
# Installs what is missing, builds, and runs the tests. Usage: tests/run.sh [STAGE...]
#
#   lint      formatting of C files, shellcheck of scripts
#   unit      every build/test_* on every OpenCL device found
#   cli       the program: exit statuses, messages, hostile files
#   limits    the program on a driver that fails at every single call, at once or late, or lies about its limits
#   install   a scratch installation, and programs built against it
#   sanitize  unit tests, the program and the fuzzer under ASan and UBSan, built with clang
#   valgrind  unit tests that need no device under memcheck
#   oclgrind  kernels in Oclgrind: no race, no uninitialised or out-of-bounds access
#   vendors   every kernel of GPUs, every tile that tuning may choose, through NVIDIA's, AMD's and Intel's compilers: no spills
#   basic     unit tests and the program on PoCL's driver without threads
#   rusticl   the same on rusticl/llvmpipe: another compiler, a GPU's layout, no fp64
#   intel     the same on Intel's runtime for CPUs
#   matrix    what has passed where, from the logs of the stages before: $IRN_TEST_BUILD/implementations.md
#   bounds    10,000 kernels, most of them hard on bounds, against their true norms
#
# Default: all. Two run at a time: one of oclgrind, vendors, rusticl and intel beside one of the others; matrix
# comes last. Environment: IRN_TEST_BUILD, where things are built and logged (default build/tests);
# IRN_FUZZ_ROUNDS. The last line counts: Check's checks, the lines of cli, limits and install, and one for
# each other stage.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
usual="lint unit cli limits install sanitize valgrind basic bounds"
others="oclgrind vendors rusticl intel"
all="$usual $others matrix"
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $all
for stage in "$@"; do
    [[ " $all " == *" $stage "* ]] || {
        echo "$0: '$stage' is none of: $all" >&2
        exit 2
    }
done

mkdir -p "${IRN_TEST_BUILD:=$root/build/tests}/logs"
work=$(cd "$IRN_TEST_BUILD" && pwd)
logs=$work/logs
passed=0 failed=0
wanted=" $* "

export IRN_TEST_DATA=$root/tests IRN_GOLDEN=$root/tests/golden
unset IRN_DEVICE IRN_TUNING IRN_BUILD_OPTIONS RUSTICL_ENABLE OCL_ICD_VENDORS POCL_DEVICES CK_FORK
export CK_VERBOSITY=normal CK_TIMEOUT_MULTIPLIER=10

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

# Adds to the counts of the stage.
count() {
    stage_passed=$((stage_passed + $1)) stage_failed=$((stage_failed + $2))
}

# run_stage NAME: the function stage_NAME, its output to a log. It counts by itself or is one test.
run_stage() {
    local name=$1 begun=$SECONDS status=0 log=$logs/$1.log
    stage_passed=0 stage_failed=0
    "stage_$name" >"$log" 2>&1 </dev/null || status=$?
    if [ $((stage_passed + stage_failed)) -eq 0 ]; then
        count $((status == 0)) $((status != 0))
    elif [ $status -ne 0 ] && [ "$stage_failed" -eq 0 ]; then
        count 0 1
    fi
    printf '%-9s %5d passed  %3d failed  %4d s\n' "$name" "$stage_passed" "$stage_failed" $((SECONDS - begun))
    grep -a '^SKIPPED' "$log" | sed 's/^/    /'
    if [ "$stage_failed" -gt 0 ]; then
        grep -aE '^FAILED|:[FE]:|error:|ERROR|Error' "$log" | grep -av '^100%' | head -n 40 | sed 's/^/    /'
        echo "    the last lines of $log:"
        tail -n 15 "$log" | sed 's/^/    /'
    fi
    passed=$((passed + stage_passed)) failed=$((failed + stage_failed))
}

# run_lane NAME STAGE...: those of the stages that are wanted, one after the other. The user's caches stay as
# they are; compiled kernels are kept from run to run, by lane, since drivers may not share theirs.
run_lane() {
    local stage
    lane=$work/$1
    shift
    export IRN_CACHE_DIR=$lane/cache POCL_CACHE_DIR=$lane/pocl MESA_SHADER_CACHE_DIR=$lane/mesa
    mkdir -p "$IRN_CACHE_DIR" "$POCL_CACHE_DIR" "$MESA_SHADER_CACHE_DIR"
    rm -f "$lane/counts"
    for stage in "$@"; do
        [[ $wanted != *" $stage "* ]] || run_stage "$stage"
    done
    echo "$passed $failed" >"$lane/counts"
}

# Ends a process and all that it has begun, in whatever group that is.
end_tree() {
    local child
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        end_tree "$child"
    done
    kill "$1" 2>/dev/null
}

# Adds what a lane has counted. One that was killed has failed.
count_lane() {
    local lane_passed=0 lane_failed=1
    read -r lane_passed lane_failed 2>/dev/null <"$work/$1/counts" || echo "$1 did not come to its end"
    passed=$((passed + lane_passed)) failed=$((failed + lane_failed))
}

# configure_and_build DIRECTORY OPTION...
configure_and_build() {
    local folder=$1
    shift
    cmake -S "$root" -B "$folder" -G Ninja -DIRN_BUILD_TESTS=ON -DIRN_WERROR=ON "$@" &&
        cmake --build "$folder"
}

# run_check PROGRAM [WRAPPER...]: a Check program; counts its checks. It may take $limit seconds.
limit=900
run_check() {
    local program=$1 output=$lane/check.out begun=$SECONDS status=0 checks=0 failures=0 errors=0
    shift
    echo "== ${program##*/}"
    timeout -k 10 "$limit" "$@" "$program" >"$output" 2>&1 || status=$?
    cat "$output"
    echo "took $((SECONDS - begun)) s"
    read -r checks failures errors < <(sed -n \
        's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
        "$output" | tail -n 1)
    failures=$((failures + errors))
    if [ -z "$checks" ] || { [ "$failures" -eq 0 ] && [ "$status" -ne 0 ]; }; then
        echo "FAILED ${program##*/}: exit status $status (124: not done after $limit s)"
        failures=$((failures + 1)) checks=$((${checks:-0} + 1))
    fi
    count $((checks - failures)) "$failures"
}

# Counts by the last line of a script's output: N passed, N failed.
run_script() {
    local output=$lane/script.out begun=$SECONDS
    "$@" 2>&1 | tee "$output"
    echo "took $((SECONDS - begun)) s"
    if [[ $(tail -n 1 "$output") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        count "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    else
        echo "FAILED $1: no counts"
        count 0 1
    fi
}

# As in a stage that is one test: the counts of Check only say whether all is well.
only_status() {
    local failures=$stage_failed checks=$((stage_passed + stage_failed))
    echo "$checks checks, $failures failed"
    stage_passed=0 stage_failed=0
    [ "$checks" -gt 0 ] && [ "$failures" -eq 0 ]
}

stage_build() {
    configure_and_build "$work/gcc" -DCMAKE_C_COMPILER=gcc -DCMAKE_INSTALL_PREFIX="$work/prefix"
}

stage_lint() {
    local file status=0
    cd "$root" || return
    find src include tests examples -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror || status=1
    for file in cl/*; do
        clang-format --dry-run -Werror --assume-filename=kernel.c <"$file" || status=1
    done
    shellcheck --severity warning .ci/run examples/*.sh tests/*.sh tests/*/*.sh || status=1
    bash -n src/cli/iresnet.bash || status=1
    cd - >/dev/null || return
    return $status
}

stage_unit() {
    local program
    for program in "$work"/gcc/test_*; do
        [ -x "$program" ] && run_check "$program"
    done
    # The kernels of GPUs with local memory, also in double, by PoCL, and networks of them.
    for program in test_conv test_families test_inverse test_log_density; do
        IRN_TEST_BLOCK=4 run_check "$work/gcc/$program"
    done
}

stage_cli() {
    echo "== iresnet"
    run_script "$root/tests/cli/run.sh" "$work/gcc/iresnet"
}

stage_limits() {
    run_script "$work/gcc/limits"
}

stage_install() {
    run_script "$root/tests/install/run.sh" "$work/gcc" "$work/prefix"
}

stage_sanitize() {
    local program status=0
    export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 IRN_TEST_EFFORT=small
    export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
    configure_and_build "$work/clang" -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DIRN_SANITIZE=address,undefined || return
    # Drivers stay loaded to the end, so that what they leak is known to be theirs.
    echo 'int dlclose(void *handle) { (void)handle; return 0; }' >"$work/no_dlclose.c"
    gcc -shared -fPIC "$work/no_dlclose.c" -o "$work/no_dlclose.so" || return
    export LD_PRELOAD=$work/no_dlclose.so
    for program in "$work"/clang/test_*; do
        [ -x "$program" ] && run_check "$program"
    done
    run_script "$root/tests/cli/run.sh" "$work/clang/iresnet"
    run_script "$work/clang/limits"
    echo "== fuzz_parsers"
    "$work/clang/fuzz_parsers" -n "${IRN_FUZZ_ROUNDS:-200000}" || status=1
    unset LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS IRN_TEST_EFFORT
    only_status && [ $status -eq 0 ]
}

stage_valgrind() {
    local name
    export CK_FORK=no
    for name in test_io test_npy test_gzip test_safetensors test_data test_batches test_png; do
        [ -x "$work/gcc/$name" ] && run_check "$work/gcc/$name" valgrind --quiet --leak-check=full \
            --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99
    done
    unset CK_FORK
    only_status
}

# Oclgrind exits 0 whatever it finds, so its log must be empty. One process a program: a second one
# would begin the log anew. Optimised kernels have instructions that it does not know, in clFFT, too.
stage_oclgrind() {
    local run name block case log status=0 limit=1800
    gcc -shared -fPIC "$root/tests/oclgrind_writes.c" -o "$work/oclgrind_writes.so" -ldl || return
    export CK_FORK=no IRN_BUILD_OPTIONS=-cl-opt-disable IRN_TEST_EFFORT=small IRN_TEST_DEVICE=Oclgrind
    export CLBLAST_BUILD_OPTIONS='-cl-opt-disable ' # which CLBlast appends its own to, without a space
    # PROGRAM[:BLOCK][/CASE]. Oclgrind's device has a GPU's layout; BLOCK is that of the layout to take
    # instead, for the kernels that only CPUs have. CASE: of the program's tests only these.
    for run in test_probe test_elementwise test_head test_head_tangent test_conv test_conv:8 test_chain:8 \
        test_logdet_gradients:8 test_families/elements test_families/inverses test_families/training \
        test_families/spectra test_families/proofs; do
        name=${run%%[:/]*} block=${run%/*} case=${run#*/}
        block=${block#"$name"}
        [ "$case" != "$run" ] || case=
        log=$logs/oclgrind-${run//[:\/]/-}.txt
        [ -x "$work/gcc/$name" ] || continue
        rm -f "$log"
        # shellcheck disable=SC2016
        run_check "$work/gcc/$name" oclgrind --data-races --uninitialized --check-api --log "$log" \
            --build-options -cl-opt-disable env IRN_TEST_BLOCK="${block#:}" ${case:+CK_RUN_CASE="$case"} \
            bash -c 'LD_PRELOAD=$1:$LD_PRELOAD exec "$2"' sh "$work/oclgrind_writes.so"
        if [ ! -e "$log" ]; then
            echo "FAILED $run: Oclgrind has written no log"
            status=1
        elif [ -s "$log" ]; then
            echo "FAILED $run: Oclgrind found something"
            head -n 60 "$log"
            status=1
        fi
    done
    unset CK_FORK IRN_BUILD_OPTIONS CLBLAST_BUILD_OPTIONS IRN_TEST_EFFORT IRN_TEST_DEVICE
    only_status && [ "$status" -eq 0 ]
}

# The tables are left in $work/vendors.
stage_vendors() {
    local folder=$work/vendors status=0
    "$root/tests/packages.sh" vendor && "$root/tests/vendors/tools.sh" "$folder/tools" || return
    rm -rf "$folder/list" && mkdir "$folder/list" || return
    "$work/gcc/vendor_programs" "$folder/list" || return
    PATH=$folder/tools/bin:$PATH python3 -B "$root/tests/vendors/canary.py" || status=1
    PATH=$folder/tools/bin:$PATH python3 -B "$root/tests/vendors/report.py" "$folder" || status=1
    "$work/gcc/iresnet" bench conv --repeats 1 --json --quiet >"$folder/conv.json" || status=1
    "$work/gcc/iresnet" bench kernels --repeats 1 --json --quiet >"$folder/kernels.json" || status=1
    python3 -B "$root/tests/vendors/roofline.py" "$folder" "$folder/conv.json" "$folder/kernels.json" || status=1
    return $status
}

# The unit tests that use a device.
device_programs() {
    grep -lE '\b(devices_open|irn_context_create)\(' "$root"/tests/unit/test_*.c | xargs -n 1 basename -s .c
}

# listed FILE IMPLEMENTATION PROGRAM: why it is in exceptions.txt or unoptimised.txt, or nothing.
listed() {
    awk -v implementation="$2" -v program="$3" '
        NR == FNR { for (i = 2; i <= NF; i++) group[$i] = $1; next }
        $1 == implementation && index("," $2 ",", "," program ",") ||
            $1 == implementation && index("," $2 ",", "," group[program] ",") {
            sub(/^[^ ]+ +[^ ]+ +/, ""); print; exit }' \
        "$root/tests/implementations/groups.txt" "$root/tests/implementations/$1"
}

# What is said of a program's kernels on an implementation, for env: a variable or nothing.
build_options() {
    [ -z "$(listed unoptimised.txt "$1" "$2")" ] || echo IRN_BUILD_OPTIONS=-cl-opt-disable
}

# on_implementation NAME VARIABLE=VALUE...: the unit tests that use a device, but for exceptions.txt, then
# the program, whose numbers must be those that it computes on PoCL.
on_implementation() {
    local name=$1 program cause network=$root/tests/implementations/network.sh
    shift
    for program in $(device_programs); do
        cause=$(listed exceptions.txt "$name" "$program")
        if [ -n "$cause" ]; then
            echo "left out: $program: $cause"
        else
            # shellcheck disable=SC2046
            run_check "$work/gcc/$program" env IRN_TEST_EFFORT=small $(build_options "$name" "$program") "$@"
        fi
    done
    if [ -z "$(listed exceptions.txt "$name" iresnet)" ]; then
        { # for one lane at a time
            flock 9
            [ "$work/network/pocl/samples.npy" -nt "$work/gcc/iresnet" ] ||
                "$network" "$work/gcc/iresnet" "$work/network/pocl" || return
        } 9>"$work/network.lock"
        echo "== iresnet"
        # shellcheck disable=SC2046
        run_script env $(build_options "$name" iresnet) "$@" "$network" "$work/gcc/iresnet" \
            "$work/network/$name" "$work/network/pocl"
    fi
    only_status
}

stage_basic() {
    on_implementation basic POCL_DEVICES=basic IRN_DEVICE=basic IRN_TEST_DEVICE=basic
}

stage_rusticl() {
    on_implementation rusticl RUSTICL_ENABLE=llvmpipe IRN_DEVICE=llvmpipe IRN_TEST_DEVICE=llvmpipe
}

# Left out where it cannot be fetched.
stage_intel() {
    local folder=$work/intel status=0 intel
    "$root/tests/intel.sh" "$folder" || status=$?
    if [ $status -eq 77 ]; then
        echo "SKIPPED Intel's runtime: pip could not fetch it"
        return 0
    fi
    [ $status -eq 0 ] || return $status
    mapfile -t intel <"$folder/environment"
    on_implementation intel "${intel[@]}"
}

stage_matrix() {
    python3 -B "$root/tests/implementations/matrix.py" "$logs" "$work/implementations.md" "$root/README.md"
}

stage_bounds() {
    local limit=1800
    IRN_TEST_EFFORT=full run_check "$work/gcc/test_containment"
    only_status
}

"$root/tests/packages.sh" build test || {
    failed=1
    finish
}
run_stage build
[ "$failed" -eq 0 ] || finish
# shellcheck disable=SC2086
(passed=0 && run_lane usual $usual) &
# shellcheck disable=SC2086
(passed=0 && run_lane others $others) &
trap 'for lane in $(jobs -p); do end_tree "$lane"; done; exit 130' INT TERM
wait
count_lane usual
count_lane others
[[ $wanted != *" matrix "* ]] || run_stage matrix
finish
