"""Images by the million on Dask, chunk by chunk: ``python -m semlib bulk run | group``."""

import csv
import itertools
import json
from collections import Counter
from pathlib import Path

import click
from tqdm import tqdm

from semlib.paths import atomic, write_text

STAGES = ("preprocess", "glcm", "lbp", "wavelet", "embed", "profile")
AHEAD = 1000  # chunks that Dask knows at a time, however long the manifest
RESOLVED = click.Path(resolve_path=True)  # as workers start in other folders


@click.group(context_settings={"show_default": True})
def bulk():
    """Images by the million: features, embeddings, trust profiles, clusters and views."""


@bulk.command()
@click.argument("manifest", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("stages", nargs=-1, required=True, type=click.Choice(STAGES), metavar="STAGE...")
@click.option("--out", type=click.Path(), required=True, help="Results, which all workers see.")
@click.option("--root", type=RESOLVED, help="Start of relative paths. [default: MANIFEST's]")
@click.option("--scheduler", metavar="ADDRESS", help="Of Dask. [default: one on this machine]")
@click.option("--workers", type=click.IntRange(0), help="Here; 0: no Dask. [default: one a core]")
@click.option("--chunk", type=click.IntRange(1), default=256, help="Images in a result file.")
@click.option("--retries", default=3, help="How often a failing chunk is tried again.")
@click.option("--encoder", type=RESOLVED, help="Folder of a finished training, for embed.")
@click.option("--border", type=click.IntRange(0), default=4, help="Pixels cropped from each side.")
@click.option("--size", type=click.IntRange(1), default=512, help="Side of the square in pixels.")
@click.option("--intensity", type=click.Choice(("full", "stretch")), default="full")
@click.option("--bar", default="auto", help="Data bar: auto, none, or rows to cut, as in 0,60.")
def run(manifest, stages, out, root, scheduler, workers, chunk, retries, encoder, **preprocessing):
    """Compute STAGEs (preprocess, glcm, lbp, wavelet, embed; profile alone) of MANIFEST's images.

    MANIFEST is a CSV file with a column path; for profile with reference and restored, perhaps mask
    and noisy. Images that cannot be used are listed in OUT/STAGE/skipped.csv. Grey levels are those
    of notebook 02: unless every file states its range, all go by quantiles. After an interruption
    the same command continues.

    \b
    python -m semlib bulk run images.csv glcm lbp --out results
    python -m semlib bulk run images.csv embed --encoder data/carinthia/ssl/seed-0 --out results
    """
    from semlib import chunks
    from semlib.images.databar import option
    from semlib.images.read import all_state_range

    option(preprocessing["bar"])  # an error before anything is read
    columns = _columns(manifest, stages)
    total = sum(1 for _ in read(manifest, columns, chunk))  # finds bad lines before anything runs
    root = root or str(manifest.resolve().parent)
    if stages != ("profile",):
        files = itertools.chain.from_iterable(read(manifest, columns, chunk))
        stated = all_state_range(Path(root, name) for (name,) in files)  # from their headers
        preprocessing["range"] = "stated" if stated else "quantiles"
    settings = {}
    for stage in stages:
        own = {"files": columns, "chunk": chunk} | chunks.settings(stage, columns, encoder)
        reading = {"bar": preprocessing["bar"]} if stage == "profile" else preprocessing
        settings[stage] = own | reading
        _claim(Path(out, stage), settings[stage])
    shared = {"root": root, "out": str(Path(out).resolve()), "encoder": encoder, "stages": settings}
    numbered = enumerate(read(manifest, columns, chunk))
    jobs = ({"index": index, "rows": rows, **shared} for index, rows in numbered)
    if workers == 0:
        ended = ((job["index"], None, chunks.compute(job)) for job in jobs)
    else:
        ended = _on_dask(jobs, scheduler, workers, retries)
    computed = _count(tqdm(ended, "bulk", total, unit="chunk"))
    for stage in settings:
        count = _finish(Path(out, stage), read(manifest, columns, chunk), columns)
        listed = ", see skipped.csv" if count["bad"] else ""
        click.echo(
            f"{out}/{stage}: {count['rows']:,} rows in {count['chunks']:,} chunks "
            f"({computed[stage]:,} computed now), {count['bad']:,} rows empty{listed}"
        )


@bulk.command()
@click.argument("stage", type=click.Path())
@click.option("--k", default=6, help="Number of clusters.")
@click.option("--standardise", is_flag=True, help="Columns to mean 0, deviation 1; for features.")
@click.option("--view", default=0, metavar="COUNT", help="Also a UMAP of so many images.")
@click.option("--seed", default=0)
def group(stage, k, standardise, view, seed):
    """Cluster the rows in the folder STAGE, such as results/embed, by mini-batch k-means.

    STAGE receives clusters.npy (a number a row, -1 for empty rows), centres.npy, clusters.json and
    perhaps umap.csv.
    """
    from semlib import chunks

    summary = chunks.cluster(stage, k=k, standardise=standardise, seed=seed)
    silhouette = f"{summary['silhouette']:.4f} +- {summary['error']:.4f} (standard error)"
    click.echo(f"sizes {summary['sizes']}, silhouette {silhouette}")
    if view:
        count = chunks.view(stage, sample=view, seed=seed)
        click.echo(f"{count:,} images in {stage}/umap.csv")


def _columns(manifest, stages):
    """The columns of the manifest that the stages read."""
    with open(manifest, newline="", encoding="utf-8-sig") as stream:
        header = next(csv.reader(stream, skipinitialspace=True), [])
    profile = "profile" in stages
    if profile and set(stages) != {"profile"}:
        raise ValueError("profile needs another manifest than other stages: run it by itself")
    needed = ["reference", "restored"] if profile else ["path"]
    if missing := [name for name in needed if name not in header]:
        raise ValueError(f"{manifest} has the columns {header}, but not {missing}")
    return needed + [name for name in ("mask", "noisy") if profile and name in header]


def read(manifest, columns, size):
    """Lists of at most `size` rows, each the values of `columns`; the error names a bad line."""
    with open(manifest, newline="", encoding="utf-8-sig") as stream:
        lines = csv.DictReader(stream, skipinitialspace=True)
        rows = []
        for line in lines:
            if None in line or None in line.values() or not line[columns[0]]:
                raise ValueError(f"{manifest}, line {lines.line_num}: expected {lines.fieldnames}")
            rows.append([line[name] for name in columns])
            if len(rows) == size:
                yield rows
                rows = []
        if rows:
            yield rows


def _claim(folder, settings):
    """Write the settings into the folder of a stage, which must not hold results of others."""
    file = folder / "settings.json"
    stored = json.loads(file.read_text()) if file.exists() else settings
    if differing := [name for name in sorted(settings) if stored.get(name) != settings[name]]:
        raise ValueError(f"{folder} has other settings of {differing}: use another --out")
    (folder / "complete.json").unlink(missing_ok=True)
    write_text(file, json.dumps(settings, indent=1))


def _on_dask(jobs, scheduler, workers, retries):
    """Yield index, error and result of each job, as they end; one of the two last is None."""
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ValueError("no Dask: pip install -e '.[cluster]', or --workers 0") from None
    from semlib import chunks

    # one thread a worker, as the functions bring their own
    local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with Client(scheduler) if scheduler else Client(**local) as client:
        click.echo(f"dashboard: {client.dashboard_link}", err=True)
        while batch := list(itertools.islice(jobs, AHEAD)):
            futures = client.map(chunks.compute, batch, retries=retries, pure=False)
            job_of = dict(zip(futures, batch, strict=True))
            for future in as_completed(futures):
                error = future.exception()
                yield job_of[future]["index"], error, None if error else future.result()


def _count(ended):
    """How many chunks of each stage were computed now; ClickException if a chunk failed."""
    computed = Counter()
    failed = []
    for index, error, stages in ended:
        computed.update(stages or ())
        if error:
            failed.append(f"chunk {index}: {type(error).__name__}: {error}")
    if failed:
        title = f"{len(failed)} chunks failed; the same command does those that are missing"
        raise click.ClickException("\n  ".join([title, *failed]))
    return computed


def _finish(folder, parts, columns):
    """List the empty rows in ``skipped.csv`` and say in ``complete.json`` how much there is."""
    total = Counter(chunks=0, rows=0, bad=0)
    with atomic(folder / "skipped.csv") as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row", *columns, "reason"])
        for index, rows in enumerate(parts):
            bad = json.loads((folder / f"{index:08d}.json").read_text())["bad"]
            for row, reason in bad.items():
                writer.writerow([total["rows"] + int(row), *rows[int(row)], reason])
            total.update(chunks=1, rows=len(rows), bad=len(bad))
    write_text(folder / "complete.json", json.dumps(total, indent=1))
    return total
