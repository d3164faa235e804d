from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from repose.errors import UserError
from repose.video import Seeker, Video, VideoFrame, frames, open_video, write_video

HEIGHT, WIDTH, COUNT = 48, 64, 40


def pictures(count: int = COUNT) -> Iterator[np.ndarray]:
    """Frame number as brightness, a red top left corner, a moving square that gives every frame its bits."""
    noise = np.random.default_rng(0)
    for number in range(count):
        picture = np.full((HEIGHT, WIDTH, 3), 4 * number + 40, np.uint8)
        picture[8 + number % 16 : 20 + number % 16, 20:40] = noise.integers(0, 255, (12, 20, 3))
        picture[:8, :16] = (255, 0, 0)
        yield picture


def number_in(picture: np.ndarray) -> int:
    return round((float(np.median(picture[-6:, -6:])) - 40) / 4)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_video(tmp_path / "clip.mp4", pictures(), fps=30000 / 1001)
    return tmp_path / "clip.mp4"


def encode(path: Path, prepare: Callable = lambda stream: None, times: list[int] | None = None) -> Path:
    """A video in milliseconds whose stream was prepared by hand."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        prepare(stream)
        for number, picture in enumerate(pictures(len(times) if times else 6)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = times[number] if times else 33 * number, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_what_was_written_is_read(clip: Path) -> None:
    video = open_video(clip)
    info = video.info
    assert (info.width, info.height, info.frames, info.codec) == (WIDTH, HEIGHT, COUNT, "h264")
    assert (info.rotation, info.has_audio) == (0, False)
    assert info.fps == pytest.approx(30000 / 1001)
    assert info.duration_s == pytest.approx(COUNT * 1001 / 30000, abs=1e-3)
    read = list(video)
    assert [frame.index for frame in read] == list(range(COUNT))
    assert [number_in(frame.rgb) for frame in read] == list(range(COUNT))
    np.testing.assert_allclose([f.time_s for f in read], np.arange(COUNT) * 1001 / 30000, atol=1e-4)
    assert all(frame.rgb.shape == (HEIGHT, WIDTH, 3) for frame in read)
    np.testing.assert_allclose(read[0].rgb[3, 3], (255, 0, 0), atol=12)
    assert video.lost == video.damaged == []


def test_a_video_can_be_walked_twice(clip: Path) -> None:
    video = open_video(clip)
    assert [f.index for f in video] == [f.index for f in video] == [f.index for f in frames(clip)]


@pytest.mark.parametrize(("turn", "corner"), [(90, "bottom left"), (-90, "top right"), (180, "bottom right")])
def test_rotation_metadata_turns_the_picture(tmp_path: Path, turn: int, corner: str) -> None:
    path = encode(tmp_path / "turned.mp4", lambda stream: stream.set_display_rotation(turn))
    video = open_video(path)
    first = next(iter(video))
    assert video.info.rotation == -turn % 360, "FFmpeg counts anticlockwise, we count clockwise"
    size = (WIDTH, HEIGHT) if turn == 180 else (HEIGHT, WIDTH)
    assert (video.info.width, video.info.height) == size == first.rgb.shape[1::-1]
    row, column = (-4 if "bottom" in corner else 3), (-4 if "right" in corner else 3)
    np.testing.assert_allclose(first.rgb[row, column], (255, 0, 0), atol=15)


@pytest.mark.parametrize(
    ("matrix", "red", "plain"),
    [((-1, 0, 0, 1), (3, -13), (12, -4)), ((0, 1, 1, 0), (13, 3), (3, 12))],
    ids=["mirrored", "transposed"],
)
def test_mirroring_metadata_is_honoured(
    tmp_path: Path, matrix: tuple[int, ...], red: tuple[int, int], plain: tuple[int, int]
) -> None:
    a, b, c, d = (65536 * value for value in matrix)
    path = encode(
        tmp_path / "mirrored.mp4", lambda s: s.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
    )
    rgb = next(frames(path)).rgb
    assert rgb.shape == ((HEIGHT, WIDTH, 3) if a else (WIDTH, HEIGHT, 3))
    np.testing.assert_allclose(rgb[red], (255, 0, 0), atol=15)
    assert rgb[plain].max() < 80, "the red corner is stored 16 wide and 8 high"


def test_pixels_become_square(tmp_path: Path) -> None:
    def anamorphic(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)

    video = open_video(encode(tmp_path / "wide.mp4", anamorphic))
    assert (video.info.width, video.info.height) == (2 * WIDTH, HEIGHT)
    assert next(iter(video)).rgb.shape == (HEIGHT, 2 * WIDTH, 3)


def test_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    times_ms = [0, 20, 40, 140, 150, 400, 433, 466]
    video = open_video(encode(tmp_path / "variable.mkv", times=times_ms))
    np.testing.assert_allclose([frame.time_s for frame in video], np.array(times_ms) / 1000, atol=1e-9)
    assert video.lost == []


def packets(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def spoil(path: Path, packet: int) -> Video:
    data = bytearray(path.read_bytes())
    at, size = packets(path)[packet]
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    return open_video(path)


@pytest.mark.parametrize("packet", [0, 7, 22, COUNT - 1])
def test_a_broken_frame_shifts_no_number(clip: Path, packet: int) -> None:
    whole = {frame.index: number_in(frame.rgb) for frame in frames(clip)}
    video = spoil(clip, packet)
    read = list(video)
    assert len(video.lost) == 1
    assert sorted([frame.index for frame in read] + video.lost) == list(range(COUNT))
    intact = [frame for frame in read if frame.index not in video.damaged]
    assert [round(frame.time_s * 30000 / 1001) for frame in read] == [frame.index for frame in read]
    assert all(abs(number_in(frame.rgb) - whole[frame.index]) <= 1 for frame in intact)
    assert len(intact) >= COUNT - 31, "damage ends at the next refresh"


def test_several_broken_frames_in_a_row(clip: Path) -> None:
    for packet in (10, 11, 12, 13):
        video = spoil(clip, packet)
    read = [frame.index for frame in video]
    assert len(video.lost) == 4
    assert sorted(read + video.lost) == list(range(COUNT))


def test_a_video_cut_off_reports_the_frames_it_lacks(clip: Path) -> None:
    at, size = packets(clip)[25]
    clip.write_bytes(clip.read_bytes()[: at + size])
    video = open_video(clip)
    read = [frame.index for frame in video]
    assert read == list(range(len(read)))
    assert 20 <= len(read) <= 26
    assert video.lost == list(range(len(read), COUNT))


def sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 8000, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_bad_files_are_named_with_what_is_wrong(tmp_path: Path, clip: Path) -> None:
    made = {
        "empty.mp4": lambda path: path.touch(),
        "text.mp4": lambda path: path.write_text("no video at all\n" * 50),
        "points.json": lambda path: path.write_text('{"people": []}'),
        "noise.mp4": lambda path: path.write_bytes(np.random.default_rng(0).bytes(4000)),
        "short.mp4": lambda path: path.write_bytes(clip.read_bytes()[:600]),
        "folder": lambda path: path.mkdir(),
        "sound.mp4": sound,
    }
    said = {}
    for name, make in made.items():
        make(tmp_path / name)
        with pytest.raises(UserError) as error:
            open_video(tmp_path / name)
        said[name] = error.value.message.removeprefix(f"{tmp_path / name}: ")
    unreadable = "not a video, or cut off before its index"
    assert said == {
        "empty.mp4": "the file is empty (0 bytes)",
        "text.mp4": f"{unreadable} (Invalid data found when processing input)",
        "points.json": f"{unreadable} (Invalid data found when processing input)",
        "noise.mp4": f"{unreadable} (Invalid data found when processing input)",
        "short.mp4": f"{unreadable} (End of file)",
        "folder": "expected a video, found a folder",
        "sound.mp4": "expected a video stream, found only sound",
    }
    with pytest.raises(UserError, match="no file at"):
        open_video(tmp_path / "absent.mp4")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{path}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{path}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile clip.mp4\n"),
        ("list.mkv", "ffconcat version 1.0\nfile '{path}'\n"),
        ("list.avi", "ffconcat version 1.0\nfile http://127.0.0.1:9/clip.mp4\n"),
        ("call.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
        ("list.mpd", "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'>{path}</MPD>"),
        ("art.ans", "\x1b[31mSECRET " * 400),
    ],
)
def test_playlists_and_scripts_are_refused(tmp_path: Path, clip: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text.format(path=clip))
    with pytest.raises(UserError, match="not a video") as error:
        open_video(tmp_path / name)
    assert "playlists are not" in error.value.hint


def test_a_playlist_would_be_followed_without_the_list_of_containers(tmp_path: Path, clip: Path) -> None:
    """That the test above can fail: FFmpeg alone plays what a script names."""
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {clip.name}\n")
    with av.open(str(tmp_path / "list.mp4")) as container:
        assert container.format.name == "concat"
        assert next(container.decode(video=0)).width == WIDTH


@pytest.mark.parametrize(
    "name",
    ["concat:clip.mp4|clip.mp4", "http://127.0.0.1:9/clip.mp4", "data:video/mp4;base64,AAAA", "pipe:0"],
)
def test_a_protocol_is_the_name_of_a_file_that_is_not_there(
    tmp_path: Path, clip: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no file at"):
        open_video(name)


def test_a_colon_in_a_name_is_no_protocol(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip.rename("12:30.mp4")
    assert len(list(open_video("12:30.mp4"))) == COUNT
    with_sound(tmp_path / "9:00.mov", "pcm_s16le")
    assert write_video("12:45.mp4", pictures(), fps=10, sound="9:00.mov") == COUNT
    assert open_video("12:45.mp4").info.has_audio


def test_a_device_is_no_video() -> None:
    with pytest.raises(UserError, match="expected a video, found a device or pipe"):
        open_video("/dev/zero")


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mov"])
def test_an_unknown_codec_is_named_as_such(tmp_path: Path, suffix: str) -> None:
    path = encode(tmp_path / f"clip{suffix}")
    data = path.read_bytes()
    for code, unknown in ((b"H264", b"????"), (b"avc1", b"????"), (b"V_MPEG4/ISO/AVC", b"V_MS/VFW/FOURCC")):
        data = data.replace(code, unknown)
    path.write_bytes(data)
    with pytest.raises(UserError, match="its video codec is not known to FFmpeg"):
        open_video(path)


def test_whatever_the_parser_throws_is_a_user_error(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of the parser")

    monkeypatch.setattr("av.open", stumble)
    with pytest.raises(UserError, match=r"clip.mp4: expected a video.*ZeroDivisionError: of the parser"):
        open_video(clip)


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", pictures(1), fps=30)
    video = open_video(tmp_path / "one.mp4")
    assert [frame.index for frame in video] == [0]
    assert video.lost == []


def in_decoding_order(path: Path, codec: str) -> Path:
    """An AVI with B-frames, whose packets say no more than when they are to be decoded."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options={"bf": "2", "b_strategy": "0"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 2_000_000
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "mpeg4"])
def test_frames_of_an_avi_with_b_frames_come_in_the_order_of_their_showing(
    tmp_path: Path, codec: str
) -> None:
    video = open_video(in_decoding_order(tmp_path / "clip.avi", codec))
    assert video.info.fps == 30
    assert video.info.frames == pytest.approx(COUNT, abs=1)
    read = list(video)
    assert [frame.index for frame in read] == list(range(COUNT))
    assert video.lost == []
    assert [number_in(frame.rgb) for frame in read] == list(range(COUNT))
    np.testing.assert_allclose([frame.time_s for frame in read], np.arange(COUNT) / 30, atol=1e-6)
    seeker = Seeker(video)
    for number in (0, 17, 5, COUNT - 1):
        picture = seeker.at(number / 30)
        assert picture is not None
        assert number_in(picture) == number
    seeker.close()


def test_a_broken_frame_among_b_frames_shifts_no_number_for_long(tmp_path: Path) -> None:
    video = spoil(in_decoding_order(tmp_path / "clip.avi", "libx264"), 20)
    read = list(video)
    assert len(read) + len(video.lost) == COUNT
    assert sorted([frame.index for frame in read] + video.lost) == list(range(COUNT))
    late = [frame for frame in read if frame.index > 26 and frame.index not in video.damaged]
    assert all(abs(number_in(frame.rgb) - frame.index) <= 1 for frame in late)


def test_a_video_of_which_no_frame_decodes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    write_video(path, pictures(1), fps=30.0)
    data = bytearray(path.read_bytes())
    at, size = packets(path)[0]
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(UserError, match="no frame can be decoded"):
        open_video(path)


def test_odd_sizes_are_continued_by_a_pixel(tmp_path: Path) -> None:
    assert write_video(tmp_path / "odd.mp4", (p[:-1, :-1] for p in pictures(3)), fps=25.0) == 3
    info = open_video(tmp_path / "odd.mp4").info
    assert (info.width, info.height, info.fps) == (WIDTH, HEIGHT, 25)


def test_scaled_frames_are_turned_and_in_proportion(tmp_path: Path) -> None:
    path = encode(tmp_path / "turned.mp4", lambda stream: stream.set_display_rotation(90))
    video = open_video(path).scaled(32)
    assert (video.info.width, video.info.height) == (24, 32)
    first = next(iter(video))
    assert first.rgb.shape == (32, 24, 3)
    np.testing.assert_allclose(first.rgb[-3, 1], (255, 0, 0), atol=30)
    assert open_video(path).scaled(480).info.height == WIDTH, "never enlarged"


def test_frames_are_found_by_their_times_in_any_order(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", pictures(), fps=10, keyframe_s=1)
    seeker = Seeker(open_video(tmp_path / "clip.mp4"))
    order = [0, 1, 2, 17, 18, 5, 39, 38, 0, 39, 39, 3]
    found = [seeker.at(number / 10) for number in order]
    assert [number_in(picture) for picture in found if picture is not None] == order
    between, after = seeker.at(1.26), seeker.at(99.0)
    assert between is not None
    assert after is not None
    assert (number_in(between), number_in(after)) == (12, COUNT - 1)
    seeker.close()


def test_frames_are_found_by_time_where_the_rate_varies(tmp_path: Path) -> None:
    times_ms = [0, 40, 50, 200, 201, 900]
    seeker = Seeker(open_video(encode(tmp_path / "vfr.mp4", times=times_ms)))
    for number in (4, 1, 5, 2, 0, 3):
        picture = seeker.at(times_ms[number] / 1000)
        assert picture is not None
        assert number_in(picture) == number
    seeker.close()


def with_sound(path: Path, codec: str) -> Path:
    """Four seconds of pictures at 10 Hz, and a tone that starts with them and is louder in the third."""
    with av.open(str(path), "w") as container:
        stream, tone = container.add_stream("libx264", rate=10), container.add_stream(codec, rate=16000)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        at = np.arange(4 * 16000)
        wave = np.sin(at / 16000 * 2 * np.pi * 440) * np.where((at >= 32000) & (at < 48000), 0.8, 0.1)
        samples = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], "s16", "mono")
        samples.sample_rate, samples.pts = 16000, 0
        resampler = av.AudioResampler(
            tone.codec_context.format, "mono", 16000, frame_size=tone.frame_size or 1024
        )
        for frame in [*resampler.resample(samples), *resampler.resample(None)]:
            container.mux(tone.encode(frame))
        container.mux(tone.encode(None))
    return path


def loudness(path: Path) -> np.ndarray:
    """Of each tenth of a second."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        level = np.zeros(41)
        for frame in container.decode(stream):
            wave = frame.to_ndarray().astype(np.float64).ravel()
            at = frame.time + np.arange(len(wave)) / frame.sample_rate
            np.maximum.at(level, np.clip((at * 10).astype(int), 0, 40), np.abs(wave))
    return level / level.max()


@pytest.mark.parametrize(("codec", "suffix", "kept"), [("aac", ".mp4", "aac"), ("pcm_s16le", ".mov", "aac")])
def test_sound_goes_along(tmp_path: Path, codec: str, suffix: str, kept: str) -> None:
    source = with_sound(tmp_path / f"source{suffix}", codec)
    frames_of = (VideoFrame(f.index, f.time_s, f.rgb // 2) for f in open_video(source))
    write_video(tmp_path / "out.mp4", frames_of, fps=10, sound=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == kept
        assert float(
            container.streams.audio[0].duration * container.streams.audio[0].time_base
        ) == pytest.approx(4, abs=0.2)
    level = loudness(tmp_path / "out.mp4")
    assert (level[21:29] > 0.5).all()
    assert level[1:19].max() < 0.3
    assert level[31:40].max() < 0.3


def test_timed_frames_keep_their_times(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.05, 0.2, 0.9]
    timed = (VideoFrame(i, time, rgb) for i, (time, rgb) in enumerate(zip(times_s, pictures(5), strict=True)))
    assert write_video(tmp_path / "vfr.mp4", timed, fps=25) == 5
    np.testing.assert_allclose([f.time_s for f in frames(tmp_path / "vfr.mp4")], times_s, atol=1e-4)


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield from pictures(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", interrupted(), fps=30.0)
    for bad, says in (
        (iter(()), "no pictures to write"),
        (iter([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)]), "picture 1: expected size"),
    ):
        with pytest.raises(UserError, match=says):
            write_video(tmp_path / "a.mp4", bad, fps=30.0)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"ending in \.mp4, \.mov, \.mkv"):
        write_video(tmp_path / "a.gif", pictures(1), fps=30.0)
    with pytest.raises(UserError, match="expected a folder to write to"):
        write_video(tmp_path / "absent" / "a.mp4", pictures(1), fps=30.0)


@pytest.mark.parametrize(
    ("clip_path", "codec", "size", "count"),
    [
        ("pose2sim_single/cam01.mp4", "h264", (1080, 1920), 100),
        ("pose2sim_single/cam02.mp4", "vp9", (1080, 1920), 100),
        ("sports2d/demo.mp4", "vp9", (1768, 994), 230),
    ],
)
def test_real_clips_open(shared: Path, clip_path: str, codec: str, size: tuple, count: int) -> None:
    video = open_video(shared / "video" / clip_path)
    info = video.info
    assert (info.codec, (info.width, info.height), info.frames) == (codec, size, count)
    first = [frame for frame, _ in zip(video, range(3), strict=False)]
    assert [frame.index for frame in first] == [0, 1, 2]
    assert first[1].time_s == pytest.approx(1 / info.fps)
