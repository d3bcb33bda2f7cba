#!/bin/sh
# Tests the program: exit statuses, messages, hostile files, and one short run of everything.
# Usage: tests/cli/run.sh PROGRAM
set -u

[ $# -eq 1 ] || { echo "usage: $0 PROGRAM" >&2; exit 2; }
program=$(realpath "$1") || exit 2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export IRN_CACHE_DIR="$work/cache"
export NO_COLOR=1
passed=0 failed=0

good() { passed=$((passed + 1)); }

bad() {
    failed=$((failed + 1))
    echo "FAILED: $*"
    sed 's/^/    stdout: /' <"$work/.out" | head -5
    sed 's/^/    stderr: /' <"$work/.err" | head -5
}

# check NAME COMMAND...: one test, passed if the command succeeds.
check() {
    name=$1
    shift
    if "$@"; then good; else bad "$name"; fi
}

# Under AddressSanitizer: the search for leaks, after the program has ended well, sometimes crashes
# in the threads of a driver, and exits for it. That is no fault of the program.
leak_check_broke() {
    grep -q 'LeakSanitizer has encountered a fatal error' "$work/.err" &&
        ! grep -Eq '^iresnet |ERROR: AddressSanitizer|runtime error' "$work/.err"
}

# iresnet STATUS PATTERN ARGUMENTS...: exit status, and an extended regular expression in the
# output (status 0) or on standard error. Whatever happens, no temporary file may stay behind. When
# it fails, nothing but at most three lines on standard error may be seen of it.
iresnet() {
    status=$1 pattern=$2
    shift 2
    "$program" "$@" >"$work/.out" 2>"$work/.err" </dev/null
    found=$?
    leak_check_broke && found=0
    stream=.err
    [ "$status" -eq 0 ] && stream=.out
    lines=$(wc -l <"$work/.err")
    if [ $found -ne "$status" ]; then
        bad "iresnet $*: status $found, expected $status"
    elif [ -n "$pattern" ] && ! grep -Eq -e "$pattern" "$work/$stream"; then
        bad "iresnet $*: no /$pattern/ in $stream"
    elif find . -name '.irn-*' | grep -q .; then
        bad "iresnet $*: a temporary file is left"
        find . -name '.irn-*' -exec rm {} +
    elif [ "$status" -eq 1 ] || [ "$status" -eq 2 ]; then
        if [ -s "$work/.out" ] || [ "$lines" -gt 3 ]; then
            bad "iresnet $*: says more than its reason"
        else
            good
        fi
    else
        good
    fi
}

# Fails without making or changing the file given first.
iresnet_untouched() {
    file=$1
    shift
    rm -rf "$file"
    iresnet "$@"
    check "iresnet $*: makes no $file" [ ! -e "$file" ]
    echo precious >"$file"
    iresnet "$@"
    check "iresnet $*: leaves $file alone" [ "$(cat "$file")" = precious ]
    rm -f "$file"
}

json() { # json FILE EXPRESSION: python on the object d
    python3 -c "import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not ($2))" "$1"
}

usage_tests() {
    for words in "" "--help" "-h" "help"; do
        # shellcheck disable=SC2086
        iresnet 0 '^Usage: iresnet' $words
    done
    iresnet 0 '^iresnet [0-9]+\.[0-9]+\.[0-9]+$' --version
    iresnet 0 '^iresnet [0-9]+\.[0-9]+\.[0-9]+$' eval --version
    for command in devices train eval predict encode decode sample interpolate density certify \
        verify import bench tune; do
        iresnet 0 "^Usage: iresnet $command" help $command
        iresnet 0 '^Examples:' $command --help
        iresnet 0 '^Examples:' $command -h
        iresnet 2 "iresnet $command: unknown option '--frobnicate'" $command --frobnicate
        iresnet 2 "iresnet $command: unknown option '-Z'" $command -Z
        iresnet 2 "iresnet $command: --help=x: this option takes no argument" $command --help=x
    done
    iresnet 2 "unknown command 'trian'; did you mean train\?" trian
    iresnet 2 "unknown command 'xyzzy'" xyzzy
    iresnet 2 "unknown command 'xyzzy'" help xyzzy
    iresnet 2 "unknown option '--frob'" --frob
    iresnet 2 'unexpected' --version now
    iresnet 2 'unexpected' help train me
    iresnet 2 'did you mean --epochs\?' train --ephocs 3
    iresnet 2 'ambiguous' train --pa zeros
    iresnet 2 '--epochs: an argument is missing' train --epochs
    iresnet 2 '--out: the argument is empty' train --data digits --out ''
    for command in eval predict encode decode sample interpolate density certify import bench; do
        iresnet 2 'is missing' $command
        iresnet 2 "unexpected argument 'b'" $command a b
    done
    iresnet 2 'is missing' verify
    iresnet 2 'is missing' verify a
    iresnet 2 "unexpected argument 'c'" verify a b c
    iresnet 2 'cannot both be standard input' verify - -
    iresnet 2 "unexpected argument 'a'" devices a
    iresnet 2 "unexpected argument '--json'" devices -- --json
}

among() { # among TEXT PART
    case $1 in *"$2"*) ;; *) return 1 ;; esac
}

# completed WORDS...: what the completion makes of the last word, in one line.
completed() {
    bash -c '. "$0"; words=("$@"); COMP_WORDS=(iresnet "$@"); COMP_CWORD=$#
        _iresnet "'"$program"'" "${words[-1]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[@]}"' "$here/../../src/cli/iresnet.bash" "$@" 2>/dev/null
}

# Every option of every command is in its part of the manual page, or among the common ones, and the
# completion has it; what words an option takes the completion says as the program does.
manual_tests() {
    sed 's/\\-/-/g' "$here/../../src/cli/iresnet.1" >manual
    sed -n '/^.SH COMMON OPTIONS/,/^.SH DATA/p' manual >common
    for command in devices train eval predict encode decode sample interpolate density certify \
        verify import bench tune; do
        { sed -n "/^.SS iresnet $command/,/^.S[SH]/p" manual; cat common; } >part
        "$program" $command --help >help.txt
        options=$(sed -n 's/^  \(-., \)\{0,1\}--\(\[no-\]\)\{0,1\}\([a-z-]*\).*/\3/p' help.txt)
        check "$command --help: has options" [ -n "$options" ]
        all=" $(completed $command --) "
        for option in $options; do
            check "manual page: $command --$option" grep -Eq -- "--(\[no-\])?$option([^a-z-]|\$)" part
            check "completion: $command --$option" \
                among "$all" " --$option "
        done
    done
    for words in train,task train,activation train,padding train,prior train,optimizer \
        train,logdet train,roulette train,arithmetic eval,split eval,logdet-method encode,roulette \
        certify,padding certify,arithmetic import,arithmetic bench,arithmetic; do
        command=${words%,*} option=${words#*,}
        known=$("$program" "$command" "--$option=?" 2>&1 | sed -n 's/.*is not one of //p' | tr -d ,)
        check "completion: words of $command --$option" \
            [ "$known" = "$(completed "$command" "--$option" '')" ]
    done
    known=$("$program" train --data toy:cats --task density --out out 2>&1 | sed -n 's/.*toy: has //p')
    for toy in $(completed train --data toy : ''); do
        check "completion: $toy" among "$known" "$toy"
    done
    for preset in $(completed train --preset ''); do
        iresnet_untouched out 1 'no-such-device' train --preset "$preset" --device no-such-device \
            --data "$(case $preset in toy) echo toy:moons ;; *) echo digits ;; esac)" --out out \
            --task "$(case $preset in *-* | toy) echo density ;; *) echo classify ;; esac)"
    done
    check 'completion: presets' [ "$(completed train --preset '' | wc -w)" -eq 7 ]
    check 'completion: toys' [ "$(completed train --data toy : m)" = moons ]
    check 'completion: encode --logdet is a file' [ -z "$(completed encode --logdet '')" ]
}

number() { # number OPTION VALUE PATTERN
    iresnet_untouched out 2 "--$1: '$2' is not $3" train --data digits --out out "--$1=$2"
}

number_tests() {
    for value in 0 -1 1.5 x 1x ' 1' 99999999999999999999 1000001; do
        number epochs "$value" 'a whole number from 1 to 1000000'
    done
    for value in nan inf -0.1 0x10 1e999 0,5 ' 1' '1 '; do
        number coeff "$value" 'a number from 0 to'
    done
    number lr 0 'a number above 0'
    number density-weight 1e-9 'a number from 1e-06 to 1000000'
    number average 1 'a number from 0 to 0.999999999'
    number momentum 1.5 'a number from 0 to 1'
    number seed -1 'a whole number from 0 to 18446744073709551615'
    number seed 18446744073709551616 'a whole number'
    for value in '1,' ',1' 1,,2 0,1 1:2 1,2,3,4,5,6,7,8,9; do
        number blocks "$value" 'a list of at most 8 whole numbers from 1'
    done
    number milestones 0.5,1.5 'a list'
    number task cluster 'one of classify, density, hybrid'
    number padding reflect 'one of zeros, circular'
    number activation gelu 'one of identity, elu, relu, tanh, softplus, lipswish'
    number optimizer lion 'one of sgd, adam, adamax'
    for value in 8 8x 0x8 8x8x8 8X8 Any; do
        iresnet 2 "--size: '$value' is not HEIGHTxWIDTH with .*, nor 'any'" \
            certify files/weights --size $value
    done
    for value in 0 1 -1 nan; do
        iresnet_untouched o.st 2 "--enforce: '$value' is not a number above 0" \
            certify m --enforce "$value" --out o.st
    done
    for option in stride dilation groups; do
        iresnet 2 "--$option: '0' is not a whole number from 1" certify w --size 8x8 --$option 0
    done
    iresnet 2 "--arithmetic: 'float16' is not one of auto, float64, float32, host" \
        certify m --arithmetic float16
    iresnet 2 "--coeff: '0' is not a number above 0" certify w --size 8x8 --coeff 0
    iresnet 2 "--below: '0' is not" certify files/weights --size 8x8 --below 0
    iresnet 2 "--tolerance: '0' is not" decode m --in z --out x --tolerance 0
    iresnet 2 "--temperature: '-1' is not a number from 0" sample m --out x --temperature -1
    iresnet 2 "--count: '0' is not" sample m --out x --count 0
    iresnet 2 "--steps: '1' is not a whole number from 2" interpolate m --data d --out x --steps 1
    for value in 0,1,2 '0,' -1,1 0-1; do
        iresnet 2 "--between: '$value' is not a list of at most 2" \
            interpolate m --data digits --out x "--between=$value"
    done
    iresnet 2 "--range: '0' is not a number above 0" density m --out x --range 0
    iresnet 2 "--size: '8x8' is not a whole number from 16 to 4096" density m --out x --size 8x8
    for value in 0 1000001; do
        iresnet 2 "--max-iterations: '$value' is not a whole number from 1 to 1000000" \
            decode m --in z --out x --max-iterations $value
    done
    for value in 0 1001; do
        iresnet 2 "--terms: '$value' is not a whole number from 1 to 1000" \
            eval m --data digits --terms $value
    done
    iresnet 2 "--probes: '1025' is not a whole number from 1 to 1024" \
        encode m --in x.npy --out z.npy --logdet l.npy --probes 1025
    iresnet 2 "--logdet-method: 'guess' is not one of auto, exact, series, roulette" \
        eval m --data digits --logdet-method guess
    iresnet 2 "--split: 'valid' is not one of train, test" eval m --data digits --split valid
}

combination_tests() {
    iresnet 2 '--data and --out are needed' train --data digits
    iresnet 2 '--data and --out are needed' train --out out
    iresnet_untouched out 2 'neither in .csv nor in .jsonl' \
        train --data digits --out out --log log.txt
    iresnet_untouched out 2 '--channels has' train --data digits --out out --blocks 1,1,1,1,1
    iresnet_untouched out 2 '--momentum is of sgd' \
        train --data digits --out out --optimizer adam --momentum 0.5
    for option in --logdet=series --terms=3 --probes=2 --gaussian-probes --density-weight=2 \
        --roulette=poisson --roulette-parameter=3; do
        iresnet_untouched out 2 "${option%%=*} is of densities" \
            train --data digits --out out $option
    done
    iresnet_untouched out 2 '--density-weight is of hybrid' \
        train --task density --data digits --out out --density-weight 2
    for option in --terms=3 --probes=2 --gaussian-probes --roulette=poisson; do
        iresnet_untouched out 2 "${option%%=*} is of no use with --logdet exact" \
            train --task density --data toy:moons --out out $option
    done
    iresnet_untouched out 2 '--roulette is of no use with --logdet neumann' \
        train --task density --data digits --out out --roulette poisson
    iresnet_untouched out 2 'must be below 1' \
        train --task density --data digits --out out --logdet roulette --roulette-parameter 1
    for option in --probes=2 --roulette=poisson --roulette-parameter=0.2; do
        iresnet 2 "${option%%=*} is of no use with --logdet-method exact" \
            eval m --data digits --logdet-method exact $option
    done
    iresnet 2 '--terms is of no use with --logdet-method exact' \
        encode m --in x.npy --out z.npy --logdet l.npy --logdet-method exact --terms 3
    iresnet 2 '--roulette is of no use with --logdet-method series' \
        eval m --data digits --logdet-method series --roulette poisson
    iresnet 2 'must be below 1' \
        encode m --in x.npy --out z.npy --logdet l.npy --roulette-parameter 2
    iresnet 2 '--logdet is of densities' bench step --preset digits --logdet series
    iresnet_untouched out 2 'preset' train --data digits --out out --preset imagenet
    iresnet 2 '--density-weight' train --task hybrid --data digits --out out --density-weight 0
    for option in --lr=1 --blocks=1 --preset=digits --seed=1 --task=density --force \
        --no-flip; do
        iresnet 2 'cannot go with --resume' \
            train --data digits --out out --resume files/text $option
    done
    iresnet 2 '--data is needed' eval m
    iresnet 2 '--in and --out are needed' predict m --in x.npy
    iresnet 2 'one of --in and --data' encode m --out z.npy
    iresnet 2 'one of --in and --data' encode m --in x.npy --data digits --out z.npy
    iresnet 2 'go with --data' encode m --in x.npy --count 3 --out z.npy
    iresnet 2 '--terms goes with --logdet' encode m --in x.npy --terms 3 --out z.npy
    iresnet 2 'are both' encode m --in x.npy --out z.npy --logdet z.npy
    iresnet 2 '--in and --out are needed' decode m --in z.npy
    iresnet 2 'are both' decode m --in z.npy --out x.npy --errors x.npy
    iresnet 2 '--out is needed' sample m --count 3
    mkdir -p twice
    ln -sf twice same
    echo old >twice/x.npy
    ln -sf twice/x.npy link.npy
    iresnet 2 'are both' sample m --out x.npy --errors ./x.npy
    iresnet 2 'are both' sample m --out twice/new.npy --errors same/new.npy
    iresnet 2 'are both' decode m --in z.npy --out twice/x.npy --errors link.npy
    iresnet 2 'are both' encode m --in x.npy --out ./z.npy --logdet z.npy
    iresnet 2 'are both' certify m --json ./a --singular-values a --layer x
    for command in "decode m --in z.npy" "sample m" "interpolate m --data digits"; do
        # shellcheck disable=SC2086
        iresnet_untouched a.gif 2 "--out: 'a.gif' ends neither in .npy nor in .png" $command --out a.gif
        # shellcheck disable=SC2086
        iresnet_untouched a.png 2 "--errors: 'a.png' ends not in .npy" $command --out a.npy --errors a.png
        # shellcheck disable=SC2086
        iresnet 1 '^iresnet [a-z]+: missing/a.npy: cannot be written: No such' $command --out missing/a.npy
    done
    iresnet_untouched a.txt 2 "--out: 'a.txt' ends not in .png" density m --out a.txt
    iresnet_untouched a.png 2 "--out: 'a.png' ends not in .npy" encode m --in x.npy --out a.png
    iresnet_untouched a.png 2 "--out: 'a.png' ends not in .npy" predict m --in x.npy --out a.png
    iresnet 2 'are both' sample m --out x.npy --errors x.npy
    iresnet 2 '--data and --out are needed' interpolate m --out x.png
    iresnet 2 'needs two examples' interpolate m --data digits --out x.png --between 3
    iresnet 2 '--out is needed' density m --data toy:moons
    iresnet 2 'standard output is taken' density m --out -
    iresnet 2 'go together' certify m --layer x
    iresnet 2 'go together' certify m --singular-values s.npy
    iresnet 2 'are both' certify m --json a --singular-values a --layer x
    iresnet_untouched o.st 2 'are both' certify m --plot ./o.png --json o.png
    iresnet_untouched a.npy 2 "--plot: 'a.npy' ends not in .png" certify m --plot a.npy
    iresnet 2 'standard output is taken' certify m --plot -
    iresnet 2 'standard output is taken' certify m --out -
    iresnet 2 '--enforce and --out go together' certify m --enforce 0.9
    iresnet 2 '--eps goes with --coeff' certify w --size 8x8 --eps 0
    iresnet_untouched out 2 '--arithmetic is of no use with --no-certify' \
        train --data digits --out out --no-certify --arithmetic host
    iresnet_untouched o.st 2 '--arithmetic is of no use with --no-certify' \
        import w --out o.st --no-certify --arithmetic host
    iresnet 2 '--arithmetic is not for step' bench step --arithmetic host
    iresnet 2 '--out is needed' import w
    iresnet 2 'none of conv, kernels, step, inverse, certify' bench everything
    iresnet 2 '--batch is not for conv' bench conv --batch 3
    iresnet 2 '--preset is not for conv' bench conv --preset mnist
    iresnet 2 '--seed is not for kernels' bench kernels --seed 1
    iresnet 0 '^adam  *[0-9]' bench kernels --repeats 1
    iresnet 0 '"kernels"' bench kernels --repeats 1 --json
    cp "$work/.out" kernels.json
    check 'bench kernels --json: each took its time' json kernels.json \
        'all(k["seconds"] > 0 and k["bytes"] > 0 for k in d["kernels"]) and len(d["kernels"]) > 7'
    iresnet 2 '--batch is not for certify' bench certify --batch 3
    iresnet 2 '--kernel is not for step' bench step --kernel 1,1,3,3
    iresnet 2 '--size is not for certify without --kernel' bench certify --size 3x3
    iresnet 2 '--preset is not for certify with --kernel' bench certify --kernel 1,1,3,3 --preset mnist
    iresnet 2 '--kernel has 3 sizes, not 4' bench certify --kernel 1,1,3
    iresnet 0 'kernel 2x3x3x3 on 5x6, circular: .* s at best' bench certify --kernel 2,3,3,3 \
        --size 5x6 --padding circular --repeats 1
    iresnet 2 'preset' bench step --preset imagenet
}

# One measurement compiles kernels for each tile; those after it find them compiled.
tune_tests() {
    iresnet 2 "unexpected argument 'a'" tune a
    iresnet 2 '--repeats: .0. is not a whole number from 1 to 1000' tune --repeats 0
    iresnet 2 '--dry-run is not for --forget' tune --forget --dry-run
    iresnet 2 '--repeats is not for --forget' tune --forget --repeats 3
    iresnet 2 'unknown option' tune --seed 3
    iresnet 1 'no-such-device' tune --device no-such-device
    export IRN_CACHE_DIR=off IRN_TUNING=
    iresnet 1 'no folder to remember' tune
    iresnet 1 'no folder to remember' tune --forget
    export IRN_CACHE_DIR="$work/cache" IRN_TUNING=apply=1x1
    iresnet 1 "IRN_TUNING: 'apply=1x1' is no choice for .*: .iresnet tune. shows them" bench conv
    unset IRN_TUNING
    iresnet 0 'nothing was remembered' tune --forget

    iresnet 0 '"tiles"' tune --repeats 1 --json
    cp "$work/.out" tune.json
    check 'tune --json: one tile of each use is the best' json tune.json \
        'd["tiles"] and all(sum(t[k] for t in d["tiles"] if t["use"] == u) == 1
            for u in {t["use"] for t in d["tiles"]} for k in ("best", "before"))'
    check 'tune --json: everything was measured' json tune.json \
        'all(t["gflops"] > 0 for t in d["tiles"]) and d["device"] and d["driver"] and d["class"]'
    file=$(python3 -c 'import json; print(json.load(open("tune.json"))["file"])')
    check 'tune: remembers what is best' python3 -c '
import json, sys
best = {t["use"] + "=" + t["tile"] for t in json.load(open("tune.json"))["tiles"] if t["best"]}
lines = open(sys.argv[1]).read().splitlines()
sys.exit(lines[0] != "iresnet tuning 1" or not best <= set(lines))' "$file"
    check 'tune: others cannot read the folder' [ "$(stat -c %A "$(dirname "$file")" | cut -c 5-)" = ------ ]

    other=$(python3 -c '
import json
print(next(t["use"] + "=" + t["tile"] for t in json.load(open("tune.json"))["tiles"] if not t["before"]))')
    printf 'iresnet tuning 1\n%s\n' "$other" >"$file"
    in_use='any(t["before"] and t["use"] + "=" + t["tile"] == "'$other'" for t in d["tiles"])'
    iresnet 0 '' tune --repeats 1 --dry-run --json
    cp "$work/.out" again.json
    check 'tune: what was remembered is in use at the next start' json again.json "$in_use"
    check 'tune --dry-run: remembers nothing' grep -q "$other" "$file"
    check 'tune --dry-run --json: no file' json again.json 'd["file"] is None'
    iresnet 0 '; forgotten$' tune --forget
    check 'tune --forget: no file' [ ! -e "$file" ]
    export IRN_TUNING="$other"
    iresnet 0 '^remembered in /' tune --repeats 1
    unset IRN_TUNING
    check 'IRN_TUNING: is in use' grep -Eq "^${other%=*} +${other#*=} .*(before|best, as before)$" "$work/.out"

    head -c 100000 /dev/zero >"$file"
    iresnet 0 'forgotten' tune --forget
    check 'a hostile file of tiles: is left out' grep -q 'left out' "$work/.err"
    printf 'iresnet tuning 1\ncpu=1000000x1000000\n' >"$file"
    iresnet 0 'forgotten' tune --forget
    check 'tiles that are none: are left out' grep -q "'cpu=1000000x1000000' is no choice .* left out" "$work/.err"
    mkdir "$file"
    iresnet 1 "tuning-.*txt" tune --forget
    rmdir "$file"
}

device_tests() {
    iresnet 0 '^index +name' devices
    iresnet 0 '"platform"' devices --json
    cp "$work/.out" devices.json
    check 'devices --json: keys' json devices.json \
        'd and all(k in e for e in d for k in
            "index name platform type units memory fp64 block".split())'
    iresnet_untouched out 1 'no-such-device' train --data digits --out out --device no-such-device
    iresnet_untouched out 1 '99' train --data digits --out out --device 99
    export OCL_ICD_VENDORS=/nonexistent
    iresnet 0 '^\[\]$' devices --json
    check 'devices without devices: says so' grep -q 'no OpenCL device' "$work/.err"
    iresnet_untouched out 1 '[Dd]evice' train --data digits --out out
    iresnet 1 '[Dd]evice' certify files/weights --size 8x8
    iresnet 1 '[Dd]evice' bench conv
    unset OCL_ICD_VENDORS
}

# Data sets that cannot be opened.
data_tests() {
    data() { iresnet_untouched out "$1" "$2" train --data "$3" --out out; }
    data 2 'dogs' dogs
    data 2 . 'digits:'
    data 1 'files/images: has no labels, which classifiers learn' 'idx:files/images'
    data 2 'comma' 'idx:files/images,'
    data 1 missing mnist:files/missing
    data 1 mnist-empty mnist:files/mnist-empty
    data 1 mnist-empty cifar10:files/mnist-empty
    data 1 mnist-empty cifar100:files/mnist-empty
    data 1 files/text mnist:files/text
    for images in missing empty text folder images-short images-long images-huge images-magic \
        images-empty images-short.gz; do
        data 1 "files/$images" "idx:files/$images,files/labels"
    done
    for labels in missing empty text folder images labels-few; do
        data 1 "files/(images|$labels)" "idx:files/images,files/$labels"
    done
    for images in missing empty text folder x-short x-long x-header x-magic x-fortran x-huge \
        x-nan x-inf x-scalar x-none; do
        [ -e "files/$images.npy" ] && images=$images.npy
        data 1 "files/$images" "npy:files/$images,files/labels.npy"
    done
    for labels in missing labels-negative.npy labels-few.npy x.npy; do
        data 1 "files/(x.npy|$labels)" "npy:files/x.npy,files/$labels"
    done
    data 1 labels npy:files/x.npy
    data 2 '8gaussians, .*swissroll' toy:cats
    data 1 labels toy:moons
}

tiny="--blocks 1 --channels 8 --strides 1 --kernels 3,1,3 --pad-channels 0 --batch 64"

train_tests() {
    # shellcheck disable=SC2086
    iresnet 0 '^certified +Lip\(g\) <= 0\.' train --data digits --out run --epochs 1 --seed 7 $tiny
    check 'train: says an epoch on stderr' grep -q '^epoch 1/1 .*loss' "$work/.err"
    check 'train: no control characters without a terminal' \
        [ "$(tr -d '\n[:print:]' <"$work/.err" | wc -c)" -eq 0 ]
    check 'train: model' [ -s run/model.safetensors ]
    check 'train: log' json run/log.jsonl 'd["epoch"] == 1 and 0 <= d["test_accuracy"] <= 1'
    for name in model.safetensors checkpoint.safetensors log.jsonl; do
        mkdir -p "other-$name"
        echo precious >"other-$name/$name"
        iresnet 1 "other-$name/$name exists; give --force" train --data digits --out "other-$name"
        check "train: leaves $name" [ "$(cat "other-$name/$name")" = precious ]
    done
    before=$(cksum <run/model.safetensors)
    iresnet 0 'test accuracy' train --data digits --out run --epochs 3 \
        --resume run/checkpoint.safetensors
    check 'resume: begins with epoch 2' sh -c '! grep -q "^epoch 1/" .err && grep -q "^epoch 2/3" .err'
    check 'resume: appends to the log' [ "$(wc -l <run/log.jsonl)" -eq 3 ]
    check 'resume: writes the model' [ "$(cksum <run/model.safetensors)" != "$before" ]
    # shellcheck disable=SC2086
    iresnet 0 '"certified":[[:space:]]*true' train --data digits --out straight --epochs 3 --seed 7 --json \
        --quiet --log straight.csv $tiny
    check 'train --quiet: is silent' [ ! -s "$work/.err" ]
    check 'train --log x.csv' [ "$(grep -c , straight.csv)" -eq 4 ]
    check 'resume: same bits as without' cmp -s run/model.safetensors straight/model.safetensors
    # shellcheck disable=SC2086
    iresnet 0 'not certified' train --data digits --out plain --epochs 1 --coeff 0 --quiet $tiny
    # shellcheck disable=SC2086
    iresnet 0 '^model' train --data digits --out bare --epochs 1 --no-certify --quiet $tiny
    check 'train --no-certify: claims nothing' sh -c '! grep -q certified .out'
    iresnet 1 'files/text' train --data digits --out out --resume files/text
    iresnet 1 '1x8x8' train --data npy:files/x-7x8.npy,files/labels.npy --out out \
        --resume run/checkpoint.safetensors
    iresnet 1 'labels up to 199|199|200' train --data npy:files/x.npy,files/labels-many.npy \
        --out out --resume run/checkpoint.safetensors
    iresnet 1 'missing/out' train --data digits --out missing/out
    iresnet 1 'files/text' train --data digits --out files/text/out
    check 'train: nothing made by failures' [ ! -e out ]
}

stop_tests() {
    # shellcheck disable=SC2086
    "$program" train --data digits --out stopped --epochs 1000 $tiny >"$work/.out" 2>"$work/.err" &
    job=$!
    for _ in $(seq 300); do
        [ -s stopped/log.jsonl ] && break
        sleep 0.2
    done
    kill -TERM $job
    wait $job
    check 'train stopped: status 130' [ $? -eq 130 ]
    check 'train stopped: says how to go on' \
        grep -q -- '--resume stopped/checkpoint.safetensors' "$work/.err"
    check 'train stopped: checkpoint' [ -s stopped/checkpoint.safetensors ]
    check 'train stopped: no model' [ ! -e stopped/model.safetensors ]
    epochs=$(($(wc -l <stopped/log.jsonl) + 1))
    iresnet 0 '^model' train --data digits --out stopped --resume stopped/checkpoint.safetensors \
        --epochs "$epochs" --quiet
}

model_tests() {
    model=run/model.safetensors
    iresnet 0 '^accuracy' eval $model --data digits
    iresnet 0 '"bound_holds"' eval $model --data digits --count 50 --json --quiet
    cp "$work/.out" eval.json
    check 'eval --json: keys and values' json eval.json \
        'd["count"] == 360 and 0 <= d["accuracy"] <= 1 and d["reconstruction"]["count"] == 50 and
         d["reconstruction"]["bound_holds"] is True and
         d["reconstruction"]["max_abs_error"] <= 1e-4'
    iresnet 0 '"count"' eval $model --data digits --split train --no-reconstruct --json
    iresnet 2 'no use' eval $model --data digits --no-reconstruct --count 3
    iresnet 2 'no prior' eval $model --data digits --terms 3
    iresnet_untouched l.npy 1 'no prior' encode $model --in files/x.npy --out z.npy --logdet l.npy
    iresnet 0 'not certified' eval plain/model.safetensors --data digits --count 5
    iresnet 0 '^proven range +[0-9]' eval $model --data digits --count 4 --conditioning
    iresnet 0 'conditioning' eval $model --data digits --no-reconstruct --count 4 --conditioning \
        --json
    cp "$work/.out" conditioning.json
    check 'eval --conditioning --json: estimates lie in the proven interval' json conditioning.json \
        'd["conditioning"]["count"] == 4 and "reconstruction" not in d and
         0 < d["conditioning"]["certified_lower"] <= d["conditioning"]["smallest_estimate"]["min"] <
         d["conditioning"]["largest_estimate"]["max"] <= d["conditioning"]["certified_upper"]'
    iresnet 0 '^proven range +none' eval plain/model.safetensors --data digits --count 2 \
        --conditioning
    iresnet 0 'none' eval $model --data npy:files/x.npy
    iresnet 1 'takes 1x8x8' eval $model --data npy:files/x-7x8.npy,files/labels.npy
    iresnet 1 'labels' eval $model --data idx:files/images,files/labels-255
    iresnet 0 '' predict $model --in files/x.npy --out logits.npy
    check 'predict: size' [ "$(wc -c <logits.npy)" -eq $((128 + 3 * 10 * 4)) ]
    iresnet 0 '' encode $model --in files/x.npy --out z.npy
    iresnet 0 '' encode $model --data digits --count 25 --split train --out z25.npy
    check 'encode: size' [ "$(wc -c <z25.npy)" -eq $((128 + 25 * 64 * 4)) ]
    iresnet 0 '' decode $model --in z.npy --out x.npy --errors e.npy
    check 'decode: size' [ "$(wc -c <x.npy)" -eq "$(wc -c <files/x.npy)" ]
    check 'decode: errors' [ "$(wc -c <e.npy)" -eq $((128 + 3 * 8)) ]
    iresnet 0 '' decode $model --in z25.npy --out x.png
    check 'decode: png' [ "$(head -c 4 x.png | tail -c 3)" = PNG ]
    iresnet 0 '' decode $model --in z.npy --out x.npy --tolerance 1e-30
    check 'decode: says that rounding is the limit' grep -q '3 of 3 .*rounding' "$work/.err"
    iresnet 0 NUMPY encode $model --in files/x.npy --out -
    check 'encode --out -: same bytes' cmp -s "$work/.out" z.npy
    iresnet_untouched e.npy 3 . decode plain/model.safetensors --in z.npy --out x2.npy \
        --errors e.npy
    check 'decode --errors, not certified: no images' [ ! -e x2.npy ]
    iresnet 0 '' decode bare/model.safetensors --in z.npy --out x2.npy
    check 'decode: bounds are proven where there are none' \
        grep -q 'bare/model.safetensors has no bounds; they have been proven now' "$work/.err"
    check 'decode: and count' grep -q '3 samples, proven errors at most' "$work/.err"
    iresnet 0 '' decode plain/model.safetensors --in z.npy --out x2.npy
    check 'decode: no claim where there can be no bounds' grep -q 'no error is claimed' "$work/.err"
    iresnet 0 '' decode plain/model.safetensors --in z.npy --out x2.npy --quiet
    check 'decode --quiet: no warning' [ ! -s "$work/.err" ]
    iresnet 0 '' decode $model --in z.npy --out x.npy --tolerance 1e-30 --quiet
    check 'decode --quiet: no warning either' [ ! -s "$work/.err" ]
}

# Models with a prior: of the official code, not certified; trained on digits; and of points.
density_tests() {
    options='--data digits --count 40 --no-reconstruct'
    iresnet 0 '' import "$here/../golden/model-density.safetensors" --no-certify --out density
    iresnet 1 'no classifier head.*densities' predict density --in files/x.npy --out out
    iresnet 0 '^density .* bits per dimension of 360, standard error' eval density --data digits
    check 'eval: nothing proven of what is not certified' \
        grep -q '^proven interval   none: the model is not certified' "$work/.out"
    # shellcheck disable=SC2086
    iresnet 0 '^certified' train --task density --data digits --out dense --epochs 1 --quiet $tiny
    check 'train: tells the density of the test data' \
        grep -Eq '^test density +[0-9.]+ bits per dimension of 360, standard error' "$work/.out"
    check 'train: a density is tested after each epoch' json dense/log.jsonl \
        '0 < d["test_bits_per_dim_standard_error"] < d["test_bits_per_dim"] < 8 and d["test_accuracy"] is None'
    dense=dense/model.safetensors
    # shellcheck disable=SC2086
    iresnet 0 '^proven bias .* nats at most' eval $dense $options --logdet-method series --terms 3
    # shellcheck disable=SC2086
    iresnet 0 '"exact"' eval $dense $options --json --logdet-method exact --terms 5
    cp "$work/.out" exact.json
    # shellcheck disable=SC2086
    iresnet 0 '"series"' eval $dense $options --json --logdet-method series --terms 5 --probes 20
    cp "$work/.out" series.json
    # shellcheck disable=SC2086
    iresnet 0 '"roulette"' eval $dense $options --json --logdet-method roulette --terms 5 --probes 20
    cp "$work/.out" roulette.json
    # shellcheck disable=SC2086
    iresnet 0 'roulette \(poisson, 4\) with 5 terms' eval $dense $options --logdet-method roulette \
        --terms 5 --roulette poisson --roulette-parameter 4
    check "eval: theorem 3's bound beside roulette's estimate" \
        grep -Eq "^series' error +[0-9.e-]+ nats at most is proven of 5 terms" "$work/.out"
    check 'eval: says that no finite variance is proven' \
        grep -q 'variance is not proven finite' "$work/.err"
    # shellcheck disable=SC2086
    iresnet 0 'roulette \(geometric, 0.2' eval $dense $options --logdet-method roulette
    check 'eval: p by the certified bounds' [ ! -s "$work/.err" ]
    # shellcheck disable=SC2086
    iresnet 0 '^certified' train --task density --data digits --out poisson --epochs 1 --quiet \
        --logdet roulette --roulette poisson --roulette-parameter 3 $tiny
    # shellcheck disable=SC2086
    iresnet 0 '^model' train --task density --data digits --out roulette --epochs 1 --no-certify \
        --logdet roulette $tiny
    check 'train: roulette without a proven variance' \
        grep -q 'up to 0.9[0-9]*, and p is 0.5; --roulette-parameter 0.[0-9]* would do' "$work/.err"
    # shellcheck disable=SC2086
    iresnet 0 '^model' train --task density --data digits --out roulette --force --epochs 1 \
        --no-certify --logdet roulette --roulette-parameter 0.05 $tiny
    check 'train: and with one' sh -c '! grep -q variance .err'
    check 'eval --json: densities' python3 -c '
import json, math
exact, other = (json.load(open(name + ".json")) for name in ("exact", "roulette"))
e, o = exact["logdet"], other["logdet"]
assert exact["accuracy"] is None and exact["density_count"] == 40 and "reconstruction" not in exact
assert e["terms"] is None and e["probes"] is None
assert e["mean_standard_error"] == 0 and e["truncation_upper"] == 0
assert o["terms"] == 5 and o["probes"] == 20 and 0 < o["truncation_upper"] < 1e-6
assert e["series_terms"] == o["series_terms"] == 5
assert e["series_error_upper"] == o["series_error_upper"] > 1e3 * o["truncation_upper"]
series = json.load(open("series.json"))["logdet"]
assert series["truncation_upper"] == series["series_error_upper"] == e["series_error_upper"]
assert abs(series["mean"] - e["mean"]) <= series["series_error_upper"] + 4 * series["mean_standard_error"]
assert e["lower"] <= e["mean"] <= e["upper"]
assert 0 < abs(o["mean"] - e["mean"]) <= 4 * o["mean_standard_error"]
error = 4 * math.hypot(exact["bits_per_dim_standard_error"], other["bits_per_dim_standard_error"])
assert abs(other["bits_per_dim"] - exact["bits_per_dim"]) <= error
for d in exact, other:
    bits = d["nll_nats"] / (64 * math.log(2)) + math.log2(17)
    assert abs(d["bits_per_dim"] - bits) <= 1e-9 * bits'
    # shellcheck disable=SC2086
    iresnet 0 '"test_nll_nats"' train --task density --data toy:moons --out moons --epochs 1 --json \
        --quiet $tiny
    cp "$work/.out" moons.json
    iresnet 0 '^density .* nats an example of 10000, standard error' \
        eval moons/model.safetensors --data toy:moons
    iresnet 0 '"nll_nats"' eval moons/model.safetensors --data toy:moons --no-reconstruct --json
    cp "$work/.out" moons-eval.json
    check 'train --json: the density that eval finds' python3 -c '
import json
train, evaluated = (json.load(open(name + ".json")) for name in ("moons", "moons-eval"))
assert train["test_accuracy"] is None and train["test_bits_per_dim"] is None
assert train["test_density_count"] == evaluated["density_count"] == 10000
for key in "nll_nats", "nll_nats_standard_error":
    assert abs(train["test_" + key] - evaluated[key]) <= 1e-6 * abs(evaluated[key])'
    # Points are taken as they are, so that only the choice of them can differ.
    for choice in '0 100' '1 100' '0 10000' '1 10000'; do
        iresnet 0 '"nll_nats"' eval moons/model.safetensors --data toy:moons --no-reconstruct \
            --json --seed "${choice% *}" --count "${choice#* }"
        cp "$work/.out" "chosen-${choice% *}-${choice#* }.json"
    done
    check 'eval --count: examples are drawn by the seed' python3 -c '
import json
few, other, all, same = (json.load(open("chosen-%s.json" % name))
                         for name in ("0-100", "1-100", "0-10000", "1-10000"))
assert few["density_count"] == 100 and few["density_total"] == all["density_count"] == 10000
assert few["nll_nats"] != other["nll_nats"] and all["nll_nats"] == same["nll_nats"]
for d in few, other:
    assert abs(d["nll_nats"] - all["nll_nats"]) <= 5 * d["nll_nats_standard_error"]'
    iresnet 0 '^density .* nats an example of 100 drawn at random from 10000, standard error' \
        eval moons/model.safetensors --data toy:moons --no-reconstruct --count 100
    iresnet 0 '^test density' train --data toy:moons --out moons --epochs 2 --quiet \
        --resume moons/checkpoint.safetensors
    iresnet 1 'value [0-9]+ of sample 0 is .*from -0.5 to 0.5' eval density --data npy:files/x-bright.npy
    iresnet 1 'value 0 of sample 0 is 0, level 127.5 of 0 to 255; the model is of data of 256' \
        eval density --data npy:files/x.npy
    iresnet 0 '^density .* bits per dimension of 3' eval density --data npy:files/x-levels.npy
    iresnet_untouched ld.npy 1 'files/x-bright.npy: value [0-9]+ of sample 0 is .*from -0.5 to 0.5' \
        encode density --in files/x-bright.npy --out zd.npy --logdet ld.npy
    iresnet_untouched zd.npy 1 'files/x-bright.npy: value [0-9]+ of sample 0 is .*from -0.5 to 0.5' \
        encode density --in files/x-bright.npy --out zd.npy
    iresnet_untouched zd.npy 1 'x-bright.npy: value [0-9]+ of sample 0 is .*from -0.5 to 0.5' \
        interpolate density --data npy:files/x-bright.npy --out zd.npy
    iresnet_untouched zd.npy 1 'x-colour.npy: shape \[3,3,8,8\], expected \[N,1,8,8\] for density' \
        encode density --in files/x-colour.npy --out zd.npy
    iresnet 1 'examples are 3x8x8, but density takes 1x8x8' eval density --data npy:files/x-colour.npy
    iresnet 1 'no classifier head' predict $dense --in files/x.npy --out out
    check 'predict with a density: makes no file' [ ! -e out ]
    # shellcheck disable=SC2086
    iresnet 1 'channel 0 has mean .*no more than rounding' train --task density --quiet \
        --data npy:files/x-constant.npy --out constant --epochs 1 --levels 0 $tiny
    check 'train, no variance: makes no model' [ ! -e constant/model.safetensors ]
    # A rate that is sound in the first epoch, and that later steps cannot bear.
    # shellcheck disable=SC2086
    iresnet 1 'epoch 2, step [0-9]+: .*spoiled/checkpoint.safetensors keeps step' train --quiet \
        --task density --data digits --out spoiled --epochs 2 --optimizer sgd --momentum 0 \
        --lr 1e-4 --weight-decay 1000 --milestones 0.5 --milestone-factor 1000 --average 0 $tiny
    iresnet 0 '^density .* bits per dimension' eval spoiled/checkpoint.safetensors --data digits \
        --count 20 --no-reconstruct
    check 'train, no number for a loss: makes no model' [ ! -e spoiled/model.safetensors ]
    # shellcheck disable=SC2086
    iresnet 0 '^certified' train --task density --data npy:files/x-bytes.npy --out bytes --epochs 1 \
        --quiet $tiny
    iresnet 0 '^density .* bits per dimension of 30' \
        eval bytes/model.safetensors --data npy:files/x-bytes.npy
    iresnet 0 '^density .* bits per dimension of' eval bytes/model.safetensors --data idx:files/images
    iresnet 1 'value [0-9]+ of sample 0 is .*, level .* of 0 to 16; the model is of data of 17 levels' \
        eval $dense --data npy:files/x-bytes.npy
    # shellcheck disable=SC2086
    iresnet 1 'of 0 to 16; the model is of data of 17 levels' train --task density --quiet \
        --data npy:files/x-bytes.npy --out bytes17 --epochs 1 --levels 17 $tiny
    iresnet 0 '' encode density --in files/x.npy --out zd.npy --logdet exact.npy \
        --logdet-method exact
    iresnet 0 '' encode density --in files/x.npy --out zd.npy --logdet series.npy \
        --logdet-method series --terms 30 --probes 500
    check 'encode --logdet: size' [ "$(wc -c <exact.npy)" -eq $((128 + 3 * 8)) ]
    check 'encode --logdet: the series is near the exact values' python3 -c '
import struct
exact, series = (struct.unpack("<3d", open(name + ".npy", "rb").read()[128:])
                 for name in ("exact", "series"))
assert all(0 < abs(a - b) <= 0.02 * abs(a) for a, b in zip(exact, series))'
    iresnet 0 '' encode density --in files/x.npy --out z-alone.npy
    check 'encode --logdet: the same latents' cmp -s zd.npy z-alone.npy
    iresnet 1 'missing/l' encode density --in files/x.npy --out zd.npy --logdet missing/l.npy
}

# The progress bar, on a terminal made by script(1).
terminal_tests() {
    command -v script >/dev/null || return
    words="$program eval run/model.safetensors --data digits --count 20"
    TERM=xterm script -qec "$words" /dev/null >"$work/.out" 2>"$work/.err"
    check 'terminal: a bar' grep -q 'ETA' "$work/.out"
    check 'terminal: no colour with NO_COLOR' [ "$(grep -c '\[32m' "$work/.out")" -eq 0 ]
    TERM=xterm NO_COLOR='' script -qec "$words" /dev/null >"$work/.out" 2>"$work/.err"
    check 'terminal: colour' grep -q '\[32m' "$work/.out"
    TERM=dumb script -qec "$words" /dev/null >"$work/.out" 2>"$work/.err"
    check 'terminal: no bar with TERM=dumb' [ "$(grep -c ETA "$work/.out")" -eq 0 ]
    TERM=xterm script -qec "$words --quiet" /dev/null >"$work/.out" 2>"$work/.err"
    check 'terminal: no bar with --quiet' [ "$(grep -c ETA "$work/.out")" -eq 0 ]
    words="$program eval run/model.safetensors --data digits --split train --count 600"
    TERM=xterm script -qec "$words" /dev/null >"$work/.out" 2>"$work/.err"
    check 'terminal: one bar for all pieces' \
        [ "$(tr '\r' '\n' <"$work/.out" | grep -c '^decoding 100 %.* 600 of 600')" -eq 1 ]
}

certify_tests() {
    model=run/model.safetensors
    iresnet 0 '^certified' certify $model
    check 'certify: steps of the inverse' grep -Eq '^block +Lip\(g\) <= +steps$' "$work/.out"
    iresnet 0 '^blocks.* [0-9]+$' certify $model --json c.json
    check 'certify --json: keys' json c.json 'd["verdict"] == "certified" and
        d["padding"] == "zeros" and len(d["model_sha256"]) == 64 and
        all(0 < b["lipschitz_upper"] < 1 for b in d["blocks"]) and
        all(0 <= l["lower"] <= l["upper"] and len(l["kernel"]) == 4 for l in d["layers"])'
    check 'certify --json: SHA-256' json c.json \
        "d['model_sha256'] == '$(sha256sum $model | cut -c1-64)'"
    iresnet 0 '"verdict"' certify $model --json -
    cp "$work/.out" c2.json
    check 'certify --json -: only JSON' json c2.json 'd["layers"]'
    iresnet 3 '' certify plain/model.safetensors --json plain.json
    check 'certify: verdict' json plain.json 'd["verdict"] == "not certified"'
    iresnet 0 '^certified' certify $model --padding zeros --size 8x8
    iresnet 0 '^certified' certify $model --cross-check
    iresnet 1 'padding is zeros, not circular' certify $model --padding circular
    iresnet 1 '8x8, not 9x8' certify $model --size 9x8
    iresnet 1 '8x8, not any' certify $model --size any
    for option in --below=1 --only=x --stride=2 --dilation=2 --groups=2 --transposed --coeff=1; do
        iresnet 2 "${option%=*} is for weights files" certify $model $option
    done
    layer=$(python3 -c 'import json; print(json.load(open("c.json"))["layers"][0]["name"])')
    iresnet 0 '^certified' certify $model --singular-values s.npy --layer "$layer"
    check 'certify --singular-values' [ -s s.npy ]
    iresnet_untouched s2.npy 2 'nonsense|' certify $model --singular-values s2.npy --layer nonsense
    iresnet 0 '^dense' certify files/weights --size 8x8
    iresnet 0 '^conv' certify files/weights --size 8x8 --padding circular --json w.json \
        --singular-values s.npy --layer conv
    check 'certify weights: no blocks' json w.json 'not d.get("blocks") and len(d["layers"]) == 2'
    iresnet 2 '--size HxW is needed' certify files/weights
    iresnet 1 'is JSON, not a safetensors file' certify c.json
    iresnet 0 'not certified' eval bare/model.safetensors --data digits --count 5
    iresnet 0 '^certified' certify bare/model.safetensors --out certified.st --json certified.json
    iresnet 0 'proven' eval certified.st --data digits --count 5
    check 'certify --out: the model has its bounds' grep -q 'lipschitz_upper[^]]*0[.]' certified.st
    iresnet 0 '^certified' certify certified.st --out certified.st --json certified.json
    check 'certify --out: the hash is of the new file' json certified.json \
        "d['model_sha256'] == '$(sha256sum certified.st | cut -d ' ' -f 1)'"
    iresnet 2 '--out is for models' certify files/weights --size 8x8 --out c4.st
    iresnet_untouched c4.st 2 '--enforce is for models' \
        certify files/weights --size 8x8 --enforce 0.9 --out c4.st
    iresnet 2 'are both' certify m --json a --out a
    iresnet 3 '' certify files/weights-big --size 8x8
    iresnet 0 '^certified' certify files/weights-big --size 8x8 --below 1.6
    iresnet_untouched c3.json 1 weights-nan certify files/weights-nan --size 8x8 --json c3.json
    for file in missing empty text folder weights-huge weights-json x.npy; do
        iresnet_untouched c3.json 1 "$file" certify "files/$file" --size 8x8 --json c3.json
    done
    iresnet 0 'median' bench certify --preset digits --repeats 1
    for what in step inverse; do
        iresnet 0 '"bench"' bench $what --preset digits --repeats 1 --batch 64 --json
        cp "$work/.out" "bench-$what.json"
    done
    check 'bench: a step keeps what an inverse does not' python3 -c '
import json, sys
step, inverse = (json.load(open(f"bench-{what}.json"))["peak_device_memory"] for what in ("step", "inverse"))
sys.exit(not step > 1.2 * inverse)'
    iresnet 0 'median' bench step --preset digits-density --repeats 1 --batch 8 --blocks 1,1 \
        --channels 8,8
}

enforce_tests() {
    iresnet 0 '^changed layer' certify plain/model.safetensors --enforce 0.8 --out fixed.st --json fixed.json
    cp "$work/.out" fixed.txt
    check 'certify --enforce: certified' grep -q '^certified' fixed.txt
    check 'certify --enforce: says what changed' grep -Eq '^blocks.0.conv. +[0-9.]+ +[0-9.]+$' fixed.txt
    check 'certify --enforce: the certificate' json fixed.json \
        "d['verdict'] == 'certified' and d['model_sha256'] == '$(sha256sum fixed.st | cut -c1-64)' and
        all(0.79 < b['lipschitz_upper'] <= 0.8 for b in d['blocks'])"
    iresnet 0 '^certified' certify fixed.st
    iresnet 0 '^nothing was changed' certify fixed.st --enforce 0.8 --out same.st
    check 'certify --enforce: what is certified stays' cmp -s fixed.st same.st
    iresnet 0 '^proven bound' eval fixed.st --data digits --count 5
    iresnet 0 '"verdict"' certify plain/model.safetensors --enforce 0.8 --out fixed.st --json -
    cp "$work/.out" fixed.json
    check 'certify --enforce --json -: only JSON' json fixed.json 'd["verdict"] == "certified"'
    # Power iteration once a step stays behind, which 0.9999 leaves no room for.
    # shellcheck disable=SC2086
    iresnet 0 '^certified .* every block, after [12] layers? w.* scaled down:' train --data digits --out late \
        --epochs 1 --seed 7 --quiet $tiny --kernels 3 --blocks 2 --pad-channels 2 \
        --power-iterations 1 --coeff 0.9999
    check 'train: says what it scaled down' grep -Eq '^ +blocks\.[01]\.conv0 +1\.0[0-9]+ +0\.9+[0-9]*$' "$work/.out"
    accuracy=$(sed -n 's/^test accuracy *\([0-9.]*\) .*/\1/p' "$work/.out")
    iresnet 0 '^blocks.0 +0\.999' certify late/model.safetensors
    iresnet 0 "^accuracy +$accuracy" eval late/model.safetensors --data digits --count 2
    # shellcheck disable=SC2086
    iresnet 0 '"changed_layers":[[:space:]]*0' train --data digits --out late --force --epochs 1 --quiet \
        --json $tiny
    iresnet 0 '^certified .* with the weights as trained' train --data digits --out late --force --epochs 1 \
        --quiet $tiny
}

# Weights files: which tensors, what kind of layers, and kernels of the official code.
weights_tests() {
    w=files/weights-kinds
    iresnet 0 '^features.1.weight .*1x8 ' certify $w --size 8x8 --json all.json --below 100
    check 'certify: dense layers, rows and maps' json all.json \
        '[l["name"] for l in d["layers"]] == ["features.0.weight", "features.1.weight", "head.weight"]'
    iresnet 0 '^features.1' certify $w --size 8x8 --only 'features.*' --json some.json --below 100
    check 'certify --only' json some.json 'len(d["layers"]) == 2'
    iresnet 1 "no name of its 5 tensors matches 'x\*'" certify $w --size 8x8 --only 'x*'
    iresnet 0 '^features.0.weight +4x3x3x3 +any ' certify $w --size any --below 100
    iresnet 0 '^features.0.weight +4x3x3x3 stride 2 dilation 3 transposed +8x6 ' certify $w --size 8x6 \
        --only features.0.weight --stride 2 --dilation 3 --transposed --below 100 --json kinds.json
    iresnet 0 '^features.0.weight +4x3x3x3 groups 2 +8x8 ' certify $w --size 8x8 --only features.0.weight \
        --groups 2 --below 100
    iresnet 1 'groups' certify $w --size 8x8 --only features.0.weight --groups 3
    iresnet 1 "no layer of a name like 'bias'" certify $w --size 8x8 --only bias
    iresnet 1 'features.0.weight: .* 3x3 .*dilation 9 .* map of 8x8 .* once' certify $w --size 8x8 \
        --only features.0.weight --dilation 9 --padding circular
    iresnet 0 '' certify $w --size 8x8 --only features.0.weight --dilation 9 --below 100
    iresnet 0 '' certify $w --size 8x8 --only features.0.weight --dilation 8 --padding circular --below 100
    iresnet 0 '^certified' certify files/weights-video --size 8x8
    check 'certify: says what is left out' \
        grep -q "2 tensors of 5 and more dimensions .*'conv3d.a'" "$work/.err"
    laplacian=$here/../../examples/laplacian.safetensors
    iresnet 0 '^certified' certify "$laplacian" --size 7x7 --padding circular
    iresnet 3 '' certify "$laplacian" --size 7x7 --padding zeros
    check 'certify: the trap' grep -q '1\.00699' "$work/.out"
    iresnet 0 'weight_orig' certify files/official --size 8x8 --json raw.json --below 10 --only '*_orig'
    iresnet 0 '' import files/official --out i5.st
    "$program" certify i5.st --json i5.json >"$work/.out" 2>"$work/.err"
    check 'certify: kernels of the official code are normalised' python3 -c '
import json
raw, model = (json.load(open(name))["layers"] for name in ("raw.json", "i5.json"))
assert len(raw) == len(model) == 3
for a, b in zip(raw, model):
    assert abs(a["upper"] / b["upper"] - 1) <= 1e-6 and a["kernel"] == b["kernel"]
    assert abs(a["scale"] / b["scale"] - 1) <= 1e-6 and a["scale"] < 1'
    iresnet 3 '' certify files/official-flip --size 1x1 --coeff 0.9 --eps 0
    check 'certify: a norm of 1.00000002 is above 1' grep -q '^not certified' "$work/.out"
    iresnet 1 'before its normalisation, and neither' certify files/official-bare --size 8x8
    iresnet 0 '' certify files/official-bare --size 8x8 --coeff 0.9 --json bare.json --below 10 --only '*_orig'
    check 'certify --coeff: as the metadata' python3 -c '
import json
a, b = (json.load(open(name))["layers"] for name in ("raw.json", "bare.json"))
assert a == b'
    iresnet 0 '' certify files/official-bare --size 8x8 --coeff 0.9 --eps 0 --json bare0.json --below 10 --only '*_orig'
    check 'certify --eps' python3 -c '
import json
a, b = (json.load(open(name))["layers"] for name in ("bare.json", "bare0.json"))
assert a[0]["upper"] < b[0]["upper"] and a[1] == b[1]'
    iresnet 0 '' certify files/weights-orig --size 8x8
    check 'certify: says that a norm is missing' grep -q 'bounded as they are stored' "$work/.err"
}

plot_tests() {
    model=run/model.safetensors
    iresnet 0 '^certified' certify $model --plot bounds.png
    check 'certify --plot' [ "$(head -c 4 bounds.png | tail -c 3)" = PNG ]
    iresnet 3 '' certify plain/model.safetensors --plot plain.png
    check 'certify --plot: of what is not certified too' [ -s plain.png ]
    check 'certify --plot: another picture' apart_files bounds.png plain.png
    iresnet 0 '^certified' certify $model --plot values.png --layer blocks.0.conv0
    check 'certify --plot --layer' apart_files bounds.png values.png
    iresnet 0 '^conv' certify files/weights --size 8x8 --plot values2.png --layer conv \
        --singular-values s5.npy
    check 'certify --plot --layer: both' [ -s values2.png -a -s s5.npy ]
    iresnet_untouched v.png 2 'nonsense' certify $model --plot v.png --layer nonsense
    iresnet_untouched v.png 2 'not on --size any' certify files/weights --size any --plot v.png --layer conv
    iresnet 1 'missing/v.png' certify $model --plot missing/v.png
}

apart_files() {
    ! cmp -s "$@"
}

# forge FILE OUT FROM TO: a certificate with a text replaced, and its SHA-256 made to fit.
forge() {
    python3 -c '
import hashlib, sys
name, out, old, new = sys.argv[1:]
text = open(name).read()
body = "".join(text.splitlines(True)[:-2])
assert old in body
body = body.replace(old, new, 1)
digest = hashlib.sha256(body.encode()).hexdigest()
open(out, "w").write(body + "\t\"sha256\":\t\"%s\"\n}\n" % digest)' "$@"
}

verify_tests() {
    model=run/model.safetensors
    for arithmetic in auto host float32; do
        iresnet 0 '^certified' certify $model --json v.json --arithmetic $arithmetic
        iresnet 0 '^true: certified, Lip\(g\) < 1' verify v.json $model
        check 'verify: says nothing else' [ ! -s "$work/.err" ]
        check "certificate: $arithmetic: where it was proven" json v.json '(d["device"] == "host") ==
            (d["arithmetic"] == "host") == all(l["proof"]["arithmetic"] == "host" for l in d["layers"])'
    done
    iresnet 0 '^certified' certify $model --json v.json
    check 'certificate: SHA-256 of all but the last two lines' \
        grep -q "\"sha256\":.\"$(head -n -2 v.json | sha256sum | cut -c1-64)\"" v.json
    check 'verify -: standard input' sh -c "'$program' verify - $model <v.json | grep -q '^true: certified'"
    check 'verify: needs no device' env OCL_ICD_VENDORS=/nonexistent "$program" verify v.json $model
    iresnet 3 '' certify plain/model.safetensors --json v-plain.json
    iresnet 3 '' verify v-plain.json plain/model.safetensors
    check 'verify: true, but not certified' grep -q '^true: not certified' "$work/.out"
    upper=$(python3 -c 'import json; print("%.17g" % json.load(open("v.json"))["layers"][0]["upper"])')
    sed "s/$upper/0.125/" v.json >v-changed.json
    iresnet 3 'refused: v-changed.json: line .* SHA-256' verify v-changed.json $model
    forge v.json v-forged.json "$upper" 0.25
    iresnet 3 'refused: .* is 0.25; it must be at least' verify v-forged.json $model
    forge v.json v-forged.json '"padding":	"zeros"' '"padding":	"circular"'
    iresnet 3 'refused: layer 0 .* padding' verify v-forged.json $model
    forge v.json v-forged.json '"below":	1,' '"below":	1,	"note":	1,'
    iresnet 3 "refused: v-forged.json: certificate field 'note' is not known" verify v-forged.json $model
    forge v-plain.json v-forged.json '"not certified"' '"certified"'
    iresnet 3 "refused: .*'certified'" verify v-forged.json plain/model.safetensors
    { head -c 3000 $model && printf X && tail -c +3002 $model; } >v-model
    iresnet 3 'refused: the certificate is of another file' verify v.json v-model
    iresnet 3 'refused: .*another file' verify v.json plain/model.safetensors
    iresnet 3 'refused: run/model.safetensors: is no certificate' verify $model v.json
    for file in empty text weights-json; do
        iresnet 3 "refused: files/$file" verify files/$file $model
    done
    for file in missing folder; do
        iresnet 1 "files/$file" verify files/$file $model
        iresnet 1 "files/$file" verify v.json files/$file
    done
    iresnet 2 'is for weights files' verify v.json $model --size 8x8
    iresnet 2 'is for weights files' verify v.json $model --below 2
    iresnet 0 '' certify $model --json v.json --arithmetic host
    forge v.json v-forged.json '"device":	"host"' '"device":	"another"'
    iresnet 3 'refused: v-forged.json: line .* is not as it was written' verify v-forged.json $model
}

verify_weights_tests() {
    for how in '--size 8x8 --padding circular' '--size 7x9' '--size any' '--size 8x8 --stride 2' \
        '--size 8x8 --dilation 2' '--size 4x4 --transposed --stride 2'; do
        # shellcheck disable=SC2086
        iresnet 0 '' certify files/weights $how --json vw.json --below 10 --cross-check
        # shellcheck disable=SC2086
        iresnet 0 '^true: certified, every layer.* below 10$' verify vw.json files/weights --below 10 $how
    done
    # They are of the last one's.
    iresnet 3 'refused: it is of stride 2, not 1' verify vw.json files/weights --below 10 --stride 1
    iresnet 3 'refused: it is of dilation 1, not 2' verify vw.json files/weights --below 10 --dilation 2
    iresnet 3 'refused: it is of groups 1, not 2' verify vw.json files/weights --below 10 --groups 2
    iresnet 3 'refused: it is of transposed yes, not no' verify vw.json files/weights --below 10 --no-transposed
    iresnet 3 'refused: it is of only \*, not features' verify vw.json files/weights --below 10 --only features
    iresnet 0 '' verify vw.json files/weights --below 10 --coeff 0.9 --eps 0
    iresnet 0 '' certify files/weights --size 8x8 --padding circular --json vw.json
    iresnet 0 'padding circular on maps of size 8x8$' verify vw.json files/weights --size 8x8 --padding circular
    iresnet 3 'refused: it is of padding circular' verify vw.json files/weights --padding zeros
    iresnet 3 'refused: it is of size 8x8, not any' verify vw.json files/weights --size any
    iresnet 3 'refused: the certificate is of another file' verify vw.json files/weights-big
    iresnet 0 '' certify files/weights-kinds --size 8x8 --below 100 --only 'features.*' --json vw.json
    iresnet 0 'tensors named like features' verify vw.json files/weights-kinds --below 100 --only 'features.*'
    forge vw.json vw-forged.json '"features.*"' '"features.0*"'
    iresnet 3 'refused: the certificate has 2 layers, and the file has 1' verify vw-forged.json files/weights-kinds --below 100
    iresnet 0 '' certify files/official --size 8x8 --below 10 --only '*_orig' --json vw.json
    iresnet 0 '^kernels +X_orig / \(max' verify vw.json files/official --below 10 --coeff 0.9 --eps 1e-5
    iresnet 3 'refused: it is of eps 1e-05, not 0' verify vw.json files/official --below 10 --coeff 0.9 --eps 0
    iresnet 3 'refused: it is of coeff 0.9, not 1' verify vw.json files/official --below 10 --coeff 1
    forge vw.json vw-forged.json '"coefficient":	0.90000000000000002' '"coefficient":	1'
    iresnet 3 'refused: .* scale' verify vw-forged.json files/official --below 11
    iresnet 3 'refused: .* below 10, not below 1; .* --below 10' verify vw.json files/official
    iresnet 3 'refused: .* not below 9.5' verify vw.json files/official --below 9.5
    iresnet 3 '' certify files/official-flip --size 1x1 --coeff 0.9 --eps 0 --json vw.json
    iresnet 3 '' verify vw.json files/official-flip
    check 'verify: a norm of 1.00000002 is above 1' grep -q '^true: not certified' "$work/.out"
    # shellcheck disable=SC2046
    forge vw.json vw-forged.json $(python3 -c '
import json
layer = json.load(open("vw.json"))["layers"][0]
upper, short = layer["upper"], layer["scale"] * layer["kernel_upper"]
assert 0 < upper / short - 1 < 1e-15
print("%.17g %.17g" % (upper, short))')
    iresnet 3 'refused: w_orig: upper is .* must be at least' verify vw-forged.json files/official-flip
    iresnet 3 '' certify files/weights-big --size 8x8 --below 1.4999999 --json vw.json
    check 'certify: the limit as it was given' grep -q 'below 1.4999999$' "$work/.out"
    iresnet 3 '' verify vw.json files/weights-big --below 2
    check 'verify: the limit as it was given' grep -q 'below 1.4999999$' "$work/.out"
}

import_tests() {
    iresnet 0 '' import files/official --out i.st
    check 'import: says what it is' grep -q 'input 1x8x8, blocks 1.*, not certified$' "$work/.err"
    check 'import: stores bounds' grep -q 'lipschitz_upper[^]]*[0-9]' i.st
    iresnet 0 '' import files/official --no-certify --out i4.st
    check 'import --no-certify: no bounds' grep -q 'lipschitz_upper[^]]*null' i4.st
    iresnet 0 '' import files/official-bare --config files/config.json --out i2.st
    check 'import: same from either configuration' cmp -s i.st i2.st
    iresnet 0 '' predict i.st --in files/x.npy --out logits.npy
    iresnet_untouched i3.st 1 'config' import files/official-bare --out i3.st
    iresnet_untouched i3.st 1 'stack.0' import files/official-short --out i3.st
    iresnet_untouched i3.st 1 'files/official-negative: bn1.running_var is -0.3 at index 0; it must be' \
        import files/official-negative --out i3.st
    iresnet_untouched i3.st 1 'stack.1' \
        import files/official --config files/config-blocks.json --out i3.st
    while read -r file pattern; do
        iresnet_untouched i3.st 1 "files/config-$file.json: $pattern" \
            import files/official --config "files/config-$file.json" --out i3.st
    done <<'END'
nonlin option 'nonlin' is "gelu"; it must be one of elu, relu, tanh, softplus
long option 'nonlin' is "\\n.*\.\.\.; it must be one of
squeeze option 'init_ds' is 3; it must be a whole number from 1 to 2
zero option 'init_ds' is 0; it must
fraction option 'nChannels' is \[4.5\]; it must be a list of length 1 of whole numbers from 1 to 16384
pad option 'inj_pad' is -1; it must be a whole number from 0 to 65536
large option 'nClasses' is 1e\+300; it must
coeff option 'coeff' is 0; it must be above 0
eps option 'eps' is null; it must be a number from 0 to 1
strides option 'nStrides' is \[1,2\]; it must be a list of length 1 of
empty option 'nBlocks' is \[\]; it must be a list of length 1 to 8 of
actnorm option 'actnorm' is 1; it must be true or false
odd init_squeeze squeezes a 7 x 8 map
list the options are no JSON object
more the options are no JSON object
END
    iresnet_untouched i3.st 1 "no tensor 'stack.0.stack.0" \
        import files/official --config files/config-multiscale.json --out i3.st
    for file in missing empty text weights; do
        iresnet_untouched i3.st 1 . import "files/$file" --out i3.st
        iresnet_untouched i3.st 1 "files/$file" \
            import files/official --config "files/$file" --out i3.st
    done
    iresnet 1 '/dev/full' import files/official --out /dev/full
    iresnet 1 'missing/i' import files/official --out missing/i
}

# near FILE I FILE J: whether two images of 8x8 in NPY files are the same up to rounding.
near() {
    python3 -c 'import struct, sys
a, b = (struct.unpack_from("<64f", open(f, "rb").read(), 128 + 256 * int(i))
        for f, i in (sys.argv[1:3], sys.argv[3:5]))
sys.exit(not max(abs(p - q) for p, q in zip(a, b)) <= 1e-4)' "$@"
}

apart() {
    ! near "$@"
}

interpolate_tests() {
    model=run/model.safetensors
    iresnet 0 '' interpolate $model --data digits --between 2,7 --steps 5 --out i.npy --errors e.npy
    check 'interpolate: says what is proven' grep -q '5 samples, .*proven' "$work/.err"
    check 'interpolate: errors' [ "$(wc -c <e.npy)" -eq $((128 + 5 * 8)) ]
    iresnet 0 '' encode $model --data digits --count 8 --out z8.npy
    iresnet 0 '' decode $model --in z8.npy --out x8.npy
    check 'interpolate: begins at the first' near i.npy 0 x8.npy 2
    check 'interpolate: ends at the second' near i.npy 4 x8.npy 7
    check 'interpolate: moves' apart i.npy 2 x8.npy 2
    iresnet 0 '' interpolate $model --data digits --split train --out i.png
    # Ten images in a row, 56 pixels wide and one apart.
    check 'interpolate: a strip' [ "$(od -An -tx1 -j16 -N8 i.png | tr -d ' ')" = 0000023900000038 ]
    iresnet_untouched i2.png 1 'a grid of 20000 x 1 images .* above the limit' \
        interpolate $model --data digits --steps 20000 --out i2.png
    iresnet_untouched i2.png 2 '360' interpolate $model --data digits --between 0,360 --out i2.png
    iresnet_untouched i2.png 1 'takes 1x8x8' interpolate $model --data toy:moons --out i2.png
    iresnet_untouched e2.npy 3 'no error can be claimed' interpolate plain/model.safetensors --data digits \
        --out i2.png --errors e2.npy
}

sample_tests() {
    dense=dense/model.safetensors
    iresnet 0 '' sample density --out s.png --errors e2.npy
    check 'sample: proves bounds where there are none' grep -q 'they have been proven now' "$work/.err"
    check 'sample: tells the worst error' grep -q '64 samples.* proven' "$work/.err"
    check 'sample: an error for each' [ "$(wc -c <e2.npy)" -eq $((128 + 64 * 8)) ]
    check 'sample: png' [ "$(head -c 4 s.png | tail -c 3)" = PNG ]
    # shellcheck disable=SC2086
    iresnet 0 '' interpolate bare/model.safetensors --data digits --out i.npy
    check 'interpolate: proves bounds, too' grep -q 'they have been proven now' "$work/.err"
    iresnet 0 '' sample $dense --count 3 --out s3.npy --errors e.npy
    check 'sample: says what is proven' grep -q '3 samples, proven errors at most' "$work/.err"
    check 'sample: size' [ "$(wc -c <s3.npy)" -eq $((128 + 3 * 64 * 4)) ]
    check 'sample: errors' [ "$(wc -c <e.npy)" -eq $((128 + 3 * 8)) ]
    iresnet 0 '' sample $dense --count 5 --out s.npy
    check 'sample: the same seed' near s.npy 2 s3.npy 2
    iresnet 0 '' sample $dense --count 3 --out s.npy --seed 1
    check 'sample: another seed' apart s.npy 0 s3.npy 0
    check 'sample: others' apart s3.npy 0 s3.npy 1
    iresnet 0 '' sample $dense --count 3 --out s.npy --temperature 0
    check 'sample: temperature 0' near s.npy 0 s.npy 2
    check 'sample: not always so' apart s.npy 0 s3.npy 0
    iresnet_untouched s2.npy 1 'has no prior' sample run/model.safetensors --out s2.npy
}

# Points in the plane.
plane_tests() {
    moons=moons/model.safetensors
    iresnet 0 '' sample $moons --out s.png --errors e.npy
    check 'sample: points' [ "$(od -An -tx1 -j16 -N8 s.png | tr -d ' ')" = 0000027800000278 ]
    check 'sample: errors of points' [ "$(wc -c <e.npy)" -eq $((128 + 5000 * 8)) ]
    iresnet 0 '^integral .* [01]\.' density $moons --out p.png --size 64 --count 500
    check 'density: says what is proven' grep -q '500 samples, proven errors' "$work/.err"
    check 'density: two panels' [ "$(od -An -tx1 -j16 -N4 p.png | tr -d ' ')" = 00000086 ]
    iresnet 0 '"integral"' density $moons --out p3.png --size 64 --count 500 --data toy:moons \
        --range 8 --log --json
    cp "$work/.out" p.json
    check 'density: three panels' [ "$(od -An -tx1 -j16 -N4 p3.png | tr -d ' ')" = 000000c8 ]
    check 'density --json: a density' json p.json 'abs(d["integral"] - 1) <= 1e-3 and
        d["range"] == 8 and d["samples"] == 500 and 0 < d["max_bound"] <= 1e-4'
    if command -v script >/dev/null; then
        TERM=xterm script -qec "$program density $moons --size 16 --count 9 --out p2.png" /dev/null \
            >"$work/.out" 2>"$work/.err"
        check 'density: a bar' grep -q 'density 100 %.*256 of 256' "$work/.out"
    fi
    iresnet_untouched p2.png 1 'takes 1x8x8; .*points in the plane' density density --out p2.png
    iresnet_untouched p2.png 1 'takes 2x1x1' density $moons --data digits --out p2.png
}

# Broken model files, and arrays that do not fit the model.
hostile_tests() {
    python3 "$here/make_files.py" models run/model.safetensors files || bad make_files.py
    count=0
    for file in files/model-* files/missing files/empty files/text files/folder files/x.npy \
        files/weights; do
        count=$((count + 1))
        iresnet_untouched z3.npy 1 "$file" encode "$file" --data digits --out z3.npy
    done
    iresnet 1 'files/model-variance: head.norm.running_var is -0.5 at index 0; it must be 0 or more' \
        predict files/model-variance --in files/x.npy --out o.npy
    check 'hostile models were made' [ $count -gt 15 ]
    model=run/model.safetensors
    for file in missing empty text folder x-short.npy x-long.npy x-header.npy x-magic.npy \
        x-fortran.npy x-huge.npy x-double.npy x-7x8.npy x-flat.npy x-none.npy x-scalar.npy \
        x-nan.npy x-inf.npy; do
        iresnet_untouched o.npy 1 "files/$file" predict $model --in "files/$file" --out o.npy
        iresnet_untouched o.npy 1 "files/$file" encode $model --in "files/$file" --out o.npy
        iresnet_untouched o.npy 1 "files/$file" decode $model --in "files/$file" --out o.npy
    done
    iresnet 1 'shape \[3,1,7,8\], expected \[N,1,8,8\]' predict $model --in files/x-7x8.npy --out o.npy
    iresnet 1 'shape \[3,1,8,8\], expected \[N,64\]' decode $model --in files/x.npy --out o.npy
    for file in z-nan z-inf; do
        iresnet_untouched o.png 1 "files/$file" decode $model --in files/$file.npy --out o.png
    done
}

# A driver that ends a bisection early: wrong in the seventh digit, which nobody would see.
check_tests() {
    model=run/model.safetensors
    iresnet 2 'it needs --check' devices --device 0
    gcc -shared -fPIC "$here/wrong_kernel.c" -o wrong_kernel.so -ldl || bad wrong_kernel.c
    # Compiles clFFT's kernels, of which PoCL counts the warnings on standard error.
    iresnet 0 'every block' certify $model --cross-check
    iresnet 0 '' certify files/weights --size 8x8 --padding circular --below 10 --cross-check
    (
        export LD_PRELOAD="$work/wrong_kernel.so${LD_PRELOAD:+:$LD_PRELOAD}"
        export IRN_CACHE_DIR="$work/wrong" WRONG_FROM='step < 54' WRONG_TO='step < 24'
        passed=0 failed=0
        iresnet_untouched c.json 1 'computes wrongly and is not used. Checking singular values: .*kernel svd' \
            certify $model --json c.json
        iresnet_untouched c.json 1 'computes wrongly' certify $model --json c.json
        check 'a wrong kernel: device, driver, error and limit' \
            grep -Eq '^iresnet certify: .*\(.*, driver .*\) .*error of [0-9.e-]+; at most [0-9.e-]+ is allowed' "$work/.err"
        export IRN_CHECK=off
        iresnet 0 'every block' certify $model
        export IRN_CACHE_DIR="$work/worse" WRONG_TO='step < 2'
        iresnet 0 'every block' certify $model
        iresnet 1 'computed wrongly' certify $model --cross-check
        iresnet 1 'computed wrongly' certify files/weights --size 8x8 --padding circular --below 10 --cross-check
        export IRN_CACHE_DIR="$work/wrong" WRONG_TO='step < 24'
        unset IRN_CHECK
        "$program" devices --check --json >"$work/.out" 2>"$work/.err"
        check 'devices --check, a wrong kernel: status 1' [ $? -eq 1 ]
        cp "$work/.out" devices.json
        check 'devices --check, a wrong kernel: the rest passes' json devices.json \
            'all([c["family"] for c in e["check"] if c["outcome"] == "failed"] == ["singular values"] and
                len(e["check"]) > 10 and not e["computes_rightly"] for e in d if e["fp64"])'
        echo "$passed $failed" >wrong.count
    )
    read -r more less <wrong.count
    passed=$((passed + more)) failed=$((failed + less))
    iresnet 0 'singular values +passed' devices --check --device 0
    iresnet 0 'every block' certify $model
    check 'a device that passed: is not checked again' sh -c 'ls "$1"/*.check >/dev/null' sh "$IRN_CACHE_DIR"
}

disk_tests() {
    model=run/model.safetensors
    for command in "encode $model --data digits --out" "predict $model --in files/x.npy --out" \
        "decode $model --in z.npy --out" "decode $model --in z.npy --out x.npy --errors" \
        "sample density --count 3 --out" "interpolate $model --data digits --out" \
        "density moons/model.safetensors --size 16 --count 9 --out"; do
        # shellcheck disable=SC2086
        iresnet 1 '/dev/full' $command /dev/full
        # shellcheck disable=SC2086
        iresnet 1 'missing/file' $command missing/file
        # shellcheck disable=SC2086
        iresnet 1 'folder' $command files/folder
    done
    iresnet 1 '/dev/full' certify $model --json /dev/full
    for words in "--help" "devices" "eval $model --data digits --count 3" "certify $model" \
        "encode $model --in files/x.npy --out -"; do
        # shellcheck disable=SC2086
        "$program" $words >/dev/full 2>"$work/.err"
        check "iresnet $words >/dev/full: status 1" [ $? -eq 1 ]
        check "iresnet $words >/dev/full: says why" grep -q 'No space left' "$work/.err"
    done
    echo precious >z4.npy
    (
        trap '' XFSZ
        ulimit -f 64
        "$program" encode $model --data digits --split train --out z4.npy
    ) >"$work/.out" 2>"$work/.err"
    check 'file too large: status 1' [ $? -eq 1 ]
    check 'file too large: says which' grep -q z4.npy "$work/.err"
    check 'file too large: old file stays' [ "$(cat z4.npy)" = precious ]
    check 'file too large: no temporary file' sh -c '! find . -name ".irn-*" | grep -q .'
}

: >"$work/.out"
: >"$work/.err"
mkdir files
python3 "$here/make_files.py" arrays files || bad make_files.py
for group in usage manual number combination device tune data train check stop model density terminal certify verify \
    verify_weights enforce weights plot import interpolate sample plane hostile disk; do
    "${group}_tests"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
