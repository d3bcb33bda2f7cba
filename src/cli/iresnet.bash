# Completion of iresnet for bash. Options come from the program's own help, so that they are never
# out of date.

_iresnet_options() {
    "$1" "$2" --help 2>/dev/null | sed -n '
        s/^  \(-[a-zA-Z], \)\{0,1\}--\[no-\]\([a-z-]*\).*/--\2\n--no-\2/p
        s/^  \(-[a-zA-Z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'
}

_iresnet_toys="8gaussians 2spirals checkerboard circles moons pinwheel rings swissroll"

# What may follow an option ($2) of a command ($1).
_iresnet_words() {
    case $2 in
    --preset) echo digits mnist cifar10 toy digits-density mnist-density cifar10-density ;;
    --task) echo classify density hybrid ;;
    --activation) echo identity elu relu tanh softplus lipswish ;;
    --padding) echo zeros circular ;;
    --arithmetic) echo auto float64 float32 host ;;
    --prior) echo none standard learned ;;
    --optimizer) echo sgd adam adamax ;;
    --split) echo train test ;;
    --logdet) [ "$1" = encode ] || echo series neumann roulette exact ;;
    --logdet-method) echo auto exact series roulette ;;
    --roulette) echo geometric poisson ;;
    --data | --test-data) echo digits mnist: cifar10: cifar100: idx: npy: toy: ;;
    esac
}

# Readline takes the colon for a word of its own.
_iresnet_after_toy() {
    local at=$COMP_CWORD
    [ "${COMP_WORDS[at]}" = : ] || at=$((at - 1))
    [ "$at" -ge 1 ] && [ "${COMP_WORDS[at - 1]}${COMP_WORDS[at]}" = toy: ]
}

_iresnet() {
    local program=$1 word=$2 before=$3 words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "${COMP_WORDS[1]}" = help ]; }; then
        words="devices train eval predict encode decode sample interpolate density certify verify import bench tune"
        [ "$COMP_CWORD" -eq 1 ] && words="$words help --help --version"
    else
        words=$(_iresnet_words "${COMP_WORDS[1]}" "$before")
        if _iresnet_after_toy; then
            words=$_iresnet_toys
            word=${word#:}
        fi
        if [ -z "$words" ]; then
            case $word in
            -*) words=$(_iresnet_options "$program" "${COMP_WORDS[1]}") ;;
            *) [ "${COMP_WORDS[1]} $COMP_CWORD" = "bench 2" ] && words="conv kernels step inverse certify" ;;
            esac
        fi
    fi
    # Without any word readline completes file names.
    local IFS=$' \n'
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    case ${COMPREPLY[0]-} in
    *:) compopt -o nospace 2>/dev/null ;;
    esac
}

complete -o default -F _iresnet iresnet
