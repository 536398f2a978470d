"""Images by the million on Dask: a manifest cut in chunks, each chunk one task, each task one shard a stage."""

import contextlib
import itertools
import math
from concurrent.futures import CancelledError
from pathlib import Path

from tqdm import tqdm

from semlib.cluster import manifest, shards, stages

AHEAD = 1000  # chunks that Dask holds at a time, however long the manifest
FAILURES = 10  # chunks that may fail before the run stops


def run(
    listing, out, names, *, root=None, scheduler=None, workers=None, chunk=256, retries=3, encoder=None, border=4,
    size=512, intensity="full", progress=True,
):  # fmt: skip
    """Compute stages for every row of a manifest.

    Workers read the images and write ``out/<stage>/<chunk>.npy`` themselves, so `root`, `out` and `encoder` are paths
    that all machines share. Only rows and messages pass through the scheduler. Killed workers are replaced by
    others, a failing chunk is tried again, and a chunk whose files and settings are as they were is skipped.

    Parameters
    ----------
    listing : path
        CSV with a column ``path``; for ``profile`` with ``reference`` and ``restored``, perhaps ``mask`` and ``noisy``.
    out : path
        Receives a folder for each stage: shards, ``settings.json``, ``skipped.csv``, ``complete.json``.
    names : sequence of str
        Keys of `semlib.cluster.stages.STAGES`; the stages of one run share the decoded image.
    root : path, optional
        Where relative paths in the manifest start; by default the manifest's folder.
    scheduler : str, optional
        Address of a Dask scheduler, such as "tcp://host:8786"; by default a cluster on this machine.
    workers : int, optional
        Processes of the cluster on this machine, one for each core by default; 0 works here, without Dask.
    chunk : int
        Rows in a shard.
    retries : int
        How often a failing chunk is tried again.
    encoder : path, optional
        Folder of a trained encoder, for ``embed``.
    border, size, intensity
        See `semlib.images.preprocess.preprocess`.
    progress : bool
        Show a bar over the chunks and the address of Dask's dashboard.

    Returns
    -------
    dict
        Stage -> {chunks, rows, bad, computed}, the last the chunks that were not there already.

    Raises
    ------
    ValueError
        For unknown stages or settings, another manifest than needed, or an `out` that holds other settings.
    RuntimeError
        If chunks failed, after the others are done; when ten have failed, at once.
    """
    listing, out = Path(listing), Path(out).resolve()
    wanted = settings(
        listing, names, chunk, encoder, {"border": border, "size": size, "intensity": intensity}
    )
    columns = next(iter(wanted.values()))["files"]
    count = manifest.count(listing)
    for name, own in wanted.items():
        shards.begin(out / name, own)
    base = Path(root or listing.parent).resolve()
    encoder = encoder and str(Path(encoder).resolve())
    jobs = (
        {
            "index": index,
            "rows": rows,
            "root": str(base),
            "out": str(out),
            "stages": wanted,
            "encoder": encoder,
        }
        for index, rows in enumerate(manifest.chunks(listing, columns, chunk))
    )
    computed, failed = dict.fromkeys(wanted, 0), []
    with (
        _pool(scheduler, workers, retries, progress) as pool,
        tqdm(
            total=math.ceil(count / chunk),
            desc="+".join(wanted),
            unit="chunk",
            disable=not progress,
        ) as bar,
    ):
        for index, done, error in pool(process, jobs):
            bar.update()
            if error is not None:
                failed.append(f"  chunk {index}: {type(error).__name__}: {error}")
                tqdm.write(failed[-1])
            if len(failed) == FAILURES:
                break
            for name in done or ():
                computed[name] += 1
    if failed:
        said = "\n".join(failed)
        raise RuntimeError(
            f"{len(failed)} chunks failed; the same command does those that are missing\n{said}"
        )
    totals = {
        name: shards.finish(out / name, manifest.chunks(listing, columns, chunk), columns)
        for name in wanted
    }
    return {name: totals[name] | {"computed": computed[name]} for name in wanted}


def settings(listing, names, chunk, encoder, preprocessing):
    """What the values of each stage depend on besides the files, as JSON can hold it."""
    names = list(dict.fromkeys(names))
    if unknown := set(names) - set(stages.STAGES) or not names:
        raise ValueError(f"unknown stages {unknown}: use some of {', '.join(stages.STAGES)}")
    if stages.PROFILE in names and len(names) > 1:
        raise ValueError("profile needs another manifest than the other stages: run it by itself")
    if chunk < 1:
        raise ValueError(f"chunk = {chunk}: a shard needs one row or more")
    found = {}
    for name in names:
        stage = stages.STAGES[name]
        files = manifest.select(listing, stage.required, stage.optional)
        found[name] = {"stage": name, "files": files, "chunk": chunk, "code": stages.code(name)}
        found[name] |= _profile(files) if name == stages.PROFILE else preprocessing
    if "embed" in names:
        if encoder is None:
            raise ValueError(
                "embed needs an encoder: the folder of a finished training (notebook 04)"
            )
        found["embed"]["encoder"] = stages.encoder_digest(encoder)
    return found


def _profile(files):
    return {"columns": stages.profile_columns(files), "dists": stages.with_dists()}


def process(job):
    """One task: the shards of a chunk that are not there yet.

    Returns
    -------
    list of str
        Stages that were computed.
    """
    for name, own in job["stages"].items():
        if stages.code(name) != own["code"]:
            raise ValueError(
                "this worker has other semlib code than where the run was started: install the same"
            )
    root, out, index = Path(job["root"]), Path(job["out"]), job["index"]
    files = [tuple(root / name if name else None for name in row) for row in job["rows"]]
    keys = {name: shards.key(own, job["rows"], files) for name, own in job["stages"].items()}
    missing = {
        name: job["stages"][name]
        for name in keys
        if not shards.is_done(out / name, index, keys[name])
    }
    if missing:
        for name, values, bad in stages.compute(missing, files, job["encoder"]):
            shards.write(out / name, index, keys[name], values, bad)
    return list(missing)


@contextlib.contextmanager
def _pool(scheduler, workers, retries, progress):
    """A function of (work, jobs) that yields index, result and error of each job as it ends."""
    if workers == 0:
        yield _here
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError(
            "Dask is not installed: pip install -e '.[cluster]', or --workers 0 without it"
        ) from None
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
            )
            scheduler = stack.enter_context(cluster)
        client = stack.enter_context(Client(scheduler))
        if progress:
            tqdm.write(f"dashboard: {client.dashboard_link}")
        yield lambda work, jobs: spread(client, work, jobs, retries)


def _here(work, jobs):
    for job in jobs:
        yield job["index"], work(job), None


def spread(client, work, jobs, retries):
    """Run `work` on each job on Dask; never more than `AHEAD` of them are known to it.

    Yields
    ------
    index, result, error
        In the order in which the jobs end; either result or error is None.
    """
    from distributed import as_completed

    jobs, index = iter(jobs), {}

    def submit(count):
        for job in itertools.islice(jobs, count):
            future = client.submit(work, job, retries=retries, pure=False)
            index[future.key] = job["index"]
            yield future

    pending = as_completed(submit(AHEAD), loop=client.loop)
    for future in pending:
        try:
            error = future.exception()
            yield index.pop(future.key), None if error else future.result(), error
        except CancelledError:
            raise ConnectionError(
                "the scheduler is gone: start it and run the same command again"
            ) from None
        pending.update(submit(1))
