import pytest

from semlib import paths


def test_data_and_figures_move_with_the_environment(tmp_path):
    place = paths.of("synthetic")
    assert place.data == tmp_path / "data" / "synthetic"
    assert place.figures == tmp_path / "figures" / "synthetic"
    assert place.raw == place.data / "raw" and place.archive == place.raw / "data.zip"
    assert place.ssl(3).parts[-2:] == ("ssl", "seed-3") and place.level(2).name == "level2.npy"
    assert place.ssl(3, "ours").parts[-2:] == ("ssl-ours", "seed-3")


def test_a_folder_is_only_read_and_named_after_itself(tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent / "My Images").mkdir(parents=True)
    first, second = (paths.of(tmp_path / parent / "My Images") for parent in ("a", "b"))
    assert first.name.startswith("my-images-") and first.name != second.name
    assert first.raw == tmp_path / "a" / "My Images"
    assert first.data == tmp_path / "data" / first.name


def test_a_folder_called_like_a_data_set_is_no_data_set(tmp_path, monkeypatch):
    (tmp_path / "synthetic").mkdir()
    assert paths.of(tmp_path / "synthetic").name != "synthetic"


def test_unknown_dataset_is_named():
    with pytest.raises(ValueError, match="'carinthai'.*carinthia-s"):
        paths.of("carinthai")


def test_atomic_leaves_the_old_file_when_writing_fails(tmp_path):
    target = tmp_path / "deep" / "table.csv"
    with paths.atomic(target) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), paths.atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and list(target.parent.iterdir()) == [target]


def test_atomic_removes_what_a_killed_run_left(tmp_path):
    target = tmp_path / "data"
    with paths.atomic(target) as temporary:
        leftover = temporary
        temporary.mkdir()
    assert target.is_dir()
    leftover.mkdir()
    (leftover / "half").write_text("left by a kill")
    target.rmdir()
    with paths.atomic(target) as temporary:
        assert not temporary.exists()
        temporary.write_text("new")
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


def test_a_folder_whose_name_is_not_utf_8_is_named(tmp_path):
    folder = tmp_path / "lot\udce9"  # the byte E9 of Latin-1
    try:
        folder.mkdir()
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(ValueError, match=r"the name of .*lot\\udce9' is not UTF-8: rename it"):
        paths.of(folder)


def test_a_folder_that_cannot_be_written_is_said_before_work(tmp_path):
    paths.check_writable(tmp_path / "new" / "folder", "elsewhere")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match=r"cannot write to .*file .*: elsewhere"):
        paths.check_writable(tmp_path / "file", "elsewhere")
