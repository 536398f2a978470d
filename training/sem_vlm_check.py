"""SEM-VLM weights on the episodes of notebook 07: ``python -m training.sem_vlm_check FOLDER ...``.

The images are those of the preset "semclip", whose pitches, doses and detector no training world
has. Each folder holds the ``sem_vlm.safetensors`` and ``.json`` of one training.
"""

import json
from functools import partial
from pathlib import Path

import click
import pandas as pd
from safetensors.torch import load_file

from semlib import paths, stats
from semlib.semclip import clip, data, episodes, study
from semlib.semclip.backbone import Backbone
from semlib.semclip.prompts import Prompts

COLUMNS = ("accuracy", "iAUROC", "pAUROC", "F1-max")
N_IMAGES = 1332  # the paper's counts; the pool is that of notebook 07
N_TEST = 16  # images of each class


def source(folder):
    """The `clip.Source` of a trained model with its own vocabulary."""
    settings = json.loads((folder / f"{clip.NAME}.json").read_text(encoding="utf-8"))
    model = clip.network(settings).eval()
    model.load_state_dict(load_file(folder / f"{clip.NAME}.safetensors"))
    tokenize = partial(clip.tokenize, words=settings["vocabulary"])
    return clip.Source(model, tokenize, settings["mean"], settings["std"], str(folder), turned=True)


def scores(folder, pool, drawn):
    """Scores of SEM-CLIP with this model, one row for each method, K and episode."""
    net = Backbone(source(folder))
    features = net.encode_images(pool.images)
    methods = study.sem_clips(features, net, Prompts.load(), {})
    tables = study.evaluate(pool, drawn, methods, depends_on=str(folder))
    return tables[0].merge(tables[1], on=study.KEYS).assign(model=str(folder))


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--shots", multiple=True, type=int, default=(1, 5, 10), show_default=True)
@click.option("--seeds", default=5, show_default=True, help="Episodes for each K.")
@click.option("--table", type=click.Path(path_type=Path), help="CSV of all rows.")
def main(folders, shots, seeds, table):
    """Print the means over the episodes with their 95 % intervals, and keep all rows."""
    pool = data.images("synthetic", n=N_IMAGES)
    drawn = episodes.episodes(pool, shots=shots, seeds=range(seeds), n_test=N_TEST)
    pool, drawn = episodes.only_used(pool, drawn)
    rows = pd.concat([scores(folder, pool, drawn) for folder in folders], ignore_index=True)
    if table:
        with paths.atomic(table) as temporary:
            rows.to_csv(temporary, index=False)
    for keys, some in rows.groupby(["model", "method", "k"], sort=False):
        cells = (f"{name} {_shown(some[name])}" for name in COLUMNS)
        print(*keys, "|", ", ".join(cells))


def _shown(values):
    mean, low, high = stats.mean_interval(values)
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
