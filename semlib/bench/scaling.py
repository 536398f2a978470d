"""``python -m semlib.bench.scaling``: the page ``docs/scaling.md``, what many images cost, from a finished bench.

Hours are count / rate: what the bench measured, times the number of cores over its own. That the rate grows with the
cores is an assumption, and the page says so.
"""

import json
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from semlib import paths
from semlib.bench import table
from semlib.bench.case import example_images

COUNTS = (1e6, 1e8, 1e10)
MILLIONS = tuple(f"{n / 1e6:,.0f} M" for n in COUNTS)
MACHINES, CORES = 64, 32  # of the cluster on the page
EPOCHS, CHUNK = 15, 256  # the paper's; rows of a shard
STAGES = {
    "preprocess": "decode, preprocess, pyramid",
    "glcm": "GLCM",
    "lbp": "LBP",
    "wavelet": "wavelet",
    "ssl-step": f"SSL training, {EPOCHS} epochs",
    "embed": "embedding extraction",
    "minibatch": "mini-batch k-means, silhouette",
    "trust": "trust profile, a candidate",
}


def sizes(side=512):
    """Bytes that each stage writes for an image of `side` x `side` pixels, a dict."""
    from semlib.morphology import encoder, features, recipes
    from semlib.semnr.page import COLUMNS

    image = example_images(1, side)
    rows = {
        name: getattr(features, name)(image, progress=False) for name in ("glcm", "lbp", "wavelet")
    }
    rows["embed"] = encoder.embed(recipes.find("paper").encoder(), image, progress=False)
    pyramid = sum((side // scale) ** 2 for scale in (1, 2, 4))
    return {"preprocess": pyramid, "minibatch": 2, "trust": 8 * len(COLUMNS)} | {
        n: r.nbytes for n, r in rows.items()
    }


def page(found, written):
    """The page as Markdown.

    Parameters
    ----------
    found : dict
        What ``bench.json`` holds.
    written : dict
        Bytes an image, see `sizes`.
    """
    missing = [name for name in STAGES if name not in found["stages"]]
    if missing:
        raise ValueError(f"the bench has no {', '.join(missing)}: run make bench")
    machine = found["machine"]
    return TEXT.format(
        cpu=machine["cpu"], cores=machine["cpu_count"], ram=f"{machine['memory'] / 2**30:.0f}",
        gpu=machine["gpu"] or "none", machines=MACHINES, each=CORES, many=MACHINES * CORES,
        chunk=CHUNK, shard=CHUNK * 512**2 // 2**20, memory=_memory(found["growth"]), disk=_disk(written),
        hours=_hours(found["stages"], machine["cpu_count"] / (MACHINES * CORES)),
    )  # fmt: skip


def _hours(stages, share):
    lines = [("stage", "images/s", *MILLIONS, *(f"{n}, cluster" for n in MILLIONS[1:]))]
    for name, title in STAGES.items():
        rate = stages[name]["per_second"] / (EPOCHS if name == "ssl-step" else 1)
        hours = [n / rate / 3600 for n in COUNTS]
        hours += [h * share for h in hours[1:]] if name != "ssl-step" else []
        lines.append((title, *(f"{x:,.0f}" if x >= 10 else f"{x:.2g}" for x in (rate, *hours))))
    return _table(lines)


def _disk(written):
    lines = [("stage", "bytes an image", *MILLIONS)]
    for name, size in written.items():
        lines.append(
            (STAGES[name], f"{size:,}", *(tqdm.format_sizeof(n * size, "B") for n in COUNTS))
        )
    return _table(lines)


def _memory(growth):
    lines = [
        ("stage", "at N images", "peak memory, MB", "kB an image more", "exponent of the time")
    ]
    for name, cost in growth.items():
        slope = np.polyfit(cost["counts"], np.array(cost["memory"]) / 1e3, 1)[0]
        sizes = f"{cost['counts'][-1]:,}", f"{cost['memory'][-1] / 1e6:.0f}", f"{slope:.1f}"
        lines.append((name, *sizes, f"{table.exponent(cost['counts'], cost['seconds']):.2f}"))
    return _table(lines)


def _table(lines):
    width = len(lines[0])
    rows = [f"| {' | '.join([*cells, *[''] * (width - len(cells))])} |" for cells in lines]
    return "\n".join([rows[0], "|---" + "|---:" * (width - 1) + "|", *rows[1:]])


TEXT = """# What many images cost

Written by `python -m semlib.bench.scaling` from a finished `make bench`; the measurement lies beside this page in
`bench.json`. The rates are those of random textures of 512 x 512 pixels, the layout of the results is that of
[images by the million](cluster.md).

Measured on: {cpu}, {cores} cores, {ram} GiB of memory, GPU: {gpu}.

## Hours for 1, 100 and 10,000 million images

One machine as measured, and {machines} machines of {each} cores ({many:,} cores). **The cluster was not measured**: its
hours are those of one machine times {cores}/{many:,}. What was tested is that two worker processes give the result of
one, also when one of them is killed. Training is left out there: `torchrun` was tested with two processes, and its
speed over many machines depends on their network.

{hours}

Training needs no more than some ten thousand images: the encoder is trained on a sample, then `embed` runs over all.
UMAP and t-SNE are drawn from a sample, too (`bulk group --view`), so their cost does not grow.

## Disk

What a stage writes; a shard of {chunk} rows adds a record of about 200 bytes, the images themselves come on top.

{disk}

Preprocessed images are the one large result. `embed` and the features decode the original files and need none of
them: store the levels only for what you train on.

## Memory

A worker holds one chunk: {chunk} images of 512 x 512 are {shard} MiB. The bench follows time and peak memory over N, on
small images (64 x 64; 128 x 128 when preprocessed) that lie in memory and do not count. What grows with N are mostly
the results, which `bulk` writes chunk by chunk: patch tokens of SEM-CLIP, simulated images, embeddings.

{memory}

PCA of all pixels keeps an N x N matrix by design (4 N^2 bytes: 40 GB for 100,000 images); take a sample for it. The
exact scores of Table 1 (k-means, silhouette) compare all pairs; from 100,000 images on use `bulk group`.
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--bench", type=click.Path(path_type=Path), help="Default: figures/bench.json.")
@click.option(
    "--docs", type=click.Path(path_type=Path, file_okay=False), default="docs", show_default=True
)
def main(bench, docs):
    """Write DOCS/scaling.md, and beside it the measurement that it shows."""
    bench = bench or paths.figures_root() / "bench.json"
    if not bench.is_file():
        raise click.ClickException(f"{bench} does not exist: run make bench")
    measured = bench.read_text()
    try:
        text = page(json.loads(measured), sizes())
    except ValueError as error:
        raise click.ClickException(f"{bench}: {error}") from None
    for name, content in (("bench.json", measured), ("scaling.md", text)):
        with paths.atomic(docs / name) as temporary:
            temporary.write_text(content)
    click.echo(docs / "scaling.md")


if __name__ == "__main__":
    main()
