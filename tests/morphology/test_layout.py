import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from semlib.morphology import layout


@pytest.fixture(scope="module")
def two_groups():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(80, 6)).astype(np.float32)
    points[40:, 0] += 30
    return points


UMAP = pytest.param("umap", marks=pytest.mark.slow)  # compiles itself for half a minute


@pytest.mark.slow
@pytest.mark.parametrize("view", [UMAP, "tsne"])
def test_groups_stay_apart_and_the_seed_decides(two_groups, view):
    first, second = (getattr(layout, view)(two_groups, seed=3) for _ in range(2))
    assert first.shape == (80, 2) and np.array_equal(first, second)
    near = cdist(first, first) + np.diag(np.full(80, np.inf))
    assert ((near.argmin(axis=1) < 40) == (np.arange(80) < 40)).mean() > 0.95


@pytest.mark.parametrize("view", [UMAP, "tsne"])
@pytest.mark.parametrize("count", [3, 4, 7])
def test_a_handful_of_images_has_a_view(count, view):
    points = np.random.default_rng(0).normal(size=(count, 5))
    points = getattr(layout, view)(points)
    assert points.shape == (count, 2) and np.isfinite(points).all()


def test_too_few_embeddings():
    with pytest.raises(ValueError, match="3 or more images, got 2"):
        layout.tsne(np.zeros((2, 4)))


@pytest.mark.slow
def test_another_process_finds_umap_compiled_and_gives_the_same_layout(tmp_path):
    program = """if True:
        import numpy as np
        from semlib.morphology import layout
        points = np.random.default_rng(0).standard_normal((60, 5))
        view = layout.umap(points)
        from umap import layouts, umap_
        functions = umap_.smooth_knn_dist, layouts._nb_optimize_layout_euclidean_single_epoch
        print([sum(f.stats.cache_hits.values()) for f in functions], view.tobytes().hex())
    """
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    run = [
        subprocess.check_output([sys.executable, "-c", program], text=True, env=environment)
        for _ in range(2)
    ]
    (first, layout), (second, again) = (text.rsplit(maxsplit=1) for text in run)
    assert (first, second) == ("[0, 0]", "[1, 1]") and layout == again
