"""Real micrographs with a known answer, each from the repository of those who published it."""

import os
from pathlib import Path

import pandas as pd
import pooch
from tqdm import tqdm

from semlib import paths
from semlib.images.download import retrieve
from semlib.images.read import SUFFIXES

REGISTRY = Path(__file__).with_name("micrographs.csv")  # name, url with its commit, sha256, bytes
SOURCES = {
    "kriss": "fast and slow scans of one field (seoleuns/SEMdenoising; MIT, image rights unstated)",
    "nanocomposites": "particles with masks (doi 10.1049/nde2.12034; MIT)",
    "nasa_micronet": "coatings, oxide and cracks masked (nasa/pretrained-microscopy-models; MIT)",
    "patterned_wafer": "an inspected and a reference die (giyorah/defect-detection-in-sem-images; "
    "MIT, image rights unstated)",
}


def files(name):
    """Image files of one of `SOURCES` by their name without ending, sorted; empty without them."""
    if name not in SOURCES:
        raise ValueError(f"unknown micrographs {name!r}: use one of {', '.join(SOURCES)}")
    listed = sorted((paths.micrographs() / name).glob("*"))
    return {file.stem: file for file in listed if file.suffix.lower() in SUFFIXES}


def missing(names=SOURCES):
    """Which of the sets are not here and how to get them, in a sentence; "" where all are."""
    absent = [name for name in names if not files(name)]
    if not absent:
        return ""
    place = paths.micrographs()
    return (
        f"real micrographs ({', '.join(absent)}) are not in {place}: get them by `python -m "
        "semlib fetch micrographs`, or name a folder that has them in SEMLIB_MICROGRAPHS"
    )


def fetch():
    """Download what is not there into ``data/micrographs``, by checksum; return the folder.

    A file that cannot be had, or has another checksum, is a ConnectionError or ValueError; so is a
    folder that SEMLIB_MICROGRAPHS names, as what is fetched would not be used.
    """
    place = paths.micrographs()
    if "SEMLIB_MICROGRAPHS" in os.environ:
        raise ValueError(f"SEMLIB_MICROGRAPHS names {place}, which is used: unset it to fetch")
    advice = "Run again later; what is here stays. Or name their folder in SEMLIB_MICROGRAPHS"
    pooch.get_logger().setLevel("WARNING")  # the bar says where it is
    for file in tqdm(list(pd.read_csv(REGISTRY).itertuples()), "micrographs", unit="file"):
        retrieve(place / file.name, file.url, file.sha256, advice)
    return place
