"""Scans drawn at random: seeded, with the mean, variance and correlation they are asked for."""

import numpy as np
import pytest

from semlib.images.simulator import microscope
from training import fields, held_out, noise

QUIET = {"dose": 100.0, "pulses": 0.0, "rows": 0.0, "columns": 0.0, "black": 0.0}
QUIET |= {"amplifier": 0.0, "jitter": 0.0, "charging": 0.0}


def scan(**settings):
    clean = np.full((256, 256), 100.0)
    return noise.scan(clean, np.random.default_rng(0), **QUIET | settings)


def test_shot_noise_is_the_simulators():
    ours = scan()
    theirs = microscope.acquire(np.full((256, 256), 100.0), np.random.default_rng(0), dose=100)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.5)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)


def test_settings_do_what_they_say():
    plain = scan().std()
    assert scan(pulses=1.0).std() > 1.1 * plain
    assert scan(black=-100).std() > 1.2 * plain > scan(black=50).std() * 1.2
    assert scan(amplifier=20).std() == pytest.approx(np.hypot(plain, 20), rel=0.03)
    for axis, settings in enumerate([{"columns": 0.4}, {"rows": 0.7}]):
        field = scan(**settings) - 100
        assert field.std() == pytest.approx(plain, rel=0.05)
        lagged = (field * np.roll(field, 1, axis)).mean() / field.var()
        assert lagged == pytest.approx(max(settings.values()), abs=0.05)
        assert abs((field * np.roll(field, 1, 1 - axis)).mean() / field.var()) < 0.03


def test_charging_shifts_rows():
    assert np.ptp(scan(charging=1.0).mean(1)) > 2 * np.ptp(scan().mean(1))


def test_drawn_settings_are_seeded_and_usable():
    clean = np.tile(np.linspace(0, 255, 64), (64, 1))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        settings = noise.draw(rng)
        assert settings == noise.draw(np.random.default_rng(seed))
        assert noise.DOSES[0] <= settings["dose"] <= noise.DOSES[1]
        seen = noise.scan(clean, rng, **settings)
        assert seen.dtype == np.float32
        assert 0 <= seen.min() <= seen.max() <= 255


@pytest.mark.slow
def test_fields_are_seeded_kept_and_marked(tmp_path):
    bank = fields.bank(6, seed=3, folder=tmp_path)
    again = fields.bank(6, seed=3, folder=tmp_path)
    for name in fields.NAMES:
        assert bank[name].shape == (6, fields.PIECE, fields.PIECE)
        assert np.array_equal(bank[name], again[name])
        assert np.array_equal(bank[name][2], fields.piece(3, 2)[fields.NAMES.index(name)])
    plain = ~bank["mask"].any((1, 2))
    assert np.array_equal(bank["clean"][plain], bank["golden"][plain])


def test_held_out_scores_rank_truth_noise_and_nothing():
    images = held_out.HeldOut(2, doses=(10,), size=96)
    noisy = images.judge(lambda image: image)
    assert noisy == held_out.HeldOut(2, doses=(10,), size=96).judge(lambda image: image)
    assert set(noisy) == {"psnr_10", "recall_10", "psnr_textures", "recall_textures"}
    grey = images.judge(lambda image: image * 0 + 0.4)
    assert grey["psnr_10"] > noisy["psnr_10"]
