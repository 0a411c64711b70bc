"""Where the videos of a batch go, and where its pictures are found."""

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
    """A relative name, folders in it included, is a file below the output folder."""
    outputs = OutputPaths(tmp_path / "videos")

    assert outputs.claim_path("a/b.mp4", ItemLocation(0)) == tmp_path / "videos/a/b.mp4"


@pytest.mark.parametrize(
    "name", ["../a.mp4", "a/../../b.mp4", "/tmp/a.mp4", "a/../b.mp4", ".", "a/", "x" * 300]
)
def test_nothing_leads_outside(tmp_path: Path, name: str) -> None:
    """Absolute names, steps upwards, folders and impossible names are refused."""
    with pytest.raises(OutputError):
        OutputPaths(tmp_path).claim_path(name, ItemLocation(0))


def test_a_symbolic_link_leads_nowhere(tmp_path: Path) -> None:
    """A link inside the folder to somewhere else is no way out."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/link").symlink_to(tmp_path)

    with pytest.raises(OutputError, match="leads out"):
        OutputPaths(tmp_path / "videos").claim_path("link/a.mp4", ItemLocation(0))


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """The same folder under another name gives the same files."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    name = OutputPaths(tmp_path / "link").claim_path("a.mp4", ItemLocation(0))

    assert name == tmp_path / "real/a.mp4"


@pytest.mark.parametrize("second", ["a.mp4", "./a.mp4", "a.mp4.json", RESULT_FILE, "a.mp4/b.mp4"])
def test_no_two_items_share_a_file(tmp_path: Path, second: str) -> None:
    """Nor does one take another's sidecar, or the batch's own result."""
    outputs = OutputPaths(tmp_path)
    outputs.claim_path("a.mp4", ItemLocation(0))

    with pytest.raises(OutputError, match="collides"):
        outputs.claim_path(second, ItemLocation(1))


def test_a_folder_of_others_is_no_file(tmp_path: Path) -> None:
    """What holds another item's video cannot be a video."""
    outputs = OutputPaths(tmp_path)
    outputs.claim_path("a/b.mp4", ItemLocation(0))

    with pytest.raises(OutputError, match="folder"):
        outputs.claim_path("a", ItemLocation(1))


def test_names_stay_the_same(tmp_path: Path) -> None:
    """A name comes from what is asked for, not from the place in the file."""
    first, second = OutputPaths(tmp_path), OutputPaths(tmp_path)
    other = second.generate_path(Request(prompt="something else"), ItemLocation(0))

    assert (
        first.generate_path(LION, ItemLocation(0))
        == second.generate_path(LION, ItemLocation(1))
        != other
    )
    assert first.generate_path(LION, ItemLocation(0)).name.startswith("a-lion-roaring-")


def test_the_very_same_asked_for_twice(tmp_path: Path) -> None:
    """Two items that ask for the same get two files, numbered in their order."""
    outputs = OutputPaths(tmp_path)
    names = [outputs.generate_path(LION, ItemLocation(index)).stem for index in range(3)]

    assert names == [names[0], f"{names[0]}-2", f"{names[0]}-3"]


@given(st.text())
def test_any_prompt_makes_a_name(prompt: str) -> None:
    """Whatever the prompt, the name is a file directly in the folder."""
    folder = Path("/videos")
    name = OutputPaths(folder).generate_path(Request(prompt=prompt), ItemLocation(0))

    assert name.parent == Path(OutputPaths(folder).folder)
    assert len(name.name.encode()) < 255


def test_frames_are_found_beside_the_file_first(tmp_path: Path) -> None:
    """Then in the working folder; an absolute path needs no folder."""
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
        (folder / "both.png").touch()
    (here / "only.png").touch()

    def found(source: str) -> str:
        return find_image(Image(source), (beside, here)).source

    assert found("both.png") == str(beside / "both.png")
    assert found("only.png") == str(here / "only.png")
    assert found(str(here / "both.png")) == str(here / "both.png")
    assert found("https://example.com/a.png") == "https://example.com/a.png"


@pytest.mark.parametrize("source", ["missing.png", "x" * 300, "~nobody-of-that-name/a.png", "."])
def test_a_missing_frame_is_told_with_its_places(tmp_path: Path, source: str) -> None:
    """The message names every folder that was looked in."""
    with pytest.raises(ImageError, match=f"no such file in {tmp_path}"):
        find_image(Image(source), (tmp_path,))


def test_a_shared_frame_is_looked_at_once(tmp_path: Path) -> None:
    """However many items name a picture, it is read and decoded once, broken or not."""
    (tmp_path / "a.png").touch()
    (tmp_path / "broken.png").touch()
    seen: list[str] = []
    lock = threading.Lock()

    def keep(image: Image) -> Image:
        with lock:
            seen.append(Path(image.source).name)
        if "broken" in image.source:
            raise ImageError("broken")
        return image

    names = ["a.png", "broken.png", "missing.png"] * 50
    looked = check_images([Image(name) for name in names], (tmp_path,), keep)

    assert sorted(seen) == ["a.png", "broken.png"]
    assert [type(looked[Image(name)]) for name in names[:3]] == [Image, ImageError, ImageError]
