"""The cache of features: once an image, whatever the order; nothing stale."""

import numpy as np
import pytest

from semlib.semclip import cache

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 4)).astype(np.uint8)


@pytest.fixture
def counted():
    """An encoder that counts the images it is given."""

    def encode(images):
        encode.seen += len(images)
        return {"mean": images.mean((1, 2)).astype(np.float32), "half": images.astype(np.float16)}

    encode.seen = 0
    return encode


def test_features_are_those_of_the_images_in_their_order(tmp_path, counted):
    found = cache.cached(tmp_path, IMAGES, counted, key="a", batch_size=3)
    assert np.array_equal(found["mean"], IMAGES.mean((1, 2)).astype(np.float32))
    assert found["half"].dtype == np.float16 and np.array_equal(found["half"], IMAGES)


def test_each_image_is_encoded_once(tmp_path, counted):
    cache.cached(tmp_path, IMAGES[:4], counted, key="a")
    found = cache.cached(tmp_path, IMAGES[::-1], counted, key="a", batch_size=2)
    assert counted.seen == 7
    assert np.array_equal(found["half"], IMAGES[::-1])


def test_another_key_or_image_is_encoded_anew(tmp_path, counted):
    cache.cached(tmp_path, IMAGES, counted, key="a")
    cache.cached(tmp_path, IMAGES, counted, key="b")
    cache.cached(tmp_path, IMAGES + 1, counted, key="a")
    assert counted.seen == 21


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, counted):
    def dies(images):
        if counted.seen >= 4:
            raise KeyboardInterrupt
        return counted(images)

    with pytest.raises(KeyboardInterrupt):
        cache.cached(tmp_path, IMAGES, dies, key="a", batch_size=2)
    assert len(list(tmp_path.iterdir())) == 4
    cache.cached(tmp_path, IMAGES, counted, key="a", batch_size=2)
    assert counted.seen == 7


def test_the_digest_knows_values_types_shapes_and_files(tmp_path):
    (tmp_path / "a.txt").write_text("1")
    array = np.arange(4)
    distinct = {
        cache.digest(array),
        cache.digest(array.astype(np.int32)),
        cache.digest(array.reshape(2, 2)),
        cache.digest(array + 1),
        cache.digest(tmp_path),
        cache.digest("x", array),
    }
    (tmp_path / "a.txt").write_text("2")
    assert len(distinct | {cache.digest(tmp_path)}) == 7
    assert cache.digest(array, "x") == cache.digest(np.arange(4), "x")
