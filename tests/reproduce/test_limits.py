"""Parameters of the notebooks: what cannot work is refused before anything runs."""

import numpy as np
import pytest
import pywt

from semlib import paths, teaching
from semlib.images import preprocess
from semlib.morphology import features, loss, variants
from semlib.reproduce import limits
from semlib.reproduce import notebook as nb

SHAPE = (40, 64, 64)
LIMITS = limits.LIMITS


BY_NAME = {name: limit for book in LIMITS.values() for name, limit in book.items()}


def test_every_parameter_has_limits_and_its_default_keeps_them():
    elsewhere = {"dataset", "masks", "skip_bad", "bar", "seed"}  # checked where they are used
    elsewhere |= {"backbone", "pretrained", "prompts_file", "own_folder"}
    elsewhere |= {"steps", "cross", "assumptions"}  # dicts: by the functions that take them
    for book in nb.numbered():
        assert set(book.parameters) - elsewhere <= set(LIMITS.get(book.name, {})), book.name
    for book in nb.numbered():
        defaults = {name: line.default for name, line in book.parameters.items()}
        assert set(LIMITS.get(book.name, {})) <= set(defaults), book.name
        limits.check(book.name, defaults, (400, 256, 256))


def test_words_are_those_that_the_functions_take():
    assert BY_NAME["candidates"] == list(variants.VARIANTS)
    assert BY_NAME["pairs"] == list(loss.PAIRS)
    assert BY_NAME["lbp_method"] == list(features.LBP_BINS)
    assert BY_NAME["wavelet_statistics"] == list(features.STATISTICS)
    assert set(BY_NAME["wavelet_family"]) == set(pywt.wavelist(kind="discrete"))
    assert tuple(BY_NAME["intensity"]) == preprocess.INTENSITIES


@pytest.mark.parametrize(("book", "limit"), LIMITS.items(), ids=LIMITS)
def test_numbers_below_their_limit_and_lists_without_any_are_refused(book, limit):
    declared = {notebook.name: notebook.parameters for notebook in nb.numbered()}[book]
    wrong = {
        "int": [-1],
        "float": [-1.0, float("nan")],
        "list": [[0], ["a"], [[]]],
        "str": ["", "x"],
    }
    for name in limit:
        for value in wrong[declared[name].kind]:
            with pytest.raises(ValueError, match=f"{book}: {name} is .*: use"):
                limits.check(book, {name: value})


@pytest.mark.parametrize(
    ("book", "values", "said"),
    [
        ("05_baselines", {"scaling": "Standard"}, "scaling is 'Standard': use standard; none"),
        ("02_preprocess", {"size": 30}, "size is 30: use a multiple of 4"),
        ("02_preprocess", {"size": 8}, "size is 8: use 16 or more"),
        ("04_ssl_training", {"batch_size": 1}, "batch_size is 1: use 2 or more"),
        ("04_ssl_training", {"learning_rate": 30.0}, "learning_rate is 30.0: use 1e-9 to 1"),
        ("04_ssl_training", {"seed": 2**32}, "use 0 to 2147483648"),
        ("06_umap_tsne", {"min_dist": 1.5}, "use 0 to 1"),
        ("06_umap_tsne", {"k": 6, "n_robust": 6}, "n_robust is 6: use more than k"),
        ("06_umap_tsne", {"k": 40}, "k is 40: there are 40 images: use fewer clusters, or more"),
        ("05_baselines", {"wavelet_family": "morl"}, "use haar; coif1; .*; \\.\\.\\."),
        ("05_baselines", {"ks": [2, 1]}, "use whole numbers of 2 or more"),
        ("05_baselines", {"ks": [2.5]}, "use whole numbers"),
        ("04_ssl_training", {"variant_size": 34}, "variant_size is 34: use a multiple of 4"),
        ("07_sem_clip_few_shot", {"shots": [1, 0]}, r"shots is \[1, 0\]: use whole numbers of 1"),
        ("08_denoising_stress_tests", {"severities": [0.5, 2]}, "use 0.01 to 1"),
        ("08_denoising_stress_tests", {"doses": [10, "much"]}, "use 0.1 to 100000"),
        ("05_baselines", {"ks": [40, 41]}, "there are 40 images"),
        ("05_baselines", {"wavelet_statistics": ["median"]}, "use mean; std; energy"),
        ("05_baselines", {"glcm_distances": [1, 64]}, "the images have 64 pixels a side"),
    ],
)
def test_the_value_and_what_fits_are_named(book, values, said):
    with pytest.raises(ValueError, match=said):
        limits.check(book, values, SHAPE)


def test_candidates_hold_what_the_others_are_compared_with():
    """Without ours or the paper's the last table failed, after all trainings."""
    for candidates in ([], ["ours", "paper"], BY_NAME["candidates"]):
        limits.check("04_ssl_training", {"candidates": candidates})
    for candidates in (["paper"], ["ours", "ours, cosine"]):
        with pytest.raises(ValueError, match="candidates are compared with paper and ours: add"):
            limits.check("04_ssl_training", {"candidates": candidates})


def test_an_empty_list_is_refused():
    for name in ("ks", "glcm_distances", "wavelet_statistics"):
        with pytest.raises(ValueError, match=rf"{name} is \[\]: use"):
            limits.check("05_baselines", {name: []})


def test_what_is_only_larger_than_the_data_is_taken():
    """Batches, PCA, sweep, neighbours and perplexity are cut to the data, and notebooks say so."""
    limits.check("04_ssl_training", {"batch_size": 999}, SHAPE)
    limits.check("05_baselines", {"pca_components": 999, "ks": [2, 999], "k": 39}, SHAPE)
    taken = {"n_neighbors": 999, "perplexity": 999.0, "n_robust": 999, "k": 39}
    limits.check("06_umap_tsne", taken, SHAPE)


def test_a_notebook_that_is_opened_by_hand_checks_its_own_parameters():
    place = paths.of("synthetic")
    place.data.mkdir(parents=True)
    (place.ssl(0)).mkdir(parents=True)
    (place.ssl(0, "ours")).mkdir(parents=True)
    place.manifest.write_text("image_id\n")
    np.save(place.level(0), np.zeros((5, 16, 16), np.uint8))
    for folder in (place.ssl(0), place.ssl(0, "ours")):
        np.save(folder / "embeddings.npy", np.zeros((5, 2)))
    teaching.ready("05", "synthetic", {"k": 4, "epochs": -1})  # epochs are none of its own
    with pytest.raises(ValueError, match="05_baselines: k is 6: there are 5 images"):
        teaching.ready("05", "synthetic", {"k": 6})


def test_the_recipe_that_the_figures_show_is_trained():
    limits.check("04_ssl_training", {"methods": ["paper"]})
    with pytest.raises(ValueError, match="methods is \\['ours'\\]: add paper"):
        limits.check("04_ssl_training", {"methods": ["ours"]})
