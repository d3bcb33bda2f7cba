#!/bin/sh
# Learns the eight sets of points in the plane and draws each: data, density, samples. On two cores
# six minutes a set, and fourteen for the two with the tightest folds.
# Usage: examples/toys.sh [FOLDER [PROGRAM]] (default toys, iresnet)
set -eu

folder=${1:-toys}
program=${2:-iresnet}
mkdir -p "$folder"

for name in 8gaussians 2spirals checkerboard circles moons pinwheel rings swissroll; do
    echo "$name"
    case $name in
    2spirals | rings) epochs=200 ;;
    *) epochs=80 ;;
    esac
    "$program" train --data "toy:$name" --task density --epochs "$epochs" --out "$folder/$name" --force
    "$program" eval "$folder/$name/model.safetensors" --data "toy:$name" --no-reconstruct
    "$program" density "$folder/$name/model.safetensors" --data "toy:$name" --size 200 \
        --out "$folder/$name.png"
done
