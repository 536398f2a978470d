"""Features kept on the disk: once an image, whatever the order; nothing stale."""

import numpy as np
import pytest

from semlib.semclip import encoded

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
    features = encoded.once(tmp_path, IMAGES, counted, key="a", title="x")
    assert np.array_equal(features["mean"], IMAGES.mean((1, 2)).astype(np.float32))
    assert features["half"].dtype == np.float16 and np.array_equal(features["half"], IMAGES)


def test_each_image_is_encoded_once(tmp_path, counted):
    encoded.once(tmp_path, IMAGES[:4], counted, key="a", title="x")
    features = encoded.once(tmp_path, IMAGES[::-1], counted, key="a", title="x")
    assert counted.seen == 7
    assert np.array_equal(features["half"], IMAGES[::-1])


def test_another_key_or_image_is_encoded_anew(tmp_path, counted):
    encoded.once(tmp_path, IMAGES, counted, key="a", title="x")
    encoded.once(tmp_path, IMAGES, counted, key="b", title="x")
    encoded.once(tmp_path, IMAGES + 1, counted, key="a", title="x")
    assert counted.seen == 21


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, counted, monkeypatch):
    def dies(images):
        if counted.seen >= 4:
            raise KeyboardInterrupt
        return counted(images)

    monkeypatch.setattr(encoded, "BATCH", 2)
    with pytest.raises(KeyboardInterrupt):
        encoded.once(tmp_path, IMAGES, dies, key="a", title="x")
    assert len(list(tmp_path.iterdir())) == 4
    encoded.once(tmp_path, IMAGES, counted, key="a", title="x")
    assert counted.seen == 7
