"""Makes the good and the hostile files of tests/cli/run.sh. Standard library only.

make_files.py arrays FOLDER         NPY, IDX and safetensors files
make_files.py models MODEL FOLDER   damaged copies of a model file
"""

import gzip
import json
import math
import os
import struct
import sys


def npy(path, dtype, shape, data, fortran=False):
    header = "{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }" % (
        dtype, fortran, "".join("%d," % size for size in shape))
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def floats(values):
    return struct.pack("<%df" % len(values), *values)


def wave(count):
    return [0.4 * math.sin(0.37 * i) for i in range(count)]


def npy_files():
    good = floats(wave(3 * 64))
    npy("x.npy", "<f4", (3, 1, 8, 8), good)
    npy("x-levels.npy", "<f4", (3, 1, 8, 8),
        floats([round((value + 0.5) * 255) / 255 - 0.5 for value in wave(192)]))
    npy("x-bytes.npy", "|u1", (30, 1, 8, 8), bytes(i * 37 % 251 for i in range(30 * 64)))
    npy("x-constant.npy", "<f4", (30, 1, 8, 8), floats([0.1] * (30 * 64)))
    npy("x-colour.npy", "<f4", (3, 3, 8, 8), floats(wave(3 * 192)))
    npy("labels.npy", "|u1", (3,), bytes([0, 1, 2]))
    npy("labels-negative.npy", "<i4", (3,), struct.pack("<3i", 0, -1, 2))
    npy("labels-few.npy", "<i4", (2,), struct.pack("<2i", 0, 1))
    npy("labels-many.npy", "<i4", (3,), struct.pack("<3i", 0, 1, 200))
    npy("x-bright.npy", "<f4", (3, 1, 8, 8), floats([round((2 * value + 0.5) * 255) / 255 - 0.5 for value in wave(192)]))
    npy("x-double.npy", "<f8", (3, 1, 8, 8), struct.pack("<192d", *wave(192)))
    npy("x-7x8.npy", "<f4", (3, 1, 7, 8), floats(wave(3 * 56)))
    npy("x-flat.npy", "<f4", (3, 63), floats(wave(3 * 63)))
    npy("x-none.npy", "<f4", (0, 1, 8, 8), b"")
    npy("x-scalar.npy", "<f4", (), floats([1.0]))
    for name, value in (("nan", math.nan), ("inf", math.inf)):
        npy("x-%s.npy" % name, "<f4", (3, 1, 8, 8), floats(wave(191) + [value]))
        npy("z-%s.npy" % name, "<f4", (1, 64), floats(wave(63) + [value]))
    npy("z.npy", "<f4", (3, 64), good)
    npy("x-fortran.npy", "<f4", (3, 1, 8, 8), good, fortran=True)
    npy("x-huge.npy", "<f4", (1 << 40, 1 << 20, 8, 8), good)
    whole = open("x.npy", "rb").read()
    open("x-short.npy", "wb").write(whole[:-5])
    open("x-long.npy", "wb").write(whole + b"12345")
    open("x-header.npy", "wb").write(whole[:40])
    open("x-magic.npy", "wb").write(b"\x93NUMPI" + whole[6:])
    open("empty", "wb").close()
    open("text", "w").write("This is no array, and no model.\n" * 20)
    os.mkdir("folder")


def idx_files():
    images = struct.pack(">IIII", 0x803, 20, 8, 8) + bytes(i % 251 for i in range(20 * 64))
    labels = struct.pack(">II", 0x801, 20) + bytes(i % 10 for i in range(20))
    open("images", "wb").write(images)
    open("labels", "wb").write(labels)
    open("images-short", "wb").write(images[:-1])
    open("images-long", "wb").write(images + b"x")
    open("images-huge", "wb").write(struct.pack(">IIII", 0x803, 0xffffffff, 60000, 60000) + b"x")
    open("images-magic", "wb").write(b"\0\0\x0b\x03" + images[4:])
    open("images-empty", "wb").write(struct.pack(">IIII", 0x803, 0, 8, 8))
    open("labels-few", "wb").write(struct.pack(">II", 0x801, 19) + bytes(19))
    open("labels-255", "wb").write(struct.pack(">II", 0x801, 20) + bytes([255] * 20))
    packed = gzip.compress(images)
    open("images.gz", "wb").write(packed)
    open("images-short.gz", "wb").write(packed[:-9])
    os.mkdir("mnist-empty")


def safetensors(path, tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, shape, values in tensors:
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += floats(values)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def weight_files():
    kernel = [0.05 * value for value in wave(4 * 3 * 9)]
    safetensors("weights", [("conv", [4, 3, 3, 3], kernel), ("dense", [2, 2], [0.5, 0, 0, 0.25])])
    safetensors("weights-big", [("dense", [2, 2], [1.5, 0, 0, 0.25])])
    safetensors("weights-nan", [("dense", [2, 2], [1.5, math.nan, 0, 0.25])])
    safetensors("weights-kinds", [
        ("features.0.weight", [4, 3, 3, 3], kernel), ("features.1.weight", [2, 2, 3], wave(12)),
        ("head.weight", [2, 3], wave(6)), ("bias", [2], [1.0, 2.0]), ("scalar", [], [1.0])])
    safetensors("weights-orig", [("dense.weight_orig", [2, 2], [0.5, 0, 0, 0.25]),
                                 ("dense.weight_u", [2], [1.0, 0])])
    safetensors("weights-video", [("dense", [1, 1], [0.5]), ("conv3d.a", [1, 1, 1, 1, 1], [2.0]),
                                  ("conv3d.b", [1, 1, 1, 1, 1, 1], [2.0])])
    # sigma / 0.9 is less than the kernel, which a scale in float32 would not show
    safetensors("official-flip", [("w_orig", [1, 1], [3.2868402004241943]),
                                  ("w_sigma", [1], [2.958156108856201])])
    open("weights-huge", "wb").write(struct.pack("<Q", 1 << 60) + b"{}")
    open("weights-json", "wb").write(struct.pack("<Q", 8) + b"{\"a\": [")


def official_files():
    """One block with the parameter names of the official PyTorch code."""
    tensors = []
    for place, outputs, inputs, side in ((0, 4, 1, 3), (2, 4, 4, 1), (4, 1, 4, 3)):
        prefix = "stack.0.bottleneck_block.%d." % place
        count, pixels = outputs * inputs * side * side, 64 if side > 1 else 1
        tensors += [(prefix + "weight_orig", [outputs, inputs, side, side], wave(count)),
                    (prefix + "bias", [outputs], wave(outputs)),
                    (prefix + "weight_u", [outputs * pixels], wave(outputs * pixels)),
                    (prefix + "weight_v", [inputs * pixels], wave(inputs * pixels)),
                    (prefix + "weight_sigma", [1], [1.5])]
    tensors += [("stack.0.actnorm._log_scale", [1], [0.25]), ("stack.0.actnorm._shift", [1], [0.5]),
                ("bn1.weight", [1], [1.0]), ("bn1.bias", [1], [0.1]),
                ("bn1.running_mean", [1], [0.2]), ("bn1.running_var", [1], [0.3]),
                ("logits.weight", [10, 1], wave(10)), ("logits.bias", [10], wave(10))]
    config = {"in_shape": [1, 8, 8], "nBlocks": [1], "nStrides": [1], "nChannels": [4],
              "init_ds": 1, "inj_pad": 0, "coeff": 0.9, "nonlin": "elu", "actnorm": True,
              "nClasses": 10, "eps": 1e-5, "multiscale": False, "task": "classify"}
    safetensors("official", tensors, {"config": json.dumps(config)})
    safetensors("official-bare", tensors)
    safetensors("official-short", tensors[1:], {"config": json.dumps(config)})
    negative = [(name, shape, [-0.3]) if name == "bn1.running_var" else (name, shape, values)
                for name, shape, values in tensors]
    safetensors("official-negative", negative, {"config": json.dumps(config)})
    json.dump(config, open("config.json", "w"))
    json.dump(dict(config, nBlocks=[2]), open("config-blocks.json", "w"))
    changes = {"nonlin": {"nonlin": "gelu"}, "squeeze": {"init_ds": 3}, "zero": {"init_ds": 0},
               "fraction": {"nChannels": [4.5]}, "pad": {"inj_pad": -1}, "large": {"nClasses": 1e300},
               "coeff": {"coeff": 0}, "eps": {"eps": None}, "strides": {"nStrides": [1, 2]},
               "empty": {"nBlocks": []}, "actnorm": {"actnorm": 1}, "odd": {"in_shape": [1, 7, 8],
               "init_ds": 2}, "multiscale": {"multiscale": True}, "long": {"nonlin": "\n" * 1000}}
    for name, change in changes.items():
        json.dump(dict(config, **change), open("config-%s.json" % name, "w"))
    open("config-list.json", "w").write("[]")
    open("config-more.json", "w").write(json.dumps(config) + "}")


def model_files(model, folder):
    whole = open(model, "rb").read()
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8:8 + length])
    os.chdir(folder)

    def write(name, new_header=None, data=whole[8 + length:]):
        text = json.dumps(new_header).encode() if new_header else whole[8:8 + length]
        open(name, "wb").write(struct.pack("<Q", len(text)) + text + data)

    for share in (4, 8, 100, 8 + length, len(whole) - 1):
        open("model-%d" % share, "wb").write(whole[:share])
    open("model-long", "wb").write(whole + b"12345678")
    names = [name for name in header if name.endswith(".weight") and name.startswith("blocks.")]
    begin, end = header[names[0]]["data_offsets"]
    data = bytearray(whole[8 + length:])
    data[begin:begin + 4] = struct.pack("<f", math.nan)
    write("model-nan", data=bytes(data))
    data[begin:begin + 4] = struct.pack("<f", math.inf)
    write("model-inf", data=bytes(data))
    data = bytearray(whole[8 + length:])
    begin_variance = header["head.norm.running_var"]["data_offsets"][0]
    data[begin_variance:begin_variance + 4] = struct.pack("<f", -0.5)
    write("model-variance", data=bytes(data))
    changed = json.loads(json.dumps(header))
    changed[names[0] + "x"] = changed.pop(names[0])
    write("model-renamed", changed)
    changed = json.loads(json.dumps(header))
    changed[names[0]]["shape"] = [1, (end - begin) // 4, 1, 1]
    write("model-shape", changed)
    changed = json.loads(json.dumps(header))
    changed[names[0]]["data_offsets"] = [begin, end + (1 << 50)]
    write("model-offsets", changed)
    changed = json.loads(json.dumps(header))
    changed["__metadata__"]["iresnet"] = changed["__metadata__"]["iresnet"][:-3]
    write("model-config", changed)
    changed = json.loads(json.dumps(header))
    config = json.loads(changed["__metadata__"]["iresnet"])
    for key in config:
        if isinstance(config[key], int) and not isinstance(config[key], bool):
            config[key] = -7
    changed["__metadata__"]["iresnet"] = json.dumps(config)
    write("model-negative", changed)


def main():
    if sys.argv[1] == "arrays":
        os.chdir(sys.argv[2])
        npy_files()
        idx_files()
        weight_files()
        official_files()
    else:
        model_files(os.path.abspath(sys.argv[2]), sys.argv[3])


main()
