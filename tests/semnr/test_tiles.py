"""Tiles: they cover the image once, seams are not seen."""

from functools import partial

import numpy as np
import pytest

from semlib.semnr import denoise, tiles


@pytest.mark.parametrize("side", [16, 100, 256, 257, 500, 1000])
def test_spans_cover_a_side_and_share_enough(side):
    spans = tiles.spans(side, 256, 32)
    assert spans[0].start == 0 and spans[-1].stop == side
    assert all(span.stop - span.start <= 256 for span in spans)
    shared = [a.stop - b.start for a, b in zip(spans, spans[1:], strict=False)]
    assert all(pixels >= 32 - tiles.STEP for pixels in shared)
    assert all(span.start % tiles.STEP == 0 for span in spans)


def test_a_network_that_does_nothing_does_nothing():
    image = np.random.default_rng(0).random((130, 170), np.float32)
    restored = tiles.restore(lambda piece: piece, image, tile=64, overlap=16)
    assert restored == pytest.approx(image, abs=1e-6)


def test_seams_are_not_seen(noisy):
    image = np.tile(noisy, (2, 2))[:160, :200]
    network = partial(denoise.restore, denoise.network("mse"))
    whole = tiles.restore(network, image, tile=512, overlap=96)
    tiled = tiles.restore(network, image, tile=128, overlap=64)
    assert len(tiles.spans(200, 128, 64)) > 1
    assert np.abs(whole - tiled).max() < 0.01  # 2 grey levels; a hard seam has ten times that
    assert whole.clip(0, 1) == pytest.approx(denoise.denoise("U-Net MSE", image), abs=1e-6)


def test_bad_overlap():
    with pytest.raises(ValueError, match="overlap=64"):
        tiles.restore(np.copy, np.zeros((32, 32), np.float32), tile=64, overlap=64)
