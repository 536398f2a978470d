import numpy as np
import pytest
import pywt
import tifffile
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score

from semlib.images import datasets, simulator
from semlib.images.preprocess import preprocess_dataset
from semlib.morphology import features
from semlib.morphology.clustering import fit_clusters, standardise
from tests.images.own_files import bar

PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")


@pytest.fixture
def images():
    """A ramp, noise, three flat greys (many ties), a constant and a smooth texture."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    texture = np.cumsum(rng.normal(size=(48, 64)), axis=1)
    texture = (100 + 10 * (texture - texture.mean()) / texture.std()).clip(0, 255).astype(np.uint8)
    noise = rng.integers(0, 256, (48, 64), dtype=np.uint8)
    return np.stack([ramp, noise, noise % 3, np.full_like(noise, 7), texture])


@pytest.mark.parametrize("levels", [256, 32])
@pytest.mark.parametrize("distances", [(1,), (1, 3)])
def test_glcm_equals_scikit_image(images, levels, distances):
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    expected = []
    for image in images:
        image = image // (256 // levels)
        matrix = graycomatrix(image, distances, angles, levels, symmetric=True, normed=True)
        each = [graycoprops(matrix, name).mean(axis=1) for name in PROPERTIES]
        expected.append(np.stack(each, axis=1).ravel())
    ours = features.glcm(images, distances=distances, levels=levels, progress=False)
    assert ours.shape == (5, 5 * len(distances)) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("method", "bins"), [("uniform", 10), ("default", 256)])
def test_lbp_equals_scikit_image(images, method, bins):
    codes = [local_binary_pattern(image, 8, 1, method) for image in images]
    expected = [np.bincount(code.astype(int).ravel(), minlength=bins) / code.size for code in codes]
    ours = features.lbp(images, method=method, progress=False)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    np.testing.assert_allclose(ours.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", ["flat", "ramp along y", "ramp along x", "few greys"])
def test_lbp_where_neighbours_equal_the_centre(name):
    ramp = np.repeat(np.arange(100, dtype=np.uint8), 2)
    image = {
        "flat": np.full((97, 150), 77, np.uint8),
        "ramp along y": np.tile(ramp[:, None], 70),
        "ramp along x": np.tile(ramp, (70, 1)),
        "few greys": np.random.default_rng(0).integers(0, 3, (130, 90), np.uint8) * 100,
    }[name]
    codes = local_binary_pattern(image, 8, 1, "default").astype(int)
    ours = features.lbp(image[None], method="default", progress=False)[0]
    expected = np.bincount(codes.ravel(), minlength=256) / codes.size
    np.testing.assert_array_equal(ours, expected.astype(np.float32))


@pytest.mark.parametrize("family", ["haar", "db2"])
def test_wavelet_statistics_equal_pywavelets(images, family):
    expected = []
    for image in images:
        approximation, *details = pywt.wavedec2(image.astype(float), family, level=2)
        bands = [approximation, *[band for level in details for band in level]]
        expected.append([f(band) for band in bands for f in (lambda b: np.abs(b).mean(), np.std)])
    ours = features.wavelet(images, family=family, progress=False)
    assert ours.shape == (5, 14)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-3)


def test_haar_of_a_constant_image():
    image = np.full((1, 16, 16), 10, np.uint8)
    values = features.wavelet(image, family="haar", statistics=["mean"], progress=False)
    np.testing.assert_allclose(values[0], [40, 0, 0, 0, 0, 0, 0], atol=1e-5)


def test_pca_equals_scikit_learn():
    images = np.random.default_rng(0).integers(0, 256, (30, 20, 24), dtype=np.uint8)
    expected = PCA(12, svd_solver="full").fit_transform(images.reshape(30, -1).astype(float))
    ours = features.pca(images, components=12, block=37, progress=False)
    signs = np.sign((ours * expected).sum(axis=0))
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(ours * signs, expected, rtol=1e-5, atol=tolerance)
    assert (ours[np.abs(ours).argmax(axis=0), range(12)] > 0).all()


def test_pca_reads_a_memmap_in_blocks(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    whole = features.pca(images, components=3, block=64, progress=False)
    parts = features.pca(mapped, components=3, block=5, progress=False)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-2)


def test_all_black_images_give_finite_features():
    black = np.zeros((3, 16, 16), np.uint8)
    for name in ("glcm", "lbp", "wavelet"):
        assert np.isfinite(getattr(features, name)(black, progress=False)).all()
    assert (features.pca(black, components=2, progress=False) == 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: features.pca(x, components=6), "6 components of 5 images"),
        (lambda x: features.pca(x, components=0), "0 components"),
        (lambda x: features.glcm(x, levels=100), "divide 256, got 100"),
        (lambda x: features.glcm(x, distances=[48]), r"\[48\]"),
        (lambda x: features.lbp(x, method="ror"), "'ror'"),
        (lambda x: features.wavelet(x, family="nosuch"), "'nosuch'"),
        (lambda x: features.wavelet(x, statistics=["median"]), "median"),
        (lambda x: features.lbp(x.astype(float)), "float64"),
        (lambda x: features.lbp(x[0]), r"\(48, 64\)"),
    ],
)
def test_bad_arguments_are_named(images, call, message):
    with pytest.raises((ValueError, KeyError), match=message):
        call(images)


def test_unknown_methods_and_statistics_are_named():
    images = np.zeros((1, 16, 16), np.uint8)
    with pytest.raises(ValueError, match="LBP method 'ror': use one of uniform, default"):
        features.lbp(images, method="ror")
    with pytest.raises(ValueError, match=r"wavelet statistics \['max'\]: use some of mean"):
        features.wavelet(images, statistics=["max", "std"])


@pytest.fixture(scope="module")
def scans():
    return simulator.sample(24, seed=0, size=160).images


def as_counts(scan):
    """128 levels in the middle of 16 bits, as a detector of 10 bits may write them."""
    return scan.astype(np.uint16) * 8 + 2000


def with_hot_pixel(scan, there):
    counts = as_counts(scan)
    counts[70, 70] = 65535 if there else counts[70, 70]
    return counts


def with_white_bar(scan, there):
    white_on_black = bar("white on black", 24, 160).astype(np.uint16) * 257
    return np.concatenate([as_counts(scan), white_on_black]) if there else as_counts(scan)


def with_bar_of_two_styles(scan, second):
    style = "framed black on white" if second else "white on black"
    return np.concatenate([scan, bar(style, 24, 160)])


KINDS = {
    "8 and 16 bits": lambda scan, second: as_counts(scan) if second else scan,
    "hot pixel": with_hot_pixel,
    "white bar": with_white_bar,
    "two styles of bars": with_bar_of_two_styles,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_clusters_are_not_how_a_file_was_written(scans, tmp_path, kind):
    """Two clusters were depth, hot pixel or style of the bar: NMI .82 to 1.00."""
    for number, scan in enumerate(scans):
        # copies of one scan in both depths, else each scan once
        seconds = (0, 1) if kind == "8 and 16 bits" else (number % 2,)
        for second in seconds:
            tifffile.imwrite(tmp_path / f"{number:02}-{second}.tif", KINDS[kind](scan, second))
    written = datasets.manifest(tmp_path)["image_id"].str[-1]
    images = np.load(preprocess_dataset(tmp_path, size=64))
    vectors = {name: standardise(method(images)) for name, method in features.TEXTURE.items()}
    vectors["PCA"] = features.pca(images, components=20)
    for name, values in vectors.items():
        clusters = fit_clusters(values, k=2).labels_
        assert normalized_mutual_info_score(written, clusters) < 0.1, name
