"""The one-page profile from files, and the command line."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from semlib.__main__ import main
from semlib.semnr import damage, page, trust


@pytest.fixture
def files(tmp_path, lines, noisy):
    image, mask = lines
    arrays = {"reference": image, "restored": 0.5 * (image + noisy), "noisy": noisy}
    for name, values in arrays.items():
        Image.fromarray(np.uint8(np.rint(255 * values))).save(tmp_path / f"{name}.png")
    Image.fromarray(np.uint8(255 * mask)).save(tmp_path / "mask.png")
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, ["profile", *map(str, arguments)])


@pytest.mark.slow
def test_command_line_writes_a_png_and_a_csv(files, with_weights):
    out = files / "result"
    extra = ("--mask", files / "mask.png", "--noisy", files / "noisy.png", "--out", out)
    result = call(files / "reference.png", files / "restored.png", *extra)
    assert result.exit_code == 0, result.output
    for said in ("range: 0 to 255, as stated", "crop: nothing cut", "flags: none"):
        assert said in result.output
    table = pd.read_csv(f"{out}.csv", keep_default_na=False).set_index("image")
    half_the_noise = float(table.loc["noisy", "psnr"]) + 20 * np.log10(2)
    assert float(table.loc["restored", "psnr"]) == pytest.approx(half_the_noise, abs=0.3)
    assert table["verdict"].to_dict() == {"noisy": "", "restored": "no conflict"}
    assert set(table["range"]) == {"0 to 255, as stated"} and set(table["flags"]) == {""}
    with Image.open(f"{out}.png") as picture:
        assert min(picture.size) > 500


WRONG = {  # what profile called "no conflict: use it", and its flag
    "blank": lambda x, mask: np.full_like(x, 0.4),
    "inverted": lambda x, mask: 1 - x,
    "shifted": lambda x, mask: np.roll(x, 13, 1),
    "defect erased": lambda x, mask: damage.apply("defect erased", x, 1.0, seed=0, mask=mask),
}


@pytest.fixture
def drawn(monkeypatch):
    """Lines of text below the pictures of each page that is drawn."""
    lines = []
    draw = page.draw

    def keep(*arguments, **options):
        figure = draw(*arguments, **options)
        lines.append(figure.subfigs[-1].texts[0].get_text())
        return figure

    monkeypatch.setattr(page, "draw", keep)
    return lines


@pytest.mark.slow
@pytest.mark.parametrize(("flag", "with_noisy"), [*zip(WRONG, (True, False) * 2, strict=True)])
def test_a_flag_is_in_the_verdict_on_the_page_the_terminal_and_in_the_csv(
    flag, with_noisy, files, lines, noisy, drawn, without_weights
):
    image, mask = lines
    wrong = WRONG[flag](0.5 * (image + noisy), mask)
    Image.fromarray(np.uint8(np.rint(255 * wrong))).save(files / "wrong.png")
    extra = ("--mask", files / "mask.png", "--out", files / "page")
    extra += ("--noisy", files / "noisy.png") if with_noisy else ()
    result = call(files / "reference.png", files / "wrong.png", *extra)
    assert result.exit_code == 0, result.output
    row = pd.read_csv(files / "page.csv", keep_default_na=False).iloc[-1]
    assert row["verdict"] == flag and flag in row["flags"].split("; ")
    assert f"flags: {row['flags']}\n" in result.output and f"{flag}: " in row["notes"]
    assert drawn[-1].startswith(f"Verdict: {flag}. Next: ") and f"\n{flag}: " in drawn[-1]
    assert "\nGrey range: 0 to 255, as stated. Crop: nothing cut, no data bar." in drawn[-1]


@pytest.mark.slow
def test_scale_bar_and_many_notes_have_their_place(lines, noisy, without_weights, styled_figures):
    reference = trust.Reference(lines[0], mask=lines[1])
    profiles = {"restored": trust.profile(reference, noisy)}
    notes = [f"note {number} " + "of many words " * 20 for number in range(8)]
    title = "a folder with a $long$ name/" * 4
    options = {"notes": notes, "pixel_nm": 2.5}
    figure = page.draw(lines[0], {"restored": noisy}, profiles, title, **options)
    figure.canvas.draw()
    header, pictures, numbers, foot = figure.subfigs
    texts = [artist for axis in pictures.axes[:2] for artist in axis.artists]
    assert [bar.txt_label.get_text() for bar in texts] == ["50 nm", "50 nm"]
    box = foot.texts[0].get_window_extent()
    assert foot.bbox.x0 <= box.x0 and box.x1 <= foot.bbox.x1
    assert foot.bbox.y0 <= box.y0 and box.y1 <= foot.bbox.y1
    assert header.texts[0].get_window_extent().width < header.bbox.width


def test_the_data_bar_is_an_option(files, without_weights):
    result = call(files / "reference.png", files / "restored.png", "--bar", "some")
    assert result.exit_code == 2 and "bar is 'some': use auto, none" in result.output


@pytest.mark.slow
def test_without_mask_and_weights(files, without_weights, monkeypatch):
    monkeypatch.chdir(files)
    result = call("reference.png", "restored.png", "--bar", "0,10")
    assert result.exit_code == 0, result.output
    row = pd.read_csv(files / "restored_profile.csv").iloc[0]
    assert np.isnan(row["dists"]) and np.isnan(row["cnr"]) and row["fsim"] < 1
    assert row["verdict"] == "not judged"
    assert row["crop"] == "0 rows above and 10 below cut from all images"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: Image.new("RGB", (64, 64), "red").save(path), "coloured"),
        (lambda path: Image.new("L", (64, 60)).save(path), "shapes differ: "),
        (lambda path: path.write_bytes(b"no image"), "not a readable image"),
        (lambda path: None, "no such image file"),
    ],
)
def test_bad_files_are_one_line(files, make, said, without_weights):
    bad = files / "bad.png"
    make(bad)
    result = call(files / "reference.png", bad, "--out", files / "bad_profile")
    assert result.exit_code == 2 and said in result.output and len(result.output.splitlines()) == 1
    assert not list(files.glob("*profile*"))


def test_a_place_that_cannot_be_written_is_said_first(files):
    out = files / "mask.png" / "result"  # in a file
    result = call(files / "reference.png", files / "none.png", "--out", out)
    assert result.exit_code == 2 and result.output.startswith(
        f"error: cannot write to {out.parent}"
    )


def test_folder_of_equal_names(tmp_path):
    for part in ("reference", "restored"):
        (tmp_path / part).mkdir()
        Image.new("L", (64, 64)).save(tmp_path / part / "a.png")
    (files,) = page.folder(tmp_path)
    assert files["reference"].name == "a.png" and files["mask"] is None
    with pytest.raises(FileNotFoundError, match="reference/ and restored/"):
        page.folder(tmp_path / "reference")


def test_an_example_is_read_back_as_an_own_folder(tmp_path):
    rng = np.random.default_rng(0)
    images = {name: rng.random((40, 40)) for name in ("reference", "restored")}
    page.write_example(tmp_path, images)
    (files,) = page.folder(tmp_path)
    assert files["noisy"] is None and files["mask"] is None
    for name, image in images.items():
        stored = np.array(Image.open(files[name]))
        assert stored.dtype == np.uint8 and np.abs(stored / 255 - image).max() <= 0.5 / 255 + 1e-9
