"""The command of the bench: measure, print a table, write ``figures/bench.json``."""

import json
import sys
from pathlib import Path

import click
from tqdm import tqdm

from semlib import paths
from semlib.bench import machine, process, table
from semlib.bench.stages import COUNTS, STAGES

NAMES = click.Choice(list(STAGES))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only",
    multiple=True,
    type=NAMES,
    metavar="STAGE",
    help=f"One of {', '.join(STAGES)}; repeatable.",
)
@click.option(
    "--growth/--no-growth", default=True, show_default=True, help="Also cost and memory over N."
)
@click.option(
    "--profile",
    "profiled",
    type=NAMES,
    metavar="STAGE",
    help="Show what limits a stage, and nothing else.",
)
@click.option(
    "--gpu",
    "on_gpu",
    is_flag=True,
    help="Measure training and embedding on this machine's GPU instead.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: figures/bench.json, or bench-gpu.json."
)
def main(only, growth, profiled, on_gpu, out):
    """Measure each fast path beside its plain reference; exit code 1 if values differ.

    What is measured is written after each stage. With --only, the other stages of the file stay.
    """
    if profiled:
        from semlib.bench.profile import profile

        click.echo(profile(STAGES[profiled]))
        return
    out = out or paths.figures_root() / ("bench-gpu.json" if on_gpu else "bench.json")
    if on_gpu:
        _gpu(out)
        return
    found = bench(only, out, growth=growth)
    click.echo(table.rows(found["stages"]))
    if found["growth"]:
        click.echo("\n" + table.growth(found["growth"]))
    sys.exit(int(not all(row["equal"] for row in found["stages"].values())))


def bench(only, out, *, growth=True):
    """Measure the stages named in `only`, or all usual ones; returns and writes what ``bench.json`` holds.

    Parameters
    ----------
    only : sequence of str
        Keys of `semlib.bench.stages.STAGES`.
    out : Path
        Written after each stage. With `only`, what else it holds stays.
    growth : bool
        Also cost and memory over `COUNTS`.
    """
    kept = json.loads(out.read_text()) if only and out.exists() else {"stages": {}, "growth": {}}
    found = kept | {"machine": machine.facts(), "peaks": machine.peaks()}
    names = [name for name in STAGES if (name in only if only else STAGES[name].usual)]
    followed = [name for name in names if growth and STAGES[name].growth is not None]
    with tqdm(total=len(names) + len(followed), desc="bench", unit="stage") as bar:
        for name in names:
            bar.set_postfix_str(name)
            stage = STAGES[name]
            row = process.compare(
                stage.make, stage.options, fresh=stage.fresh, repeats=stage.repeats
            )
            found["stages"][name] = row | {"target": stage.target}
            _write(out, found)
            bar.update()
        for name in followed:
            bar.set_postfix_str(f"{name} over N")
            stage = STAGES[name]
            found["growth"][name] = process.grow(
                stage.make, stage.growth, [int(n * stage.share) for n in COUNTS]
            )
            _write(out, found)
            bar.update()
    return found


def _gpu(out):
    import torch

    from semlib.bench import gpu

    if not torch.cuda.is_available():
        raise click.ClickException(gpu.NO_GPU)
    found = gpu.measure()
    _write(out, found)
    click.echo(gpu.table(found))


def _write(out, found):
    with paths.atomic(out) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
