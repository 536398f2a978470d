"""The command line of images by the million: ``python -m semlib bulk run | group``."""

import click


@click.group()
def bulk():
    """Images by the million: features, embeddings and trust profiles on Dask, clusters and views of the result."""


@bulk.command()
@click.argument("manifest", type=click.Path())
@click.argument("stages", nargs=-1, required=True, metavar="STAGE...")
@click.option(
    "--out", type=click.Path(), required=True, help="Folder of the results, which all workers see."
)
@click.option(
    "--root", type=click.Path(), help="Where relative paths start. [default: the manifest's folder]"
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="A Dask scheduler. [default: a cluster on this machine]"
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes here; 0 works without Dask. [default: one a core]",
)
@click.option("--chunk", default=256, show_default=True, help="Images in a result file.")
@click.option(
    "--retries", default=3, show_default=True, help="How often a failing chunk is tried again."
)
@click.option("--encoder", type=click.Path(), help="Folder of a finished training, for embed.")
@click.option("--border", default=4, show_default=True, help="Pixels cropped from each side.")
@click.option("--size", default=512, show_default=True, help="Side of the square in pixels.")
@click.option("--intensity", default="full", show_default=True, help="full or stretch.")
def run(manifest, stages, out, **options):
    """Compute STAGEs for every image that MANIFEST lists: preprocess, glcm, lbp, wavelet, embed; or profile alone.

    MANIFEST is a CSV file with a column path; for profile with reference and restored, perhaps mask and noisy. Images
    that cannot be used are listed in OUT/STAGE/skipped.csv. After an interruption the same command continues.

    \b
    python -m semlib bulk run images.csv glcm lbp --out results
    python -m semlib bulk run images.csv embed --encoder data/carinthia/ssl/seed-0 --out results
    python -m semlib bulk run images.csv embed ... --scheduler tcp://host:8786
    """
    from semlib.cluster.run import run

    try:
        found = run(manifest, out, stages, **options)
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    for name, total in found.items():
        click.echo(
            f"{out}/{name}: {total['rows']:,} rows in {total['chunks']:,} shards ({total['computed']:,} computed now), "
            f"{total['bad']:,} rows empty{', see skipped.csv' if total['bad'] else ''}"
        )


@bulk.command()
@click.argument("stage", type=click.Path())
@click.option("--k", default=6, show_default=True, help="Number of clusters.")
@click.option(
    "--standardise",
    is_flag=True,
    help="Columns to mean 0 and deviation 1; for glcm, lbp and wavelet.",
)
@click.option(
    "--view", default=0, metavar="COUNT", help="Also a UMAP of so many images. [default: none]"
)
@click.option("--seed", default=0, show_default=True)
def group(stage, k, standardise, view, seed):
    """Cluster the rows in the folder STAGE, such as results/embed, by mini-batch k-means.

    STAGE receives clusters.npy (a number a row, -1 for empty rows), centres.npy, clusters.json and perhaps umap.csv.
    """
    from semlib.cluster import groups

    found = groups.write(stage, k=k, standardise=standardise, seed=seed)
    click.echo(
        f"sizes {found['sizes']}, silhouette {found['silhouette']:.4f} +- {found['error']:.4f} (standard error)"
    )
    if view:
        from semlib.cluster import view as module

        click.echo(
            f"{len(module.write(stage, sample=view, seed=seed)):,} images in {stage}/umap.csv"
        )
