#!/usr/bin/env python3
"""Compares what network.sh made on two OpenCL implementations. Usage: compare.py REFERENCE FOLDER

Arrays, and numbers of one model and one seed, agree up to float32's rounding. A training run adds up such
differences step by step, so what it ends with agrees less closely. Prints every difference; status 1 if one
is above its limit.
"""
import ast
import json
import math
import os
import struct
import sys

# Relative in norm. Randomness is the same bit for bit, or estimates would differ by far more.
ARRAYS = {"z.npy": 1e-6, "x.npy": 2e-6, "logits.npy": 2e-6, "z-density.npy": 1e-6, "logdet.npy": 1e-5,
          "samples.npy": 5e-6}
EVALUATED = 1e-6
TRAINED = 1e-4


def array(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack_from("<H", data, 8)[0]
    header = ast.literal_eval(data[10:10 + length].decode("latin1"))
    kind = {"<f4": "f", "<f8": "d"}[header["descr"]]
    count = math.prod(header["shape"])
    return struct.unpack_from(f"<{count}{kind}", data, 10 + length)


def distance(expected, got):
    if len(expected) != len(got) or not expected:
        return math.inf
    return math.dist(expected, got) / math.hypot(*expected)


def last_line(path):
    with open(path, encoding="utf-8") as file:
        return json.loads(file.read().splitlines()[-1])


def uppers(path):
    with open(path, encoding="utf-8") as file:
        return [layer["upper"] for layer in json.load(file)["layers"]]


def evaluated(path):
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    return [found["bits_per_dim"], found["logdet"]["mean"], found["logdet"]["mean_standard_error"]]


def main(reference, folder):
    rows = [(name, limit, array(f"{reference}/{name}"), array(f"{folder}/{name}"))
            for name, limit in ARRAYS.items()]
    rows.append(("density.json", EVALUATED, evaluated(f"{reference}/density.json"),
                 evaluated(f"{folder}/density.json")))
    for name in ("classifier/log.jsonl", "density/log.jsonl"):
        rows.append((f"{name}: loss", TRAINED, [last_line(f"{reference}/{name}")["loss"]],
                     [last_line(f"{folder}/{name}")["loss"]]))
    if os.path.exists(f"{folder}/z-clblast.npy"):
        rows.append(("z-clblast.npy", ARRAYS["z.npy"], array(f"{folder}/z-tiles.npy"),
                     array(f"{folder}/z-clblast.npy")))
        rows.append(("classifier-clblast/log.jsonl: loss", TRAINED,
                     [last_line(f"{reference}/classifier/log.jsonl")["loss"]],
                     [last_line(f"{folder}/classifier-clblast/log.jsonl")["loss"]]))
    rows.append(("certificate.json: upper", TRAINED, uppers(f"{reference}/certificate.json"),
                 uppers(f"{folder}/certificate.json")))
    status = 0
    for name, limit, expected, got in rows:
        apart = distance(expected, got)
        good = apart <= limit
        status |= not good
        print(f"{'same' if good else 'FAILED'} {name}: relative difference {apart:.2g}, limit {limit:g}")
    return status


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
