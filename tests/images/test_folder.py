"""Folders as people lay them out: images, labels, masks, and what is passed over."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from semlib.images import folder


def put(place, *names):
    """Small image files, or plain files, in a folder."""
    for name in names:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in folder.SUFFIXES:
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
        else:
            path.write_bytes(b"x")


def listed(place, column):
    return {image["path"]: image[column] for image in folder.listing(place).images}


def test_bmp_beside_png_and_masks_beside_images(tmp_path):
    put(tmp_path, "a.bmp", "b.png", "b_mask.png", "c.tif", "c_m.png", "d.jpg", "d_seg.png")
    assert listed(tmp_path, "mask_path") == {
        "a.bmp": "", "b.png": "b_mask.png", "c.tif": "c_m.png", "d.jpg": "d_seg.png"
    }  # fmt: skip


def test_an_ending_alone_makes_no_mask(tmp_path):
    put(tmp_path, "wafer_m.png", "chip_seg.png", "lost_mask.png")
    listing = folder.listing(tmp_path)
    assert [image["image_id"] for image in listing.images] == ["chip_seg", "wafer_m"]
    assert listing.passed_over == [(Path("lost_mask.png"), "a mask without its picture")]


def test_class_folders_beside_a_stray_image(tmp_path):
    put(tmp_path, "stray.png", "scratch/1.png", "scratch/2.png", "particle/1.png")
    assert listed(tmp_path, "label") == {
        "stray.png": "", "particle/1.png": "particle", "scratch/1.png": "scratch",
        "scratch/2.png": "scratch",
    }  # fmt: skip
    assert "class folders" in folder.listing(tmp_path).line()


def test_a_folder_beside_more_images_is_passed_over(tmp_path):
    put(tmp_path, "1.png", "2.png", "old/1.png")
    listing = folder.listing(tmp_path)
    assert len(listing.images) == 2
    why = "in a folder beside more images than it holds"
    assert listing.passed_over == [(Path("old/1.png"), why)]


@pytest.mark.parametrize("masks", ["masks", "Masks", "ground_truth"])
@pytest.mark.parametrize("name", ["1.png", "1_mask.png"])
def test_images_and_masks_in_folders(tmp_path, masks, name):
    put(tmp_path, "images/1.png", "images/2.png", f"{masks}/{name}", "overview.png")
    listing = folder.listing(tmp_path)
    assert listed(tmp_path, "mask_path") == {"images/1.png": f"{masks}/{name}", "images/2.png": ""}
    assert listing.passed_over == [(Path("overview.png"), "beside the folder images/")]


LABELS = "file,label\n1.png,scratch\n2.png,particle\n"


@pytest.mark.parametrize("name", ["labels.csv", "Labels.CSV", "labels.tsv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text",
    [
        LABELS,
        LABELS.replace(",", ";"),
        LABELS.replace(",", "\t"),
        "Class ; size ; Image\nscratch;5;1.png\nparticle;7;2.png\n",
        "path,LABEL\nlot/1.PNG,scratch\nlot\\2.png,particle\n".replace("lot", "{folder}"),
    ],
)
def test_lists_of_labels_in_any_writing(tmp_path, name, encoding, text):
    put(tmp_path, "1.png", "2.png")
    text = text.replace("{folder}", tmp_path.name)
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert listed(tmp_path, "label") == {"1.png": "scratch", "2.png": "particle"}


def test_a_list_names_images_in_class_folders(tmp_path):
    put(tmp_path, "a/1.png", "b/1.png", "b/2.png", "b/c.png")
    text = "file,label\nX:\\lot\\a\\1.png,hole\nB/1.png,line\n2,dot\n"
    (tmp_path / "labels.csv").write_text(text)
    labels = listed(tmp_path, "label")
    assert [labels[f"{name}.png"] for name in ("a/1", "b/1", "b/2", "b/c")] == [
        "hole", "line", "dot", "b"
    ]  # fmt: skip
    (tmp_path / "labels.csv").write_text("file,label\n1.png,hole\n")
    with pytest.raises(ValueError, match="line 2: '1.png' can be a/1 or b/1"):
        folder.listing(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\nc/1.png,hole\n")
    with pytest.raises(FileNotFoundError, match="line 2: 'c/1.png' is not an image"):
        folder.listing(tmp_path)


def test_names_that_differ_in_capitals_are_told_apart(tmp_path):
    put(tmp_path, "a.png", "A.png")
    (tmp_path / "labels.csv").write_text("file,label\nA.png,large\na.png,small\n")
    assert listed(tmp_path, "label") == {"A.png": "large", "a.png": "small"}


def test_columns_and_files_that_are_not_read_are_said(tmp_path):
    put(tmp_path, "1.png", "labels.xlsx", "notes.docx", "1.txt")
    (tmp_path / "labels.csv").write_text("file,label,operator\n1.png,scratch,A\n")
    assert folder.listing(tmp_path).line() == (
        "1 images, 1 labels, 0 masks (flat folder), 2 files passed over "
        "(labels.xlsx: a spreadsheet, save it as labels.csv; notes.docx: no image that is read); "
        "labels.csv: columns not read: operator"
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("name of file,kind\n1.png,x\n", "no column for the file"),
        ("file,kind\n1.png,x\n", "no column for the label"),
        ("file,label\n1.png,x\n1.png,y\n", "line 3: '1.png' is listed twice"),
        ("file,label\n9.png,x\n", "line 2: '9.png' is not an image"),
        ("file,label\n1.png\n", "line 2: 1 columns"),
        ("file,label\n1.png,x,y\n", "line 2: 3 columns"),
        (b"file,label\n1.png,Br\xfccke\n", "neither UTF-8 nor UTF-16"),
        ("", "no column for the file"),
    ],
)
def test_a_bad_list_of_labels_is_named_with_the_line(tmp_path, text, message):
    put(tmp_path, "1.png")
    (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((ValueError, FileNotFoundError), match=f"labels.csv.*{message}"):
        folder.listing(tmp_path)


def test_what_cannot_be_told_apart_is_an_error(tmp_path):
    put(tmp_path, "twins/1.png", "twins/1.tif")
    with pytest.raises(ValueError, match="1.png and 1.tif share a name"):
        folder.listing(tmp_path / "twins")
    put(tmp_path, "two/1.png", "two/1_mask.png", "two/masks/1.png")
    with pytest.raises(ValueError, match="1.png has two masks, masks/1.png and 1_mask.png"):
        folder.listing(tmp_path / "two")
    put(tmp_path, "other/1.png", "other/masks/9.png")
    with pytest.raises(ValueError, match="no mask has the name of one image, masks/9.png"):
        folder.listing(tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no image"):
        folder.listing(tmp_path / "empty")


@pytest.mark.parametrize(
    "link, target",
    [("2.png", "secret.png"), ("scratch", "folder"), ("masks", "folder"), ("labels.csv", "secret"),
     ("gone.png", "nowhere.png")],
)  # fmt: skip
def test_a_link_out_of_the_folder_is_an_error(tmp_path, link, target):
    put(tmp_path, "secret.png", "secret", "folder/1.png", "lot/1.png")
    (tmp_path / "lot" / link).symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match=f"{link} is a link to .*{target}, outside the folder"):
        folder.listing(tmp_path / "lot")


def test_a_link_within_the_folder_is_read(tmp_path):
    put(tmp_path, "1.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "1.png")
    assert list(listed(tmp_path, "path")) == ["1.png", "2.png"]


def test_masks_and_labels_inside_the_folder_of_images(tmp_path):
    put(tmp_path, "images/1.png", "images/masks/1.png")
    (tmp_path / "images" / "Labels.CSV").write_text("file,label\n1.png,scratch\n")
    assert listed(tmp_path, "mask_path") == {"images/1.png": "images/masks/1.png"}
    assert listed(tmp_path, "label") == {"images/1.png": "scratch"}


def test_images_in_deeper_folders_are_named(tmp_path):
    put(tmp_path, "train/scratch/1.png", "val/hole/2.png")
    with pytest.raises(ValueError, match="there are images in train/scratch, val/hole: name such"):
        folder.listing(tmp_path)
    put(tmp_path, "train/3.png")
    assert folder.listing(tmp_path).line() == (
        "1 images, 1 labels, 0 masks (class folders), 2 files passed over "
        "(train/scratch/1.png, val/hole/2.png: in a folder that is not read)"
    )


@pytest.mark.parametrize("name", ["gone", "file.png"])
def test_what_is_no_folder_is_named(tmp_path, name):
    put(tmp_path, "file.png")
    with pytest.raises(FileNotFoundError, match=f"{name} is no folder"):
        folder.listing(tmp_path / name)


@pytest.mark.parametrize("name", ["1.png", "scratch"])
def test_a_name_in_latin_1_is_an_error(tmp_path, name):
    put(tmp_path, "1.png", "scratch/2.png")
    (tmp_path / name).rename(tmp_path / b"\xe4.png".decode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="is not UTF-8: rename it"):
        folder.listing(tmp_path)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(content=st.one_of(st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
def test_any_list_of_labels_is_read_or_refused(tmp_path_factory, content):
    place = tmp_path_factory.mktemp("lot")
    put(place, "1.png")
    (place / "labels.csv").write_bytes(b"file,label\n" * (content[:1] < b"x") + content)
    try:
        images = folder.listing(place).images
    except (ValueError, FileNotFoundError) as error:
        assert "labels.csv" in str(error)
    else:
        assert [image["image_id"] for image in images] == ["1"]


@pytest.mark.slow
def test_damaged_lists_are_read_or_refused(tmp_path, within):
    """10,000 lists with bytes changed, put in or cut off: the two images, or an error by name."""
    put(tmp_path, "1.png", "scratch/2.png", "scratch/3.png")
    rng = np.random.default_rng(0)
    text = 'file;label;"remark"\r\n1.png;Kratzer ä;"a ""b"""\r\nscratch\\2.png;"hole;deep";\r\n'
    kinds = [text.encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16")]
    lists = 0
    for number in range(10_000):
        content = bytearray(kinds[number % 3])
        for _ in range(rng.integers(1, 4)):
            place = rng.integers(len(content))
            content[place : place + rng.integers(3)] = rng.bytes(rng.integers(3))
        content = content[: rng.integers(len(content)) if number % 5 == 0 else None]
        (tmp_path / "labels.csv").unlink(missing_ok=True)
        (tmp_path / "labels.csv").write_bytes(content)
        with within(2, f"list {number}"):
            try:
                images = folder.listing(tmp_path).images
            except (ValueError, FileNotFoundError) as error:
                assert "labels.csv" in str(error)
                continue
        assert [image["image_id"] for image in images] == ["1", "scratch-2", "scratch-3"]
        assert images[2]["label"] == "scratch" or b"3" in content
        lists += 1
    assert 1_000 < lists < 9_000
