"""`similar` and `outliers` on a data set that notebooks 01 to 04 prepared: a contact sheet and a CSV."""

from pathlib import Path

import numpy as np

from semlib import paths
from semlib.images import datasets, preprocess, read
from semlib.morphology import retrieval, stored, train
from semlib.paths import atomic


def similar(image, dataset, *, count=11, border=4, seed=0, out=None):
    """The images of a data set nearest to an image file.

    A file of the data set itself is looked up, any other is preprocessed and embedded with the trained encoder.

    Parameters
    ----------
    image : path
    dataset : str or path
    count, border, seed : int
        Images shown; pixels cropped from each side, as in notebook 02; training of notebook 04.
    out : path without ending, optional
        ``figures/<dataset>/similar_<name of the image>`` if not given.

    Returns
    -------
    table : DataFrame
        rank, image_id, path, label, distance; written as ``<out>.csv`` beside the contact sheet ``<out>.png``.
    out : Path

    Raises
    ------
    FileNotFoundError, ValueError
        If the data set has no training yet, or the image cannot be read.
    """
    image, where = Path(image), paths.of(dataset)
    folder, embeddings, table, images = _prepared(dataset, seed)
    own = [
        i for i, path in enumerate(table["path"]) if (where.raw / path).resolve() == image.resolve()
    ]
    if own:
        row, shown = own[0], images[own[0]]
        query = embeddings[row]
    else:
        row, shown = (
            None,
            preprocess.preprocess(read.image(image), border=border, size=images.shape[1]),
        )
        query = train.embed(train.load_encoder(folder), shown[None], progress=False)[0]
    rows, distances = retrieval.similar(embeddings, query, count=count, leave_out=row)
    out = Path(out or where.figures / f"similar_{image.stem}")
    return _write(
        out, dataset, table, images, rows, distances, first=(f"query\n{image.name}", shown)
    )


def outliers(dataset, *, count=18, neighbours=5, seed=0, out=None):
    """The most unusual images of a data set, most unusual first; arguments and results as in `similar`.

    `distance` is the mean to the nearest `neighbours`, see `retrieval.unusualness`; `out` is
    ``figures/<dataset>/outliers`` if not given.
    """
    _, embeddings, table, images = _prepared(dataset, seed)
    found = retrieval.unusualness(embeddings, neighbours=neighbours)
    rows = np.argsort(-found, kind="stable")[:count]
    return _write(
        Path(out or paths.of(dataset).figures / "outliers"),
        dataset,
        table,
        images,
        rows,
        found[rows],
    )


def _prepared(dataset, seed):
    folder = stored.trainings(dataset, seed)[0]
    table, images = (
        datasets.load_manifest(dataset),
        np.load(paths.of(dataset).level(0), mmap_mode="r"),
    )
    embeddings = np.load(folder / "embeddings.npy")
    if not len(embeddings) == len(table) == len(images):
        sizes = (
            f"{len(embeddings)} embeddings, {len(images)} images, {len(table)} rows in the manifest"
        )
        raise ValueError(f"{dataset}: {sizes}: run notebooks 01 to 04 again")
    return folder, embeddings, table, images


def _write(out, dataset, table, images, rows, distances, first=None):
    import matplotlib.pyplot as plt

    from semlib import plots, saving

    found = (
        table.iloc[rows][["image_id", "path", "label"]]
        .assign(distance=distances)
        .reset_index(drop=True)
    )
    found.insert(0, "rank", np.arange(1, len(found) + 1))
    titles = [
        f"{r.rank}. {r.image_id[:12]}\nlabel {r.label or '–'}, {r.distance:.3g}"
        for r in found.itertuples()
    ]
    shown = [images[row] for row in rows]
    if first:
        titles, shown = [first[0], *titles], [first[1], *shown]
    with plt.rc_context():
        saving.style()
        figure = plots.image_grid(shown, titles)
        figure.text(
            0.995, -0.005, saving.source(dataset), ha="right", va="top", fontsize=7, color="0.35"
        )
        with atomic(out.with_name(f"{out.name}.png")) as temporary:
            figure.savefig(temporary)
        plt.close(figure)
    with atomic(out.with_name(f"{out.name}.csv")) as temporary:
        found.to_csv(temporary, index=False)
    return found, out
