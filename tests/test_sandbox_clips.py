"""The sandbox's videos are what a viewer and a container parser expect."""

import struct
from array import array
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageChops, ImageDraw, ImageOps, ImageStat

from veo_sandbox.clips import ClipSpec, Footage, StoppedError, extend, render
from veo_sandbox.clips.captions import draw_caption
from veo_sandbox.clips.mp4 import join, pad_clip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder for the clips of this module, each made once."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture(scope="module")
def lion(folder: Path) -> Path:
    """Return a clip from text, 720x1280."""
    render(ClipSpec("a majestic lion in the savannah", 720, 1280), folder / "lion.mp4")
    return folder / "lion.mp4"


@pytest.fixture(scope="module")
def longer(folder: Path, lion: Path) -> Path:
    """Return the lion's clip, extended by seven seconds."""
    extend(lion, "it walks to the river", folder / "longer.mp4")
    return folder / "longer.mp4"


@pytest.fixture(scope="module")
def meadow(folder: Path) -> Path:
    """Return a clip of a second."""
    render(ClipSpec("a meadow", 320, 180, 1), folder / "meadow.mp4")
    return folder / "meadow.mp4"


@cache
def read_frames(path: Path) -> list[Image.Image]:
    """Return all frames, a quarter as wide."""
    scaler = VideoReformatter()  # without one, each frame prepares a scaler, which takes 3 ms
    with av.open(str(path)) as video:
        return [
            scaler.reformat(frame, frame.width // 4, frame.height // 4, "rgb24").to_image()
            for frame in video.decode(video=0)
        ]


def box_names(data: bytes) -> list[str]:
    """Return the names of the top-level boxes."""
    names, position = [], 0
    while position < len(data):
        size, name = struct.unpack(">I4s", data[position : position + 8])
        names.append(name.decode())
        position += size
    assert position == len(data)
    return names


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean absolute difference of a channel, the other image cut to cover this."""
    covering = ImageOps.fit(other.convert("RGB"), one.size, Image.Resampling.LANCZOS)
    return max(ImageStat.Stat(ImageChops.difference(one, covering)).mean)


def draw_image(path: Path, size: tuple[int, int], ground: str, shape: str) -> Path:
    """Draw an image that differs clearly from others."""
    image = Image.new("RGB", size, ground)
    width, height = size
    ImageDraw.Draw(image).ellipse((width / 5, height / 5, width / 2, height / 2), fill=shape)
    image.save(path)
    return path


def read_packets(path: Path, kind: str) -> list[bytes]:
    """Return the encoded packets of a stream."""
    with av.open(str(path)) as video:
        stream = video.streams.best(kind)
        return [bytes(packet) for packet in video.demux(stream) if packet.dts is not None]


def test_text_makes_8_seconds_of_video_and_sound(lion: Path) -> None:
    """8.0 s, 24 frames per second, H.264 and AAC at 48 kHz stereo, the index last."""
    with av.open(str(lion)) as video:
        video_stream, audio_stream = video.streams.video[0], video.streams.audio[0]

        assert video.duration == 8_000_000
        assert (video_stream.codec_context.name, video_stream.average_rate) == ("h264", 24)
        assert (video_stream.width, video_stream.height, video_stream.frames) == (720, 1280, 192)
        assert (audio_stream.codec_context.name, audio_stream.rate, audio_stream.layout.name) == (
            "aac",
            48_000,
            "stereo",
        )
    assert box_names(lion.read_bytes()) == ["ftyp", "free", "mdat", "moov"]
    assert len(read_frames(lion)) == 192


def test_frames_that_are_not_encoded_repeat_the_one_before(lion: Path) -> None:
    """Each image is held for three frames, and every player decodes them as equals."""
    frames = [frame.tobytes() for frame in read_frames(lion)]
    held = [frames[number : number + 3] for number in range(0, len(frames), 3)]

    assert all(len(set(group)) == 1 for group in held)
    assert len({group[0] for group in held}) > 60


def test_the_picture_moves_and_the_sound_sounds(lion: Path) -> None:
    """Neither a still image nor silence."""
    frames = read_frames(lion)
    with av.open(str(lion)) as video:
        loudest = max(
            max(abs(low), abs(high))
            for frame in video.decode(audio=0)
            for plane in frame.planes
            for low, high in [_extremes(bytes(plane))]
        )

    assert difference(frames[0], frames[96]) > 1
    assert 0.02 < loudest < 0.9


def split_bytes(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the bytes, `size` at a time."""
    return (data[start : start + size] for start in range(0, len(data), size))


def _extremes(samples: bytes) -> tuple[float, float]:
    values = struct.unpack(f"<{len(samples) // 4}f", samples)
    return min(values), max(values)


def test_the_prompt_decides_the_scene(folder: Path) -> None:
    """The same prompt makes the same clip, another prompt another."""
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
    """Large clips are scaled up from a smaller drawing; all have their exact size and length."""
    path = folder / f"{width}.mp4"
    render(ClipSpec("x", width, height, seconds), path)
    with av.open(str(path)) as video:
        video_stream = video.streams.video[0]

        assert (video_stream.width, video_stream.height) == (width, height)
        assert video.duration == seconds * 1_000_000


def test_two_images_are_cross_faded(folder: Path) -> None:
    """It starts on the first, ends on the last, and is a mixture in the middle."""
    start = draw_image(folder / "start.png", (900, 700), "#304060", "#f0c020")
    end = draw_image(folder / "end.jpg", (600, 1400), "#802030", "#20c0a0")
    path = folder / "fade.mp4"
    render(ClipSpec("smoothly", 720, 1280, 2, str(start), str(end)), path)
    frames = read_frames(path)
    first, last = Image.open(start), Image.open(end)

    assert difference(frames[0], first) < 12
    assert difference(frames[-1], last) < 12
    assert difference(frames[24], first) > 20
    assert difference(frames[24], last) > 20


def test_one_image_is_where_it_starts(folder: Path) -> None:
    """It starts on the image and slowly zooms in."""
    start = draw_image(folder / "one.png", (1000, 1000), "#204080", "#f04020")
    path = folder / "zoom.mp4"
    render(ClipSpec("closer", 1280, 720, 2, str(start)), path)
    frames = read_frames(path)

    assert len(frames) == 48
    assert difference(frames[0], Image.open(start)) < 12
    assert difference(frames[-1], frames[0]) > difference(frames[2], frames[0])


def test_references_are_shown(folder: Path) -> None:
    """Three small images, so that a viewer sees what was sent."""
    colours = ("#ff0000", "#00ff00", "#0000ff")
    paths = [draw_image(folder / f"ref{n}.png", (300, 300), c, c) for n, c in enumerate(colours)]
    path = folder / "references.mp4"
    render(ClipSpec("x", 640, 360, 0.5, references=tuple(map(str, paths))), path)
    [frame, *_] = read_frames(path)
    strong = {
        channel
        for pixel in split_bytes(frame.tobytes(), 3)
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
        assert len(read_frames(longer)) == 360

    def test_the_first_part_is_the_earlier_clip(self, lion: Path, longer: Path) -> None:
        """Packet by packet: nothing was encoded again."""
        for kind in ("video", "audio"):
            earlier = read_packets(lion, kind)
            assert read_packets(longer, kind)[: len(earlier)] == earlier

    def test_it_goes_on_from_the_last_frame(self, lion: Path, longer: Path) -> None:
        """No jump at the seam, another scene at the end."""
        frames = read_frames(longer)

        assert difference(frames[192], read_frames(lion)[-1]) < 6
        assert difference(frames[-1], read_frames(lion)[-1]) > 6

    def test_sound_and_picture_stay_together(self, folder: Path, longer: Path) -> None:
        """Extended again, the sound is still as long as the video, within a packet."""
        path = folder / "longest.mp4"
        extend(longer, "and drinks", path)
        with av.open(str(path)) as video:
            assert video.duration == 22_000_000
            audio_stream = video.streams.audio[0]
            assert audio_stream.duration is not None
            assert audio_stream.duration / 48_000 == pytest.approx(22, abs=0.03)

    def test_a_foreign_clip_is_refused(self, folder: Path, lion: Path) -> None:
        """Copied streams of another encoding would break the second half."""
        other = folder / "other.mp4"
        render(ClipSpec("x", 320, 180, 0.5), other)

        with pytest.raises(ValueError, match="not encoded like its continuation"):
            join(lion, other, folder / "broken.mp4")
        assert not (folder / "broken.mp4").exists()


class TestChange:
    """A version of a clip in other colours, and a clip that is continued at another size."""

    def test_it_shows_the_same_scene_in_other_colours(self, folder: Path, meadow: Path) -> None:
        """As long, with the same sound, at the size that is asked for."""
        path = folder / "autumn.mp4"
        render(ClipSpec("in autumn", 640, 360, 1, changed=str(meadow)), path)
        before, after = read_frames(meadow)[12], read_frames(path)[12]
        shrunk = after.resize(before.size)

        assert Footage.read(path) == Footage(640, 360, 1.0)
        assert difference(before, shrunk) > 10
        # The brightness above the strip is that of the scene, but for the sandbox's mark.
        top = (0, 0, 80, 32)
        assert (
            difference(*(each.crop(top).convert("L").convert("RGB") for each in (before, shrunk)))
            < 9
        )
        assert len(read_packets(path, "audio")) == len(read_packets(meadow, "audio"))

    def test_it_is_only_scaled_without_words(self, folder: Path, meadow: Path) -> None:
        """An upscaled clip shows the same."""
        path = folder / "large.mp4"
        render(ClipSpec("", 640, 360, 1, changed=str(meadow)), path)
        before, after = read_frames(meadow)[12], read_frames(path)[12]

        assert difference(before, after.resize(before.size)) < 6

    def test_it_continues_at_another_size(self, folder: Path, meadow: Path) -> None:
        """The whole has the new size; nothing jumps where the new part begins."""
        path = folder / "longer-meadow.mp4"
        render(ClipSpec("at dusk", 640, 360, 3, earlier=str(meadow)), path)
        frames = read_frames(path)

        assert Footage.read(path) == Footage(640, 360, 4.0)
        assert len(frames) == 96
        assert difference(frames[23], frames[24]) < 6
        assert difference(frames[23].resize((80, 45)), read_frames(meadow)[-1]) < 6

    def test_a_silent_clip_of_another_encoder_is_continued(self, folder: Path) -> None:
        """What people upload has other codecs and rates, and often no sound."""
        source, path = folder / "silent.mp4", folder / "longer-silent.mp4"
        with av.open(str(source), "w") as out:
            stream = out.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            for _ in range(10):
                out.mux(
                    stream.encode(av.VideoFrame.from_image(Image.new("RGB", (160, 120), "red")))
                )
            out.mux(stream.encode(None))
        render(ClipSpec("on it goes", 160, 120, 1, earlier=str(source)), path)

        assert Footage.read(path) == Footage(160, 120, 2.0)
        assert read_frames(path)[0].getpixel((20, 15))[0] > 200

    def test_a_file_that_is_no_video(self, folder: Path) -> None:
        """Reading it is a ValueError."""
        (folder / "text.mp4").write_text("text")
        with pytest.raises(ValueError, match="is no video"):
            Footage.read(folder / "text.mp4")


class TestFiles:
    """What is on disk, and when."""

    def test_a_cancelled_clip_leaves_nothing(self, tmp_path: Path) -> None:
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

    @pytest.mark.parametrize("seconds", [3, 8, 15])
    def test_the_sound_of_a_tiny_clip_lasts(self, tmp_path: Path, seconds: int) -> None:
        """Its repeated packet is heard evenly until the video ends, and not longer."""
        path = tmp_path / "x.mp4"
        render(ClipSpec("x", 720, 1280, seconds=seconds, tiny=True), path)
        with av.open(str(path)) as video:
            frames = list(video.decode(audio=0))
        peaks = [max(array("f", bytes(frame.planes[0]))) for frame in frames]
        sound_s = sum(frame.samples for frame in frames) / 48_000

        assert seconds - 1024 / 48_000 < sound_s <= seconds
        assert min(peaks) > 0.2
        assert max(peaks[20:]) - min(peaks[20:]) < 0.01

    @pytest.mark.parametrize("missing", [1, 7, 8, 9, 5000])
    def test_padding_is_a_box_of_its_own(self, lion: Path, missing: int) -> None:
        """The file stays well-formed to its last byte."""
        clip = lion.read_bytes()

        assert box_names(pad_clip(clip, len(clip) + missing))[-1] == "free"
        assert pad_clip(clip, len(clip) - 1) == clip


class TestCaptions:
    """Text on images."""

    @pytest.mark.parametrize(
        "text",
        ["lion", "лев идёт к реке", "一只雄狮走向河边", "word " * 500, "x" * 900, "", "\u0000 \n"],
        ids=["latin", "cyrillic", "chinese", "long", "one-word", "empty", "control"],
    )
    def test_any_text_stays_inside(self, text: str) -> None:
        """For any text, the caption has its size and does not touch the edge."""
        drawing = draw_caption(text, (400, 200), 48)
        left, top, right, bottom = drawing.getchannel("A").getbbox() or (1, 1, 1, 1)

        assert drawing.size == (400, 200)
        assert left >= 0
        assert right <= 400
        assert 0 <= top <= bottom <= 200
