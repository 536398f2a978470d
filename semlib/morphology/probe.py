"""What an embedding holds, asked without clustering: nearest neighbours, a linear probe, spread on the unit sphere."""

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize


def codes(labels):
    """Labels as whole numbers 0, 1, ... in order of appearance; -1 for "" and NaN."""
    return pd.factorize(pd.Series(labels).replace("", np.nan))[0]


def too_few(labels, smallest):
    """Labels that fewer than `smallest` images carry, with their counts: dict."""
    counts = pd.Series(labels).replace("", np.nan).value_counts()
    return counts[counts < smallest].sort_index().to_dict()


def nearest_neighbour(embeddings, labels):
    """Label code of each image's nearest other image among those whose label can be found again.

    Leave-one-out 1-NN (Cover and Hart 1967, doi 10.1109/TIT.1967.1053964), Euclidean.

    Parameters
    ----------
    embeddings : array (N, D)
    labels : sequence (N,)
        Images without label, and those whose label no other image carries, are neither asked nor found.

    Returns
    -------
    int array (N,)
        Codes as in `codes`; -1 where an image was not asked.
    """
    return _of_frequent(
        labels, 2, lambda known, rows: known[_nearest(np.asarray(embeddings)[rows])]
    )


def linear_probe(embeddings, labels, *, folds=5, seed=0):
    """Label code of each image by logistic regression trained on the other folds.

    Stratified folds; columns standardised on the training folds; classes weighted alike (as their counts differ by
    orders of magnitude); L2 penalty with C = 1: our choices.

    Parameters
    ----------
    embeddings : array (N, D)
    labels : sequence (N,)
        Classes of fewer than `folds` images are left out: `too_few` names them.
    folds : int
    seed : int
        Of the folds.

    Returns
    -------
    int array (N,)
        Codes as in `codes`; -1 where an image was not asked.
    """
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=500)
    )
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    embeddings = np.asarray(embeddings, dtype=np.float64)
    return _of_frequent(
        labels,
        folds,
        lambda known, rows: cross_val_predict(model, embeddings[rows], known, cv=splits),
    )


def micro_macro(truth, found):
    """Accuracy over images and over classes (balanced accuracy), of the images with ``found >= 0``; NaN without any."""
    asked = found >= 0
    if not asked.any():
        return np.nan, np.nan
    hit, truth = (truth == found)[asked], truth[asked]
    counts = np.bincount(truth)
    recalls = np.bincount(truth, weights=hit)[counts > 0] / counts[counts > 0]
    return float(hit.mean()), float(recalls.mean())


def alignment(first, second):
    """Mean squared distance of paired embeddings (N, D) on the unit sphere, 0 to 4; 0: each pair agrees.

    arXiv 2005.10242, equation 3 with exponent 2.
    """
    return float(((normalize(first) - normalize(second)) ** 2).sum(axis=1).mean())


def uniformity(embeddings):
    """Logarithm of the mean Gaussian potential of all pairs on the unit sphere; 0: one direction, lower: more spread.

    arXiv 2005.10242, equation 4 with t = 2: between -8 (all pairs opposite) and 0, near -4 for even spread in many
    dimensions.
    """
    return float(
        np.log(
            np.exp(
                -2 * pdist(normalize(np.asarray(embeddings, dtype=np.float64)), "sqeuclidean")
            ).mean()
        )
    )


def _nearest(points):
    return NearestNeighbors(n_neighbors=1).fit(points).kneighbors(return_distance=False)[:, 0]


def _of_frequent(labels, smallest, predict):
    """Apply ``predict(codes, rows)`` to the images of classes with `smallest` or more; -1 elsewhere."""
    known = codes(labels)
    counts = np.bincount(known[known >= 0], minlength=1)
    rows = np.flatnonzero((known >= 0) & (counts[known] >= smallest))
    found = np.full(len(known), -1)
    if len(np.unique(known[rows])) > 1:
        found[rows] = predict(known[rows], rows)
    return found
