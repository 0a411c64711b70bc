"""Output paths of a batch, and the lookup of its images."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.batch.paths import RESULT_FILE, OutputPaths
from veo.batch.validate import check_images, find_image
from veo.errors import ImageError, OutputError
from veo.image import Image
from veo.problems import ItemLocation
from veo.request import Request

LION = Request(prompt="A lion, roaring")


def test_outputs_are_below_the_folder(tmp_path: Path) -> None:
    """A relative path, with subfolders too, is a file below the output folder."""
    outputs = OutputPaths(tmp_path / "videos")

    assert outputs.claim_path("a/b.mp4", ItemLocation(0)) == tmp_path / "videos/a/b.mp4"


@pytest.mark.parametrize(
    "name", ["../a.mp4", "a/../../b.mp4", "/tmp/a.mp4", "a/../b.mp4", ".", "a/", "x" * 300]
)
def test_paths_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    """Absolute paths, parent folders, folders and names that are too long are refused."""
    with pytest.raises(OutputError):
        OutputPaths(tmp_path).claim_path(name, ItemLocation(0))


def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A symbolic link inside the folder cannot lead to a file outside."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/link").symlink_to(tmp_path)

    with pytest.raises(OutputError, match="leads out"):
        OutputPaths(tmp_path / "videos").claim_path("link/a.mp4", ItemLocation(0))


def test_the_folder_may_be_a_symbolic_link(tmp_path: Path) -> None:
    """A symbolic link to the folder gives the same paths as the folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    name = OutputPaths(tmp_path / "link").claim_path("a.mp4", ItemLocation(0))

    assert name == tmp_path / "real/a.mp4"


@pytest.mark.parametrize(
    "second", ["a.mp4", "./a.mp4", "A.MP4", "a.mp4.json", RESULT_FILE, "a.mp4/b"]
)
def test_no_two_items_share_a_file(tmp_path: Path, second: str) -> None:
    """An item cannot take the video or sidecar of another, or the result file of the batch."""
    outputs = OutputPaths(tmp_path)
    outputs.claim_path("a.mp4", ItemLocation(0))

    with pytest.raises(OutputError, match="collides"):
        outputs.claim_path(second, ItemLocation(1))


def test_a_folder_of_outputs_is_not_an_output(tmp_path: Path) -> None:
    """A folder that holds the output of an item cannot be the output of another."""
    outputs = OutputPaths(tmp_path)
    outputs.claim_path("a/b.mp4", ItemLocation(0))

    with pytest.raises(OutputError, match="folder"):
        outputs.claim_path("a", ItemLocation(1))


def test_generated_paths_are_stable(tmp_path: Path) -> None:
    """A generated path depends on the request, not on the place in the file."""
    first, second = OutputPaths(tmp_path), OutputPaths(tmp_path)
    other = second.generate_path(Request(prompt="something else"), ItemLocation(0))

    assert (
        first.generate_path(LION, ItemLocation(0))
        == second.generate_path(LION, ItemLocation(1))
        != other
    )
    assert first.generate_path(LION, ItemLocation(0)).name.startswith("a-lion-roaring-")


def test_equal_requests_are_numbered(tmp_path: Path) -> None:
    """Items with equal requests get paths of their own, numbered in order."""
    outputs = OutputPaths(tmp_path)
    names = [outputs.generate_path(LION, ItemLocation(index)).stem for index in range(3)]

    assert names == [names[0], f"{names[0]}-2", f"{names[0]}-3"]


@given(st.text())
def test_any_prompt_gives_a_path(prompt: str) -> None:
    """Any prompt gives a path directly in the folder."""
    folder = Path("/videos")
    name = OutputPaths(folder).generate_path(Request(prompt=prompt), ItemLocation(0))

    assert name.parent == Path(OutputPaths(folder).folder)
    assert len(name.name.encode()) < 255


def test_images_are_found_beside_the_file_first(tmp_path: Path) -> None:
    """Images are looked up beside the file, then in the current folder; URLs are not."""
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
        (folder / "both.png").touch()
    (here / "only.png").touch()

    def find_source(source: str) -> str:
        return find_image(Image(source), (beside, here)).source

    assert find_source("both.png") == str(beside / "both.png")
    assert find_source("only.png") == str(here / "only.png")
    assert find_source(str(here / "both.png")) == str(here / "both.png")
    assert find_source("https://example.com/a.png") == "https://example.com/a.png"


@pytest.mark.parametrize("source", ["missing.png", "x" * 300, "~nobody-of-that-name/a.png", "."])
def test_a_missing_image_names_the_folders(tmp_path: Path, source: str) -> None:
    """The message names every folder in which the image was looked up."""
    with pytest.raises(ImageError, match=f"no such file in {tmp_path}"):
        find_image(Image(source), (tmp_path,))


def test_a_shared_image_is_checked_once(tmp_path: Path) -> None:
    """An image that many items name is stored once, valid or not."""
    (tmp_path / "a.png").touch()
    (tmp_path / "broken.png").touch()
    stored: list[str] = []
    lock = threading.Lock()

    def store_image(image: Image) -> Image:
        with lock:
            stored.append(Path(image.source).name)
        if "broken" in image.source:
            raise ImageError("broken")
        return image

    names = ["a.png", "broken.png", "missing.png"] * 50
    checked = check_images([Image(name) for name in names], (tmp_path,), store_image)

    assert sorted(stored) == ["a.png", "broken.png"]
    assert [type(checked[Image(name)]) for name in names[:3]] == [Image, ImageError, ImageError]


def test_names_that_are_one_file_on_some_systems(tmp_path: Path) -> None:
    """Case, and how an accent is written, tell no two outputs apart; folders are shared."""
    outputs = OutputPaths(tmp_path)
    outputs.claim_path("Löwe/b.mp4", ItemLocation(0))

    outputs.claim_path("lo\u0308we/c.mp4", ItemLocation(1))
    with pytest.raises(OutputError, match="collides with the output of item 1"):
        outputs.claim_path("LO\u0308WE/b.mp4", ItemLocation(2))
