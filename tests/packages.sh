#!/bin/sh
# Installs the packages of tests/packages.txt that are missing. Usage: tests/packages.sh GROUP...
set -eu

list=$(dirname "$0")/packages.txt
wanted=$(for group in "$@"; do awk -v group="$group" '$1 == group { print $2 }' "$list"; done | sort -u)

if ! command -v dpkg-query >/dev/null; then
    printf 'This is not Debian; what is needed goes by these names there:\n%s\n' "$wanted" >&2
    exit 0
fi
missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=none
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "installing$missing"
# Run as root: directly, or by sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "$0: neither root nor sudo; as root: apt-get install$missing" >&2
        exit 1
    fi
}
as_root apt-get update -qq </dev/null
# shellcheck disable=SC2086
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null
