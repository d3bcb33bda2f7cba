#!/usr/bin/python3
"""The i-ResNet classifier in PyTorch on the CPU: the yardstick for this library's timings.

Assumptions: Debian's python3-torch 1.13 and NumPy over OpenBLAS, run with /usr/bin/python3. The network is written from the
paper and from the golden vectors, in the fastest form that eager PyTorch was seen to give: a slow yardstick proves nothing.
`check` compares it with a golden model in float64, so that what is timed is known to be the right computation.

Every command prints one JSON object per line on stdout: what, seconds_min, seconds_median, gflops (where it applies),
threads, torch, and what describes the case. Diagnostics go to stderr. Exit status: 0, 1 (a check failed), 2 (usage).
"""
import argparse
import ctypes
import itertools
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import time

from torch_environment import THREADS, cpu_flags, restart_tuned

PRESETS = {
    "cifar10": {"in_shape": [3, 32, 32], "inj_pad": 13, "nBlocks": [7, 7, 7]},
    "small": {"in_shape": [1, 28, 28], "inj_pad": 15, "nBlocks": [3, 3, 3]},
}
PRESET_COMMON = {"init_ds": 1, "nStrides": [1, 2, 2], "nChannels": [32, 64, 128], "nClasses": 10, "coeff": 0.9, "eps": 0.0}
# batch, map, channels in and out: the shapes that the convolution kernels were first measured on
CONV_SHAPES = [(128, 32, 32), (128, 16, 64), (128, 8, 128), (32, 16, 512)]

if __name__ == "__main__":
    restart_tuned()

import numpy as np  # noqa: E402  (after the environment is settled)
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402


def squeeze(x, nhwc):
    """[N, C, H, W] -> [N, 4C, H/2, W/2]; output channel (dy*2 + dx)*C + c."""
    n, c, h, w = x.shape
    if nhwc:
        x = x.permute(0, 2, 3, 1).reshape(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h // 2, w // 2, 4 * c).permute(0, 3, 1, 2)
    return x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def unsqueeze(x):
    n, c, h, w = x.shape
    return x.reshape(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)


def unit(x):
    return x / x.norm().clamp_min(1e-12)


# The weight of the transposed convolution, for conv2d: oneDNN does not do conv_transpose2d here.
def transpose(weight):
    layout = torch.contiguous_format if weight.is_contiguous() else torch.channels_last
    return weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=layout)


class SpectralConv(torch.nn.Module):
    """A zero-padded convolution with weight W / (max(1, sigma/coeff) + eps), sigma by power iteration on its own map."""

    def __init__(self, c_in, c_out, kernel, size, coeff, eps):
        super().__init__()
        self.kernel, self.coeff, self.eps = kernel, coeff, eps if kernel > 1 else 0.0
        self.weight = torch.nn.Parameter(torch.empty(c_out, c_in, kernel, kernel))
        self.bias = torch.nn.Parameter(torch.zeros(c_out))
        torch.nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        spatial = [size, size] if kernel > 1 else [1, 1]
        self.register_buffer("u", unit(torch.randn(1, c_out, *spatial)))
        self.register_buffer("v", unit(torch.randn(1, c_in, *spatial)))
        self.flop_per_pixel = 2 * c_in * c_out * kernel * kernel

    # PyTorch leaves oneDNN out for one image of less than 20480 elements; without a gradient it pays from about 2048 on.
    def image(self, x, weight):
        if self.kernel == 1:
            return (weight[:, :, 0, 0] @ x.reshape(-1)).reshape(1, -1, 1, 1)
        padding = self.kernel // 2
        if torch.is_grad_enabled() or x.numel() < 2048 or x.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
            return F.conv2d(x, weight, padding=padding)
        return torch.mkldnn_convolution(x, weight, None, [padding] * 2, [1, 1], [1, 1], 1)

    # The image of v serves the last iteration (as a constant) and sigma (with its gradient): two operator calls, not three.
    def normalised(self, iterations):
        with torch.no_grad():
            transposed = transpose(self.weight) if iterations > 0 else None
            for i in range(iterations):
                self.u = unit(self.image(self.v, self.weight)) if i > 0 else self.u
                self.v = unit(self.image(self.u, transposed))
        image = self.image(self.v, self.weight)
        if iterations > 0:
            self.u = unit(image.detach())
        sigma = torch.dot(image.reshape(-1), self.u.reshape(-1))
        return self.weight / (torch.clamp(sigma / self.coeff, min=1.0) + self.eps)


class Block(torch.nn.Module):
    """[squeeze], actnorm, z + g(z)."""

    def __init__(self, channels, hidden, size, iteration_size, squeezes, leading_elu, coeff, eps):
        super().__init__()
        self.squeezes, self.leading_elu, self.size = squeezes, leading_elu, size
        self.log_scale = torch.nn.Parameter(torch.zeros(channels))
        self.shift = torch.nn.Parameter(torch.zeros(channels))
        self.convs = torch.nn.ModuleList([
            SpectralConv(channels, hidden, 3, iteration_size, coeff, eps),
            SpectralConv(hidden, hidden, 1, iteration_size, coeff, eps),
            SpectralConv(hidden, channels, 3, iteration_size, coeff, eps)])
        self.register_buffer("zero", torch.zeros(channels), persistent=False)
        self.register_buffer("one", torch.ones(channels), persistent=False)

    # activated: called with the values of each ELU, for whoever needs its slopes
    def residual(self, z, weights, activated=lambda h: None):
        first, middle, last = self.convs
        h = z
        if self.leading_elu:
            h = F.elu(z)
            activated(h)
        h = F.elu_(F.conv2d(h, weights[0], first.bias, padding=1))
        activated(h)
        h = F.elu_(F.conv2d(h, weights[1], middle.bias))
        activated(h)
        return F.conv2d(h, weights[2], last.bias, padding=1)

    # x*exp(log_scale) + shift, as the batch norm of known mean 0 and variance 1: one pass each way, where the
    # broadcast product and sum take several in backward.
    def actnorm(self, x):
        return F.batch_norm(x, self.zero, self.one, self.log_scale.exp(), self.shift, False, 0.0, 0.0)

    def forward(self, x, weights, nhwc):
        z = self.actnorm(squeeze(x, nhwc) if self.squeezes else x)
        return self.residual(z, weights).add_(z)

    # As the official code evaluates g: a hook normalises each weight (SpectralConv.normalised) at every call, and nothing is
    # done in place.
    def official_residual(self, z):
        h = z
        for i, conv in enumerate(self.convs):
            h = F.elu(h) if i > 0 or self.leading_elu else h
            h = F.conv2d(h, conv.normalised(0), conv.bias, padding=conv.kernel // 2)
        return h

    # weights: None for the official code's form
    def inverse(self, y, weights, steps):
        z = y
        for _ in range(steps):
            if weights is None:
                z = y - self.official_residual(z)
            else:
                g = self.residual(z, weights)
                z = torch.sub(y, g, out=g)
        x = (z - self.shift[:, None, None]) * torch.exp(-self.log_scale)[:, None, None]
        return unsqueeze(x) if self.squeezes else x


class Chain(torch.nn.Module):
    """What networks of blocks share."""

    def __init__(self, blocks):
        super().__init__()
        self.blocks, self.nhwc = torch.nn.ModuleList(blocks), False

    def use_channels_last(self, nhwc):
        self.nhwc = nhwc
        layout = torch.channels_last if nhwc else torch.contiguous_format
        for tensor in list(self.parameters()) + list(self.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.data.contiguous(memory_format=layout)
        return self

    def weights(self, iterations=0):
        return [[conv.normalised(iterations) for conv in block.convs] for block in self.blocks]

    def flop_forward(self, batch):
        """Multiplications and additions of the convolutions alone."""
        return batch * sum(conv.flop_per_pixel * block.size ** 2 for block in self.blocks for conv in block.convs)


class Classifier(Chain):
    """config: the golden models' keys. iterate_before_squeeze: the official code's map size for stride-2 blocks."""

    def __init__(self, config, iterate_before_squeeze=False):
        channels, size, _ = config["in_shape"]
        init_squeeze = config["init_ds"] == 2
        if init_squeeze:
            channels, size = 4 * channels, size // 2
        channels += config["inj_pad"]
        blocks = []
        for count, stride, hidden in zip(config["nBlocks"], config["nStrides"], config["nChannels"]):
            for i in range(count):
                squeezes, iteration_size = stride == 2 and i == 0, size
                if squeezes:
                    channels, size = 4 * channels, size // 2
                blocks.append(Block(channels, hidden, size, iteration_size if iterate_before_squeeze else size, squeezes,
                                    bool(blocks), config["coeff"], config["eps"]))
        super().__init__(blocks)
        self.init_squeeze, self.inj_pad = init_squeeze, config["inj_pad"]
        self.norm = torch.nn.BatchNorm2d(channels, momentum=0.9)
        self.logits = torch.nn.Linear(channels, config["nClasses"])

    def features(self, x, weights):
        if self.init_squeeze:
            x = squeeze(x, self.nhwc)
        x = F.pad(x, (0, 0, 0, 0, 0, self.inj_pad)) if self.inj_pad else x
        x = x.contiguous(memory_format=torch.channels_last) if self.nhwc else x
        for block, w in zip(self.blocks, weights):
            x = block(x, w, self.nhwc)
        return x

    def head(self, z):
        return self.logits(F.relu_(self.norm(z)).mean((2, 3)))

    def forward(self, x, iterations=0):
        return self.head(self.features(x, self.weights(iterations)))

    def inverse(self, z, weights, steps):
        for block, w in zip(reversed(self.blocks), reversed(weights or [None] * len(self.blocks))):
            z = block.inverse(z, w, steps)
        z = z[:, :z.shape[1] - self.inj_pad]
        return unsqueeze(z) if self.init_squeeze else z


def train_step(network, optimiser, x, labels):
    optimiser.zero_grad(set_to_none=True)
    loss = F.cross_entropy(network(x, iterations=1), labels)
    loss.backward()
    optimiser.step()
    return loss.item()


def sgd(network, rate):
    return torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4, foreach=True)


def timed(function, repeats, warm_up=1):
    for _ in range(warm_up):
        function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


def report(what, seconds, flop=None, **more):
    row = {"what": what, "seconds_min": min(seconds), "seconds_median": statistics.median(seconds)}
    if flop:
        row["gflops"] = flop / min(seconds) / 1e9
    row.update(more, threads=torch.get_num_threads(), torch=torch.__version__)
    print(json.dumps({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}), flush=True)


def layouts(args):
    return {"both": [False, True], "nchw": [False], "nhwc": [True]}[args.layout]


# Times work(nhwc, **form) -> (function, flop, extra keys) in each layout asked for and each form given: reports the fastest.
def report_faster_layout(what, args, work, forms=({},)):
    best = None
    for form, nhwc in itertools.product(forms, layouts(args)):
        function, flop, more = work(nhwc, **form)
        seconds = timed(function, args.repeats, args.warm_up)
        layout = "nhwc" if nhwc else "nchw"
        print(" ".join([f"{what}:", layout, *form.values(), f"{min(seconds):.3f} s"]), file=sys.stderr)
        if best is None or min(seconds) < min(best[0]):
            best = (seconds, flop, dict(more() if callable(more) else more, layout=layout, **form))
    report(what, best[0], best[1], **best[2])


def make_case(args, nhwc):
    torch.manual_seed(1)
    config = dict(PRESET_COMMON, **PRESETS[args.preset])
    network = Classifier(config).use_channels_last(nhwc)
    x = torch.randn(args.batch, *config["in_shape"])
    labels = torch.randint(config["nClasses"], (args.batch,))
    return network, x, labels, {"preset": args.preset, "batch": args.batch}


def command_step(args):
    def work(nhwc):
        network, x, labels, keys = make_case(args, nhwc)
        optimiser, losses = sgd(network.train(), 0.01), []
        # backward takes two convolutions for each of forward's: the gradients of its input and of its weight
        return (lambda: losses.append(train_step(network, optimiser, x, labels)), 3 * network.flop_forward(args.batch),
                lambda: dict(keys, loss_first=losses[0], loss_last=losses[-1]))
    report_faster_layout("step", args, work)


def command_forward(args):
    def evaluation(nhwc):
        network, x, _, keys = make_case(args, nhwc)
        with torch.inference_mode():
            weights = network.eval().weights()

        @torch.inference_mode()
        def run():
            network.head(network.features(x, weights))
        return run, network.flop_forward(args.batch), keys

    def training(nhwc):
        network, x, labels, keys = make_case(args, nhwc)
        network.train()
        return (lambda: F.cross_entropy(network(x, iterations=1), labels).item(), network.flop_forward(args.batch), keys)

    def iteration(nhwc):
        network, _, _, keys = make_case(args, nhwc)
        return torch.no_grad()(lambda: network.weights(iterations=1)), None, keys
    report_faster_layout("forward", args, evaluation)
    report_faster_layout("forward_train", args, training)
    report_faster_layout("power_iteration", args, iteration)


def command_inverse(args):
    def work(nhwc, form):
        network, x, _, keys = make_case(args, nhwc)
        result = {}
        with torch.inference_mode():
            # a few iterations, so that the weights are as contractive as training would have them
            for _ in range(5):
                weights = network.eval().weights(iterations=1)
            z = network.features(x, weights)

        @torch.inference_mode()
        def run():
            result["x"] = network.inverse(z, weights if form == "rewritten" else None, args.steps)
        return (run, args.steps * network.flop_forward(args.batch),
                lambda: dict(keys, steps=args.steps, error_max=(result["x"] - x).abs().max().item()))
    report_faster_layout("inverse", args, work, [{"form": args.form}])


def openblas():
    """The OpenBLAS mapped into this process, by its own account, or None."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        paths = sorted({line.split()[-1] for line in maps if "blas" in line.rsplit("/", 1)[-1]})
    for path in paths:
        try:
            library = ctypes.CDLL(path)
            library.openblas_get_corename.restype = ctypes.c_char_p
            library.openblas_get_config.restype = ctypes.c_char_p
            return {"library": path, "kernels": library.openblas_get_corename().decode(),
                    "config": library.openblas_get_config().decode(), "blas_threads": library.openblas_get_num_threads()}
        except (OSError, AttributeError):
            continue
    print(f"gemm: no OpenBLAS among {paths}", file=sys.stderr)
    return None


# OpenBLAS chooses its kernels when it loads, so each choice needs a process of its own.
def command_gemm(args):
    if args.coretype is None:
        choices = ["", "SkylakeX"] if "avx512f" in cpu_flags() else [""]
        for coretype in choices:
            environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
            environment.update({"OPENBLAS_CORETYPE": coretype} if coretype else {})
            subprocess.run([sys.executable, os.path.abspath(__file__), "gemm", "--n", str(args.n), "--repeats",
                            str(args.repeats), "--coretype", coretype or "default"], env=environment, check=True)
        return
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((args.n, args.n), dtype=np.float32) for _ in range(2))
    c = np.empty_like(a)
    seconds = timed(lambda: np.matmul(a, b, out=c), max(args.repeats, 5), args.warm_up)
    report("gemm", seconds, 2 * args.n ** 3, n=args.n, coretype=os.environ.get("OPENBLAS_CORETYPE", "default"),
           blas=openblas() or "not OpenBLAS")


def command_conv(args):
    for batch, size, channels in CONV_SHAPES:
        def work(nhwc):
            layout = torch.channels_last if nhwc else torch.contiguous_format
            x = torch.randn(batch, channels, size, size).contiguous(memory_format=layout)
            w = torch.randn(channels, channels, 3, 3).contiguous(memory_format=layout)
            b = torch.randn(channels)
            run = torch.inference_mode()(lambda: F.conv2d(x, w, b, padding=1))
            return run, 18 * batch * (size * channels) ** 2, {"batch": batch, "map": size, "channels": channels}
        report_faster_layout("conv", args, work)


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    types = {"F64": np.float64, "F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[start:end], types[entry["dtype"]]).reshape(entry["shape"]).copy()
        tensors[name] = torch.from_numpy(array)
    return tensors, metadata


# The official code counts activations as modules.
def add_golden_block(prefix, block, names, buffers):
    names[f"{prefix}.actnorm._log_scale"] = block.log_scale
    names[f"{prefix}.actnorm._shift"] = block.shift
    for i, conv in enumerate(block.convs):
        stem = f"{prefix}.bottleneck_block.{2 * i + block.leading_elu}"
        names[f"{stem}.weight_orig"], names[f"{stem}.bias"] = conv.weight, conv.bias
        buffers[f"{stem}.weight_u"], buffers[f"{stem}.weight_v"] = conv.u, conv.v


def golden_names(network):
    """Golden parameter or buffer name -> this network's tensor."""
    names = {"bn1.weight": network.norm.weight, "bn1.bias": network.norm.bias, "logits.weight": network.logits.weight,
             "logits.bias": network.logits.bias}
    buffers = {"bn1.running_mean": network.norm.running_mean, "bn1.running_var": network.norm.running_var}
    for b, block in enumerate(network.blocks):
        add_golden_block(f"stack.{b}", block, names, buffers)
    return names, buffers


def check_model(network, golden, names, errors):
    x = golden["input.x"].requires_grad_()
    with torch.no_grad():
        weights = network.eval().weights()
        z = network.features(x, weights)
        errors["logits_eval"] = network.head(z.clone()), golden["expect.logits_eval"]
        errors["z"] = z, golden["expect.z.0"]
        for form, w in (("rewritten", weights), ("official", None)):
            errors[f"inverse, {form}"] = (network.inverse(golden["expect.z.0"], w, 60),
                                          golden["expect.x_from_z_60_iterations"])
    logits = network.train()(x)
    loss = F.cross_entropy(logits, golden["input.labels"])
    loss.backward()
    errors["logits_train"] = logits, golden["expect.logits_train"]
    errors["loss_train"] = loss.reshape(1), golden["expect.loss_train"]
    errors["grad.x"] = x.grad, golden["expect.grad.x"]
    for name, parameter in names.items():
        errors["grad." + name] = parameter.grad, golden["expect.grad." + name]


def check_training(network, golden, metadata, errors):
    rate = json.loads(metadata["hyperparameters"])["lr"]
    optimiser = sgd(network.train(), rate)
    losses = [train_step(network, optimiser, x, y) for x, y in zip(golden["input.x"], golden["input.labels"])]
    errors["losses"] = torch.tensor(losses), golden["expect.losses"]
    names, buffers = golden_names(network)
    for name, tensor in {**names, **buffers}.items():
        errors["final." + name] = tensor, golden["expect.final." + name]


def load_golden(names, golden):
    for name, tensor in names.items():
        tensor.data.copy_(golden[name].reshape(tensor.shape))


# pairs: name -> (got, want)
def report_check(args, path, pairs, seconds, **more):
    errors = {}
    for name, (got, want) in pairs.items():
        want = want.reshape(got.shape)
        # a bias right before the batch norm has gradient 0: hence a floor
        errors[name] = ((got - want).abs().max() / want.abs().max().clamp_min(1e-3)).item()
    # NaN counts as the worst
    worst = max(errors, key=lambda name: math.inf if math.isnan(errors[name]) else errors[name])
    passed = all(error <= args.tolerance for error in errors.values())
    report("check", [seconds], golden=os.path.basename(path), **more, passed=passed, compared=len(errors), worst=worst,
           worst_relative_error=f"{errors[worst]:.2e}")
    return passed


def command_check(args):
    torch.set_default_dtype(torch.float64)
    status = 0
    for path in args.golden:
        golden, metadata = read_safetensors(path)
        for nhwc in layouts(args):
            network = Classifier(json.loads(metadata["config"]), iterate_before_squeeze=True)
            names, buffers = golden_names(network)
            load_golden({**names, **buffers}, golden)
            network.use_channels_last(nhwc)
            pairs = {}
            start = time.perf_counter()
            if "expect.losses" in golden:
                check_training(network, golden, metadata, pairs)
            else:
                check_model(network, {k: v.clone() for k, v in golden.items()}, names, pairs)
            seconds = time.perf_counter() - start
            status |= not report_check(args, path, pairs, seconds, layout="nhwc" if nhwc else "nchw")
    return status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--repeats", type=int, default=3)
    common.add_argument("--warm-up", type=int, default=1)
    common.add_argument("--layout", choices=["both", "nchw", "nhwc"], default="both", help="both: report the faster one")
    case = argparse.ArgumentParser(add_help=False, parents=[common])
    case.add_argument("--preset", choices=sorted(PRESETS), default="cifar10")
    case.add_argument("--batch", type=int, default=128)
    commands.add_parser("step", parents=[case], help="one training step").set_defaults(run=command_step)
    commands.add_parser("forward", parents=[case], help="evaluation; and the forward half of a training step"
                        ).set_defaults(run=command_forward)
    inverse = commands.add_parser("inverse", parents=[case], help="the whole network's inverse")
    inverse.add_argument("--steps", type=int, default=20, help="fixed-point iterations a block")
    inverse.add_argument("--form", choices=["official", "rewritten"], default="rewritten",
                         help="official: weights are normalised at every call of g; rewritten: once, and g works in place")
    inverse.set_defaults(run=command_inverse)
    gemm = commands.add_parser("gemm", parents=[common], help="NumPy's SGEMM")
    gemm.add_argument("--n", type=int, default=2048)
    gemm.add_argument("--coretype", help=argparse.SUPPRESS)
    gemm.set_defaults(run=command_gemm)
    commands.add_parser("conv", parents=[common], help="conv2d alone").set_defaults(run=command_conv)
    check = commands.add_parser("check", parents=[common], help="compare with golden classifiers, float64")
    check.add_argument("golden", nargs="+", help="model-classify*.safetensors or training-classify-sgd.safetensors")
    check.add_argument("--tolerance", type=float, default=1e-10,
                       help="relative to each tensor's largest element, or 1e-3 if that is smaller")
    check.set_defaults(run=command_check)
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    return args.run(args) or 0


if __name__ == "__main__":
    sys.exit(main())
