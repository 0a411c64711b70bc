"""The sandbox's videos are what a viewer and a container parser expect."""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageOps, ImageStat

from veo_sandbox.clips import ClipSpec, StoppedError, extend, render
from veo_sandbox.clips.captions import draw_caption
from veo_sandbox.clips.mp4 import join, pad_clip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for the clips of this module, each made once."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def lion(folder: Path) -> Path:
    """A clip from text, 720x1280."""
    render(ClipSpec("a majestic lion in the savannah", 720, 1280), folder / "lion.mp4")
    return folder / "lion.mp4"


@pytest.fixture(scope="module")
def longer(folder: Path, lion: Path) -> Path:
    """The lion's clip and seven seconds."""
    extend(lion, "it walks to the river", folder / "longer.mp4")
    return folder / "longer.mp4"


@cache
def pictures(path: Path) -> list[Image.Image]:
    """All frames, a quarter as wide."""
    with av.open(str(path)) as video:
        return [
            frame.to_image(width=frame.width // 4, height=frame.height // 4)
            for frame in video.decode(video=0)
        ]


def boxes(data: bytes) -> list[str]:
    """Names of the top-level boxes."""
    names, place = [], 0
    while place < len(data):
        size, name = struct.unpack(">I4s", data[place : place + 8])
        names.append(name.decode())
        place += size
    assert place == len(data)
    return names


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of a channel, the other picture cut to cover the first."""
    covering = ImageOps.fit(other.convert("RGB"), one.size, Image.Resampling.LANCZOS)
    return max(ImageStat.Stat(ImageChops.difference(one, covering)).mean)


def drawn(path: Path, size: tuple[int, int], ground: str, shape: str) -> Path:
    """A picture that is told from another at a glance."""
    image = Image.new("RGB", size, ground)
    width, height = size
    ImageDraw.Draw(image).ellipse((width / 5, height / 5, width / 2, height / 2), fill=shape)
    image.save(path)
    return path


def packets(path: Path, kind: str) -> list[bytes]:
    """The encoded packets of a stream."""
    with av.open(str(path)) as video:
        stream = video.streams.best(kind)
        return [bytes(packet) for packet in video.demux(stream) if packet.dts is not None]


def test_text_makes_8_seconds_of_picture_and_sound(lion: Path) -> None:
    """8.0 s, 24 frames a second, H.264 and AAC at 48 kHz stereo, the index last."""
    with av.open(str(lion)) as video:
        picture, sound = video.streams.video[0], video.streams.audio[0]

        assert video.duration == 8_000_000
        assert (picture.codec_context.name, picture.average_rate) == ("h264", 24)
        assert (picture.width, picture.height, picture.frames) == (720, 1280, 192)
        assert (sound.codec_context.name, sound.rate, sound.layout.name) == (
            "aac",
            48_000,
            "stereo",
        )
    assert boxes(lion.read_bytes()) == ["ftyp", "free", "mdat", "moov"]
    assert len(pictures(lion)) == 192


def test_frames_that_are_not_encoded_repeat_the_one_before(lion: Path) -> None:
    """Each image is held for three frames, and every player decodes them as equals."""
    frames = [frame.tobytes() for frame in pictures(lion)]
    held = [frames[number : number + 3] for number in range(0, len(frames), 3)]

    assert all(len(set(group)) == 1 for group in held)
    assert len({group[0] for group in held}) > 60


def test_the_picture_moves_and_the_sound_sounds(lion: Path) -> None:
    """Neither a still nor silence."""
    frames = pictures(lion)
    with av.open(str(lion)) as video:
        loudest = max(
            max(abs(low), abs(high))
            for frame in video.decode(audio=0)
            for plane in frame.planes
            for low, high in [_extremes(bytes(plane))]
        )

    assert difference(frames[0], frames[96]) > 1
    assert 0.02 < loudest < 0.9


def groups(data: bytes, size: int) -> Iterator[bytes]:
    """The bytes, `size` at a time."""
    return (data[start : start + size] for start in range(0, len(data), size))


def _extremes(samples: bytes) -> tuple[float, float]:
    values = struct.unpack(f"<{len(samples) // 4}f", samples)
    return min(values), max(values)


def test_the_prompt_decides_the_scene(folder: Path) -> None:
    """The same words make the same film, other words another."""
    spec = ClipSpec("harbour at dawn", 320, 180, seconds=1)
    for name, clip in (("a", spec), ("b", spec), ("c", ClipSpec("desert", 320, 180, seconds=1))):
        render(clip, folder / f"{name}.mp4")
    same, again, other = ((folder / f"{name}.mp4").read_bytes() for name in "abc")

    assert same == again
    assert same != other


@pytest.mark.parametrize(
    ("width", "height", "seconds"),
    [(1280, 720, 0.5), (1920, 1080, 0.5), (3840, 2160, 0.25), (90, 160, 4)],
)
def test_any_size_and_length(folder: Path, width: int, height: int, seconds: float) -> None:
    """Large pictures are scaled up from a drawn one; all have their exact size and length."""
    path = folder / f"{width}.mp4"
    render(ClipSpec("x", width, height, seconds), path)
    with av.open(str(path)) as video:
        picture = video.streams.video[0]

        assert (picture.width, picture.height) == (width, height)
        assert video.duration == seconds * 1_000_000


def test_two_frames_are_faded_into_each_other(folder: Path) -> None:
    """It starts on the first, ends on the last, and is between them in the middle."""
    start = drawn(folder / "start.png", (900, 700), "#304060", "#f0c020")
    end = drawn(folder / "end.jpg", (600, 1400), "#802030", "#20c0a0")
    path = folder / "fade.mp4"
    render(ClipSpec("smoothly", 720, 1280, 2, str(start), str(end)), path)
    frames = pictures(path)
    first, last = Image.open(start), Image.open(end)

    assert difference(frames[0], first) < 12
    assert difference(frames[-1], last) < 12
    assert difference(frames[24], first) > 20
    assert difference(frames[24], last) > 20


def test_one_frame_is_where_it_starts(folder: Path) -> None:
    """It begins on the picture and moves away from it slowly."""
    start = drawn(folder / "one.png", (1000, 1000), "#204080", "#f04020")
    path = folder / "zoom.mp4"
    render(ClipSpec("closer", 1280, 720, 2, str(start)), path)
    frames = pictures(path)

    assert len(frames) == 48
    assert difference(frames[0], Image.open(start)) < 12
    assert difference(frames[-1], frames[0]) > difference(frames[2], frames[0])


def test_references_are_shown(folder: Path) -> None:
    """Three small pictures, so that a viewer sees what was sent."""
    colours = ("#ff0000", "#00ff00", "#0000ff")
    paths = [drawn(folder / f"ref{n}.png", (300, 300), c, c) for n, c in enumerate(colours)]
    path = folder / "references.mp4"
    render(ClipSpec("x", 640, 360, 0.5, references=tuple(map(str, paths))), path)
    [frame, *_] = pictures(path)
    strong = {
        channel
        for pixel in groups(frame.tobytes(), 3)
        for channel in range(3)
        if pixel[channel] > 150 and sum(pixel) - pixel[channel] < 120
    }

    assert strong == {0, 1, 2}


class TestExtend:
    """Seven seconds more."""

    def test_one_merged_file_of_15_seconds(self, longer: Path) -> None:
        """8 s become 15.0 s."""
        with av.open(str(longer)) as video:
            assert video.duration == 15_000_000
        assert len(pictures(longer)) == 360

    def test_the_first_part_is_the_earlier_clip(self, lion: Path, longer: Path) -> None:
        """Packet by packet: nothing was encoded again."""
        for kind in ("video", "audio"):
            earlier = packets(lion, kind)
            assert packets(longer, kind)[: len(earlier)] == earlier

    def test_it_goes_on_from_the_last_frame(self, lion: Path, longer: Path) -> None:
        """No jump at the seam, another scene at the end."""
        frames = pictures(longer)

        assert difference(frames[192], pictures(lion)[-1]) < 6
        assert difference(frames[-1], pictures(lion)[-1]) > 6

    def test_sound_and_picture_stay_together(self, folder: Path, longer: Path) -> None:
        """Extended again, the sound is still as long as the picture, within a packet."""
        path = folder / "longest.mp4"
        extend(longer, "and drinks", path)
        with av.open(str(path)) as video:
            assert video.duration == 22_000_000
            sound = video.streams.audio[0]
            assert sound.duration is not None
            assert sound.duration / 48_000 == pytest.approx(22, abs=0.03)

    def test_a_foreign_clip_is_refused(self, folder: Path, lion: Path) -> None:
        """Copying streams of another make would break the second half."""
        other = folder / "other.mp4"
        render(ClipSpec("x", 320, 180, 0.5), other)

        with pytest.raises(ValueError, match="not encoded like its continuation"):
            join(lion, other, folder / "broken.mp4")
        assert not (folder / "broken.mp4").exists()


class TestFiles:
    """What is on disk, and when."""

    def test_a_clip_called_off_leaves_nothing(self, tmp_path: Path) -> None:
        """Neither a file nor a draft."""
        with pytest.raises(StoppedError):
            render(ClipSpec("x", 320, 180, 1), tmp_path / "x.mp4", lambda: True)

        assert list(tmp_path.iterdir()) == []

    def test_a_tiny_clip_is_whole_and_small(self, tmp_path: Path) -> None:
        """The length and formats of a real one in a few kilobytes."""
        render(ClipSpec("x", 720, 1280, tiny=True), tmp_path / "x.mp4")
        with av.open(str(tmp_path / "x.mp4")) as video:
            assert video.duration == 8_000_000
            assert [stream.codec_context.name for stream in video.streams] == ["h264", "aac"]
        assert (tmp_path / "x.mp4").stat().st_size < 30_000

    @pytest.mark.parametrize("missing", [1, 7, 8, 9, 5000])
    def test_padding_is_a_box_of_its_own(self, lion: Path, missing: int) -> None:
        """The file stays well-formed to its last byte."""
        clip = lion.read_bytes()

        assert boxes(pad_clip(clip, len(clip) + missing))[-1] == "free"
        assert pad_clip(clip, len(clip) - 1) == clip


class TestCaptions:
    """Words on pictures."""

    @pytest.mark.parametrize(
        "text",
        ["lion", "лев идёт к реке", "一只雄狮走向河边", "word " * 500, "x" * 900, "", "\u0000 \n"],
        ids=["latin", "cyrillic", "chinese", "long", "one-word", "empty", "control"],
    )
    def test_any_text_stays_inside(self, text: str) -> None:
        """Whatever is asked for, the caption has its size and does not touch the edge."""
        drawing = draw_caption(text, (400, 200), 48)
        left, top, right, bottom = drawing.getchannel("A").getbbox() or (1, 1, 1, 1)

        assert drawing.size == (400, 200)
        assert left >= 0
        assert right <= 400
        assert 0 <= top <= bottom <= 200
