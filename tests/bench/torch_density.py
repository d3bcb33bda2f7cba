#!/usr/bin/python3
"""The generative i-ResNet in PyTorch on the CPU: the yardstick for this library's density training.

The networks are those of the official code: multi-scale, where at the end of each scale but the last the first half of
the channels becomes latent and the second half goes on, or of one scale. Assumptions, output and exit status: see
torch_reference.py.

A training step is timed in two forms; each is reported by itself, or with --form both the faster one. `autograd` takes
the vector-Jacobian products by torch.autograd.grad, as the official code does, so that their gradient is autograd's
double backward; `explicit` writes them as convolutions by the transposed weights, so that their gradient is an ordinary
backward pass.
"""
import argparse
import gzip
import itertools
import json
import math
import os
import sys
import time

from torch_environment import THREADS, restart_tuned

if __name__ == "__main__":
    restart_tuned()

import torch  # noqa: E402  (after the environment is settled)
import torch.nn.functional as F  # noqa: E402

from torch_reference import (Block, Chain, add_golden_block, layouts, load_golden, read_safetensors, report,  # noqa: E402
                             report_check, report_faster_layout, squeeze, transpose)

CASES = {
    "a": {"in_shape": [3, 32, 32], "nBlocks": [4, 4, 4], "nStrides": [2, 2, 2], "channels": 64, "batch": 32, "terms": 5,
          "power_iterations": 5},
    "b": {"in_shape": [1, 28, 28], "nBlocks": [4, 4], "nStrides": [2, 2], "channels": 32, "batch": 64, "terms": 5,
          "power_iterations": 1},
}
CURVE = {"in_shape": [1, 28, 28], "nBlocks": [6, 6], "nStrides": [2, 2], "channels": 48, "batch": 64, "terms": 5,
         "power_iterations": 5}
RATE = 0.004
CURVE_LINE = 50  # steps
TEST_IMAGES = 1000


# w -> J^T w for the Jacobian J of g at z
def vjp_autograd(g, z, _weights, _activations):
    return lambda w: torch.autograd.grad(g, z, w, retain_graph=True, create_graph=torch.is_grad_enabled())[0]


def vjp_explicit(_g, _z, weights, activations):
    transposed = [transpose(w) for w in weights]
    # of ELU, by its values > -1; hardtanh goes backward faster than clamp
    slopes = [F.hardtanh(h, -2, 0).add_(1) for h in activations]

    def vjp(w):
        for weight, slope in itertools.zip_longest(reversed(transposed), reversed(slopes)):
            w = F.conv2d(w, weight, padding=weight.shape[2] // 2)
            w = w if slope is None else w * slope
        return w
    return vjp


FORMS = {"autograd": vjp_autograd, "explicit": vjp_explicit}


def dot(a, b):
    return (a * b).flatten(1).sum(1)


# sum_k (-1)^(k+1)/k <(J^T)^k v, v>
def series(vjp, probe, terms):
    w, total = probe, torch.zeros_like(probe)
    for k in range(1, terms + 1):
        w = vjp(w)
        total = torch.add(total, w, alpha=(-1) ** (k + 1) / k)
    return dot(total, probe)


# The value of the series with the gradient of <J^T a, v>, a = sum_(k < n) (-1)^k (J^T)^k v constant (Chen et al. 2019).
# J^T a = sum_(1 <= k <= n) (-1)^(k+1) (J^T)^k v holds the last term, which therefore needs no product of its own.
def neumann(vjp, probe, terms):
    with torch.no_grad():
        w, a, total = probe, probe.clone(), torch.zeros_like(probe)
        for k in range(1, terms):
            w = vjp(w)
            a.add_(w, alpha=(-1) ** k)
            total.add_(w, alpha=(-1) ** (k + 1) * (1 / k - 1 / terms))
    surrogate = dot(vjp(a), probe)
    return surrogate + (dot(total, probe) + surrogate / terms - surrogate).detach()


METHODS = {"series": series, "neumann": neumann}


class DensityBlock(Block):
    initialises = False

    # zero mean and unit variance in each channel of this batch
    def initialise(self, x):
        variance, mean = torch.var_mean(x, (0, 2, 3), unbiased=False)
        self.log_scale.data = -0.5 * torch.log(variance + 1e-6)
        self.shift.data = -mean * self.log_scale.exp()
        self.initialises = False

    # logdet(g, z, weights, activations): of I + dg/dz, per sample
    def forward(self, x, weights, nhwc, logdet):
        x = squeeze(x, nhwc) if self.squeezes else x
        if self.initialises:
            self.initialise(x)
        z, activations = self.actnorm(x), []
        g = self.residual(z, weights, activations.append)
        total = logdet(g, z, weights, activations) + self.size ** 2 * self.log_scale.sum()
        return g.add_(z), total


class Flow(Chain):
    """config: the golden models' keys."""

    def __init__(self, config):
        channels, size, _ = config["in_shape"]
        blocks, paths, splits, dimensions = [], [], set(), channels * size ** 2
        stages = list(zip(config["nBlocks"], config["nStrides"], config["nChannels"]))
        for scale, (count, stride, hidden) in enumerate(stages):
            for i in range(count):
                squeezes, iteration_size = stride == 2 and i == 0, size
                if squeezes:
                    channels, size = 4 * channels, size // 2
                # single-scale: the official code's map size
                blocks.append(DensityBlock(channels, hidden, size, size if config["multiscale"] else iteration_size, squeezes,
                                           bool(blocks), config["coeff"], config["eps"]))
                paths.append(f"stack.{scale}.stack.{i}" if config["multiscale"] else f"stack.{len(paths)}")
            if config["multiscale"] and scale + 1 < len(stages):
                splits.add(len(blocks) - 1)
                channels //= 2
        super().__init__(blocks)
        self.paths, self.splits, self.dimensions = paths, splits, dimensions
        self.mean = torch.nn.Parameter(torch.zeros(dimensions))
        self.log_std = torch.nn.Parameter(torch.zeros(dimensions))

    # logdet as a block takes it, with the block's number before. -> latents, scale by scale, and log-determinants
    def latents(self, x, weights, logdet):
        x = x.contiguous(memory_format=torch.channels_last) if self.nhwc else x
        total, z = 0, []
        for b, (block, w) in enumerate(zip(self.blocks, weights)):
            x, one = block(x, w, self.nhwc, lambda *residual: logdet(b, *residual))
            total = total + one
            if b in self.splits:
                latent, x = x.chunk(2, 1)
                z.append(latent)
        return z + [x], total

    def log_prior(self, z):
        z = torch.cat([latent.flatten(1) for latent in z], 1)
        standard = (z - self.mean) * torch.exp(-self.log_std)
        return -0.5 * (standard * standard).sum(1) - self.log_std.sum() - 0.5 * self.dimensions * math.log(2 * math.pi)

    # of 8-bit data scaled to [-0.5, 0.5], per sample
    def bits_per_dimension(self, log_density):
        return 8 - log_density / (self.dimensions * math.log(2))

    def initialise_actnorm(self, x):
        for block in self.blocks:
            block.initialises = True
        with torch.no_grad():
            self.latents(x, self.weights(), lambda *_: 0)


# In z's layout. randn_like would draw a channels-last tensor number by number.
def draw_probe(z):
    if z.is_contiguous():
        return torch.randn(z.shape)
    n, c, h, w = z.shape
    return torch.randn(n, h, w, c).permute(0, 3, 1, 2)


# The estimator of Flow.latents. probes: one a block; None: drawn
def estimator(method, form, terms, probes=None):
    def logdet(b, g, z, weights, activations):
        probe = draw_probe(z) if probes is None else probes[b]
        return METHODS[method](FORMS[form](g, z, weights, activations), probe, terms)
    return logdet


def train_step(flow, optimiser, x, iterations, logdet):
    optimiser.zero_grad(set_to_none=True)
    z, total = flow.latents(x, flow.weights(iterations), logdet)
    loss = flow.bits_per_dimension(flow.log_prior(z) + total).mean()
    loss.backward()
    optimiser.step()
    return loss.item()


def adamax(flow):
    return torch.optim.Adamax(flow.parameters(), lr=RATE, foreach=True)


def make_flow(case, multiscale):
    return Flow({"in_shape": case["in_shape"], "nBlocks": case["nBlocks"], "nStrides": case["nStrides"],
                 "nChannels": [case["channels"]] * len(case["nBlocks"]), "coeff": 0.9, "eps": 0.0, "multiscale": multiscale})


# of the convolutions: g and n products forward, then the gradients of each by its input and by its weights
def flop_step(flow, case, method):
    differentiated, forward = (case["terms"], 0) if method == "series" else (1, case["terms"] - 1)
    return flow.flop_forward(case["batch"]) * (3 * (1 + differentiated) + forward)


def command_step(args):
    overrides = {"nBlocks": args.blocks, "nStrides": args.strides, "channels": args.channels, "batch": args.batch,
                 "terms": args.terms, "power_iterations": args.power_iterations}
    case = dict(CASES[args.case], **{key: value for key, value in overrides.items() if value is not None})
    if len(case["nBlocks"]) != len(case["nStrides"]):
        print(f"step: {len(case['nBlocks'])} stages of blocks, but {len(case['nStrides'])} strides", file=sys.stderr)
        return 2

    def work(nhwc, form):
        torch.manual_seed(1)
        flow = make_flow(case, not args.single_scale).use_channels_last(nhwc)
        x = torch.rand(case["batch"], *case["in_shape"]) - 0.5
        flow.initialise_actnorm(x)
        optimiser, logdet, losses = adamax(flow), estimator(args.method, form, case["terms"]), []
        return (lambda: losses.append(train_step(flow, optimiser, x, case["power_iterations"], logdet)),
                flop_step(flow, case, args.method),
                lambda: dict(case, case=args.case, multiscale=not args.single_scale, method=args.method,
                             loss_first=losses[0], loss_last=losses[-1]))
    forms = [{"form": form} for form in (sorted(FORMS) if args.form == "both" else [args.form])]
    return report_faster_layout("density step", args, work, forms)


def read_images(directory, stem):
    with gzip.open(os.path.join(directory, stem + "-images-idx3-ubyte.gz")) as file:
        data = bytearray(file.read())
    count, height, width = (int.from_bytes(data[4 * i:4 * i + 4], "big") for i in (1, 2, 3))
    return torch.frombuffer(data, dtype=torch.uint8, offset=16).reshape(count, 1, height, width)


def dequantised(images):
    return (images + torch.rand(images.shape)) / 256 - 0.5


@torch.no_grad()
def evaluate(flow, images, batch, terms):
    weights, logdet = flow.weights(), estimator("series", "explicit", terms)
    bits = []
    for chunk in images.split(batch):
        z, total = flow.latents(dequantised(chunk), weights, logdet)
        bits.append(flow.bits_per_dimension(flow.log_prior(z) + total))
    return torch.cat(bits).mean().item()


def command_curve(args):
    torch.manual_seed(args.seed)
    train, test = (read_images(args.data, stem) for stem in ("train", "t10k"))
    flow = make_flow(CURVE, True).use_channels_last(args.layout == "nhwc")
    optimiser, logdet = adamax(flow), estimator(args.method, args.form, CURVE["terms"])
    losses, start, step, end = [], time.perf_counter(), 0, 60 * args.minutes
    order = iter(())
    while time.perf_counter() - start < end:
        chosen = next(order, None)
        if chosen is None:
            # whole batches only
            order = iter(torch.randperm(len(train))[:len(train) // CURVE["batch"] * CURVE["batch"]].split(CURVE["batch"]))
            chosen = next(order)
        x = dequantised(train[chosen])
        if step == 0:
            flow.initialise_actnorm(x)
        losses.append(train_step(flow, optimiser, x, CURVE["power_iterations"], logdet))
        step += 1
        if step % CURVE_LINE == 0:
            print(json.dumps({"what": "curve", "step": step, "seconds": round(time.perf_counter() - start, 3),
                              "core_seconds": round(time.process_time(), 3),
                              "bits_per_dimension": round(sum(losses) / len(losses), 6)}), flush=True)
            losses.clear()
    seconds, images = time.perf_counter() - start, test[:TEST_IMAGES]
    report("curve test", [seconds], **CURVE, steps=step, method=args.method, form=args.form, layout=args.layout,
           seed=args.seed, images=len(images), test_bits_per_dimension=evaluate(flow, images, CURVE["batch"], CURVE["terms"]),
           test_terms=args.test_terms,
           test_bits_per_dimension_terms=evaluate(flow, images, CURVE["batch"], args.test_terms))


def golden_names(flow):
    names, buffers = {"prior_mu": flow.mean, "prior_logstd": flow.log_std}, {}
    for path, block in zip(flow.paths, flow.blocks):
        add_golden_block(path, block, names, buffers)
    return names, buffers


def golden_probes(golden, prefix, count):
    return [golden[f"{prefix}.{b}"][:, 0] for b in range(count)]


def check_model(flow, golden, metadata, names, form, errors):
    x = golden["input.x"].clone().requires_grad_()
    probes, terms = golden_probes(golden, "input.noise", len(flow.blocks)), int(metadata["terms"])
    z, logdet = flow.latents(x, flow.weights(), estimator("series", form, terms, probes))
    prior = flow.log_prior(z)
    bits = flow.bits_per_dimension(prior + logdet)
    bits.mean().backward()
    for scale, latent in enumerate(z):
        errors[f"z.{scale}"] = latent, golden[f"expect.z.{scale}"]
    errors["logpz"], errors["logdet"] = (prior, golden["expect.logpz"]), (logdet, golden["expect.logdet_series"])
    errors["bits_per_dim"] = bits, golden["expect.bits_per_dim"]
    errors["grad.x"] = x.grad, golden["expect.grad.x"]
    for name, parameter in names.items():
        errors["grad." + name] = parameter.grad, golden["expect.grad." + name]
    # the same value by the other method
    other = flow.latents(x, flow.weights(), estimator("neumann", form, terms, probes))[1]
    errors["logdet_neumann"] = other, golden["expect.logdet_series"]


def check_training(flow, golden, metadata, form, errors):
    rate, terms = json.loads(metadata["hyperparameters"])["lr"], int(metadata["terms"])
    optimiser, losses = torch.optim.Adam(flow.parameters(), lr=rate, foreach=True), []
    for step, x in enumerate(golden["input.x"]):
        logdet = estimator("series", form, terms, golden_probes(golden, f"input.noise.{step}", len(flow.blocks)))
        losses.append(train_step(flow, optimiser, x, int(metadata["power_iterations_per_step"]), logdet))
    errors["losses"] = torch.tensor(losses), golden["expect.losses"]
    names, buffers = golden_names(flow)
    for name, tensor in {**names, **buffers}.items():
        errors["final." + name] = tensor, golden["expect.final." + name]


def command_check(args):
    torch.set_default_dtype(torch.float64)
    status = 0
    for path, nhwc, form in itertools.product(args.golden, layouts(args), sorted(FORMS)):
        golden, metadata = read_safetensors(path)
        flow = Flow(json.loads(metadata["config"]))
        names, buffers = golden_names(flow)
        load_golden({**names, **buffers}, golden)
        flow.use_channels_last(nhwc)
        pairs, start = {}, time.perf_counter()
        if "expect.losses" in golden:
            check_training(flow, golden, metadata, form, pairs)
        else:
            check_model(flow, golden, metadata, names, form, pairs)
        status |= not report_check(args, path, pairs, time.perf_counter() - start, layout="nhwc" if nhwc else "nchw", form=form)
    return status


def integers(text):
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--layout", choices=["both", "nchw", "nhwc"], default="both", help="both: report the faster one")
    step = commands.add_parser("step", parents=[common], help="one training step")
    step.add_argument("--case", choices=sorted(CASES), default="a")
    step.add_argument("--method", choices=sorted(METHODS), default="series")
    step.add_argument("--form", choices=["both", *sorted(FORMS)], default="both")
    step.add_argument("--blocks", type=integers, metavar="N,...")
    step.add_argument("--strides", type=integers, metavar="N,...")
    for option in ("--channels", "--batch", "--terms", "--power-iterations"):
        step.add_argument(option, type=int)
    step.add_argument("--single-scale", action="store_true")
    step.add_argument("--repeats", type=int, default=5)
    step.add_argument("--warm-up", type=int, default=2)
    step.set_defaults(run=command_step)
    curve = commands.add_parser("curve", help="train on MNIST for a while")
    curve.add_argument("--minutes", type=float, required=True)
    curve.add_argument("--data", required=True, metavar="DIR", help="the four IDX files, .gz")
    curve.add_argument("--method", choices=sorted(METHODS), default="series")
    curve.add_argument("--form", choices=sorted(FORMS), default="explicit")
    curve.add_argument("--layout", choices=["nchw", "nhwc"], default="nhwc")
    curve.add_argument("--test-terms", type=int, default=20, help="of a second, less biased test")
    curve.add_argument("--seed", type=int, default=1)
    curve.set_defaults(run=command_curve)
    check = commands.add_parser("check", parents=[common], help="compare with golden density models, float64")
    check.add_argument("golden", nargs="+", help="model-density*.safetensors or training-density-adam.safetensors")
    check.add_argument("--tolerance", type=float, default=1e-10,
                       help="relative to each tensor's largest element, or 1e-3 if that is smaller")
    check.set_defaults(run=command_check)
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    return args.run(args) or 0


if __name__ == "__main__":
    sys.exit(main())
