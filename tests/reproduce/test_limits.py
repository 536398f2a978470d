"""Parameters of notebooks 01 to 06: what cannot work is refused before anything runs."""

import numpy as np
import pytest

from semlib import paths, teaching
from semlib.images import preprocess
from semlib.morphology import features, loss
from semlib.reproduce import limits
from semlib.reproduce import notebook as nb

SUITE = [book for book in nb.numbered() if book.name < "07"]
SHAPE = (40, 64, 64)


def test_every_parameter_has_limits_and_its_default_keeps_them():
    known = {*limits.LEAST, *limits.ONE_OF, "wavelet_family", "n_robust"}
    elsewhere = {"dataset", "masks", "skip_bad", "bar", "candidates"}  # checked where they are used
    for book in SUITE:
        assert set(book.parameters) <= known | elsewhere, book.name
        defaults = {name: line.default for name, line in book.parameters.items()}
        limits.check(book.name, defaults, (400, 256, 256))


def test_words_are_those_that_the_functions_take():
    assert limits.ONE_OF["pairs"] == list(loss.PAIRS)
    assert limits.ONE_OF["lbp_method"] == list(features.LBP_BINS)
    assert limits.ONE_OF["wavelet_statistics"] == list(features.STATISTICS)
    assert tuple(limits.ONE_OF["intensity"]) == preprocess.INTENSITIES


@pytest.mark.parametrize("book", SUITE, ids=lambda book: book.name)
def test_numbers_below_their_limit_and_lists_without_any_are_refused(book):
    for name, line in book.parameters.items():
        wrong = {"int": [-1], "float": [-1.0, float("nan")], "list": [[], [0], ["a"]]}
        for value in wrong.get(line.kind, []) if name != "candidates" else []:
            with pytest.raises(ValueError, match=f"{book.name}: {name} is .*: use"):
                limits.check(book.name, {name: value})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scaling": "Standard"}, "scaling is 'Standard': use standard, none"),
        ({"size": 30}, "size is 30: use a multiple of 4"),
        ({"size": 8}, "size is 8: use 16 or more"),
        ({"batch_size": 1}, "batch_size is 1: use 2 or more"),
        ({"learning_rate": 30.0}, "learning_rate is 30.0: use 1e-09 to 1"),
        ({"min_dist": 1.5}, "use 0 to 1"),
        ({"ks": [2, 1]}, "use whole numbers of 2 or more"),
        ({"ks": [2.5]}, "use whole numbers"),
        ({"wavelet_family": "morl"}, "use a discrete wavelet of PyWavelets, such as db2"),
        ({"wavelet_statistics": ["median"]}, "use mean, std, energy"),
        ({"k": 6, "n_robust": 6}, "n_robust is 6: use more than k"),
        ({"k": 40}, "k is 40: there are 40 images: use fewer clusters, or more images"),
        ({"ks": [40, 41]}, "there are 40 images"),
        ({"glcm_distances": [1, 64]}, "the images have 64 pixels a side: use less"),
    ],
)
def test_the_value_and_what_fits_are_named(values, said):
    with pytest.raises(ValueError, match=said):
        limits.check("05", values, SHAPE)


def test_what_is_only_larger_than_the_data_is_taken():
    """Batches, PCA, sweep, neighbours and perplexity are cut to the data, and notebooks say so."""
    taken = {"batch_size": 999, "pca_components": 999, "ks": [2, 999], "n_neighbors": 999}
    limits.check("05", taken | {"perplexity": 999.0, "n_robust": 999, "k": 39}, SHAPE)


def test_other_notebooks_are_not_concerned():
    limits.check("08_denoising_stress_tests", {"size": 30, "n_seeds": 0})


def test_a_notebook_that_is_opened_by_hand_checks_its_own_parameters():
    place = paths.of("synthetic")
    place.data.mkdir(parents=True)
    place.manifest.write_text("image_id\n")
    np.save(place.level(0), np.zeros((5, 16, 16), np.uint8))
    teaching.ready("03", "synthetic", {"seed": 0, "k": -1})  # k is none of its own
    with pytest.raises(ValueError, match="03_pyramid: seed is -1: use 0 or more"):
        teaching.ready("03", "synthetic", {"seed": -1})
