"""One training on several processes: ``torchrun --nproc-per-node N -m semlib.morphology.train ...``.

Each process (rank) takes its part of every batch. Normalisation statistics and the loss are those of the whole batch,
so that N processes do what one process does with the same batch size, but for the order of additions. Random changes of
the images (`semlib.morphology.augment`) are drawn by each process for its own part.
"""

import os
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Team:
    """The processes of one training, this one being number `rank` of `size`; one alone without torchrun."""

    rank: int = 0
    size: int = 1

    def share(self, rows):
        """The part of a batch's rows that is this process's."""
        return np.array_split(rows, self.size)[self.rank]

    def join(self, count):
        """A function that makes the whole batch (count, D) of every process's part (n, D), with gradients.

        Parts are padded with zeros and added, so that they may differ in length. Each process computes the same loss
        from the whole batch; the gradient that comes back to a part is the sum over processes, which
        `DistributedDataParallel` divides by their number: the gradient of the loss.
        """
        if self.size == 1:
            return lambda part: part
        lengths = [len(part) for part in np.array_split(range(count), self.size)]
        before, after = sum(lengths[: self.rank]), sum(lengths[self.rank + 1 :])
        return lambda part: _Sum.apply(functional.pad(part, (0, 0, before, after)))

    def synchronise(self, module):
        """Replace each batch normalisation in a module by a synchronised one with the same weights, in place."""
        if self.size > 1:
            for parent in list(module.modules()):
                for name, child in parent.named_children():
                    if isinstance(child, nn.modules.batchnorm._BatchNorm):
                        setattr(parent, name, SyncNorm.like(child))
        return module

    def parallel(self, module):
        """The module with gradients averaged over the processes."""
        return (
            module if self.size == 1 else DistributedDataParallel(module, broadcast_buffers=False)
        )


class _Sum(torch.autograd.Function):
    """Sum over all processes, forwards and backwards."""

    @staticmethod
    def forward(context, values):
        whole = values.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(context, gradient):
        return _Sum.forward(context, gradient)


class SyncNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation (N, C, ...) with mean and variance over all processes, on the CPU, too.

    Our own, as torch's SyncBatchNorm needs a GPU. Weights, running statistics and names are those of BatchNorm; parts
    of a batch may differ in size and be empty.
    """

    @classmethod
    def like(cls, other):
        """A copy of another batch normalisation, with the same parameters."""
        made = cls(other.num_features, other.eps, other.momentum).to(other.weight.device)
        made.load_state_dict(other.state_dict())
        for mine, theirs in zip(made.parameters(), other.parameters(), strict=True):
            mine.requires_grad_(theirs.requires_grad)
        return made.train(other.training)

    def _check_input_dim(self, values):
        pass

    def forward(self, values):
        if not self.training:
            return super().forward(values)
        x = values.float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        ones = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        count = x.new_full((1,), x.numel() // x.shape[1])
        total = _Sum.apply(torch.cat([x.sum(axes), count]))
        mean, count = total[:-1] / total[-1], total[-1]
        centred = x - mean.view(ones)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(ones) + self.bias.view(ones)).to(values.dtype)


@contextmanager
def team():
    """The `Team` of this process by torchrun's environment variables; NCCL on GPUs, gloo on CPUs."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Team()
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def main(arguments=None):
    """Train on the levels of a data set, as notebook 04 does; see ``--help``."""
    import click

    from semlib import paths
    from semlib.images import datasets
    from semlib.morphology.train import train

    @click.command()
    @click.argument("dataset", default="synthetic")
    @click.option("--method", default="paper", show_default=True, help="paper or ours.")
    @click.option("--seed", default=0, show_default=True)
    @click.option("--epochs", default=15, show_default=True)
    @click.option(
        "--batch-size", default=32, show_default=True, help="Images a step, over all processes."
    )
    @click.option("--learning-rate", default=1e-3, show_default=True)
    @click.option("--pairs", default="all", show_default=True, help="all, adjacent or to-finest.")
    def command(dataset, method, seed, **settings):
        """Train the encoder on the image pyramid of DATASET (notebooks 01 to 03 make it).

        \b
        python -m semlib.morphology.train carinthia
        torchrun --nproc-per-node 8 -m semlib.morphology.train carinthia --batch-size 256
        """
        where = paths.of(dataset)
        if missing := [where.level(k) for k in range(3) if not where.level(k).exists()]:
            raise click.UsageError(f"{missing[0]} is missing: run notebooks 01 to 03 for {dataset}")
        levels = [np.load(where.level(k), mmap_mode="r") for k in range(3)]
        with team() as processes:
            settings |= {
                "labels": datasets.labels(dataset),
                "progress": processes.rank == 0,
                "team": processes,
            }
            train(levels, where.ssl(seed, method), method=method, seed=seed, **settings)

    command(arguments)
