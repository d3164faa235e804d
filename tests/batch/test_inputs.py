"""Which videos are meant, and how they are called."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from repose.batch.inputs import Item, find_items, parse_shard
from repose.errors import UserError


def sources(*inputs: object, **options: object) -> list[str]:
    return [item.source for item in find_items([str(text) for text in inputs], **options)]  # type: ignore[arg-type]


def test_folders_patterns_and_files(clips: Path) -> None:
    (clips / "notes.txt").write_text("none")
    (clips / ".hidden.mp4").write_text("1")
    (clips / "frames").mkdir()
    for frame in range(3):
        (clips / "frames" / f"walk_{frame:03}_keypoints.json").write_text("{}")
    (clips / "out").mkdir()
    (clips / "out" / "film.mp4").write_text("1")
    left_out: set[str] = set()
    found = sources(clips, besides=clips / "out", left_out=left_out)
    expected = ["run.MOV", "walk.mp4", "frames", "sub/jump.mp4"]
    assert found == [str(clips / name) for name in expected]
    assert left_out == {"files that are no videos by their names (.txt)"}
    assert sorted(sources(clips / "**" / "*.mp4")) == sorted(
        str(clips / name) for name in ("out/film.mp4", "sub/jump.mp4", "walk.mp4")
    )
    assert sources(clips / "notes.txt") == [str(clips / "notes.txt")]
    for wrong, message in ((clips / "absent.mp4", "no file at"), (clips / "*.mkv", "no video in it")):
        with pytest.raises(UserError, match=message):
            sources(wrong)


def test_a_table_has_options_for_each_video(clips: Path) -> None:
    table = clips / "subjects.csv"
    table.write_text(
        "Path;height;person;intrinsics;group\nwalk.mp4;1.82;largest;500 510 320 240;a\nsub/jump.mp4;;;;b\n"
        "s3://bucket/a.mp4;;2;;c\n"
    )
    left_out: set[str] = set()
    walk, jump, stored = find_items([str(table)], left_out=left_out)
    assert walk.source == str(clips / "walk.mp4")
    assert dict(walk.options) == {
        "height_m": 1.82,
        "person": "largest",
        "intrinsics_px": (500.0, 510.0, 320.0, 240.0),
    }
    assert jump == Item(str(clips / "sub" / "jump.mp4"))
    assert (stored.source, stored.options) == ("s3://bucket/a.mp4", (("person", "2"),))
    assert left_out == {"columns of subjects.csv that are no options (group)"}
    pyarrow.parquet.write_table(
        pyarrow.table({"path": ["walk.mp4"], "height": [1.82], "fov": pyarrow.array([None], "float64")}),
        clips / "subjects",
    )
    (item,) = find_items([str(clips / "subjects")])
    assert item == Item(str(clips / "walk.mp4"), (("height_m", 1.82),))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("walk.mp4,18.2", r"row 1: height_m: expected 0\.3 to 3"),
        ("walk.mp4,tall", "row 1: height_m: expected a number, found 'tall'"),
        (",1.8", "row 1: path: expected a path or an address, found nothing"),
        ("ftp://a/b.mp4,1.8", "expected an address that begins with s3, gs"),
    ],
)
def test_a_wrong_row_is_said(clips: Path, row: str, message: str) -> None:
    table = clips / "subjects.csv"
    table.write_text(f"path,height\n{row}\n")
    with pytest.raises(UserError, match=message):
        list(find_items([str(table)]))


def test_keypoint_tables_are_no_tables_of_videos(clips: Path) -> None:
    table = clips / "dlc.csv"
    table.write_text("scorer,a,a,a\nbodyparts,nose,nose,nose\n")
    assert sources(table) == [str(table)]


@pytest.mark.parametrize(
    "source",
    [
        "/a/../../../etc/passwd.mp4",
        "/clips/.mp4",
        "/clips/-rf\n.mp4",
        "/a/" + "x" * 300,
        "https://h/%2e%2e%2fa?b=/c",
    ],
)
def test_names_are_file_names_and_nothing_else(source: str) -> None:
    name = Item(source).name
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,70}", name)
    assert len(name) <= 71
    assert Item(source).name == name != Item(source, (("height_m", 1.8),)).name


def test_shards_share_out_every_video_once() -> None:
    items = [Item(f"/clips/{number}.mp4") for number in range(300)]
    parts = [[item for item in items if item.in_shard(number, 3)] for number in (1, 2, 3)]
    assert sorted(item.source for part in parts for item in part) == sorted(item.source for item in items)
    assert min(map(len, parts)) > 60
    assert parse_shard(None) == (1, 1)
    assert parse_shard("3/8") == (3, 8)
    for wrong in ("0/8", "9/8", "3", "a/b", "-1/2"):
        with pytest.raises(UserError, match="--shard: expected i/n"):
            parse_shard(wrong)


class Store(BaseHTTPRequestHandler):
    """A web server, and as much of S3 as listing and reading a bucket takes."""

    content = b"a film" * 1000

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        listing = "list-type=2" in query
        found = listing or path.endswith("walk.mp4")
        entry = "<Contents><Key>trial/{}</Key><Size>6000</Size></Contents>"
        body = self.content
        if listing:
            entries = "".join(map(entry.format, ("walk.mp4", "notes.txt")))
            body = f"<ListBucketResult><Name>clips</Name>{entries}</ListBucketResult>".encode()
        start, stop = 0, len(body)
        if ranged := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, stop = int(ranged[1]), min(int(ranged[2]) + 1, stop)
        self.send_response((206 if ranged else 200) if found else 404)
        if found:
            self.send_header("Content-Length", str(stop - start))
            if ranged:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
        else:
            self.send_header("Content-Length", "0")
        self.end_headers()
        if found and self.command == "GET":
            self.wfile.write(body[start:stop])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def store() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_video_on_the_web_is_fetched_for_the_while(store: str) -> None:
    (item,) = find_items([f"http://{store}/clips/walk.mp4"])
    with item.local() as path:
        assert (path.name, path.read_bytes()) == ("walk.mp4", Store.content)
    assert not path.exists()
    with (
        pytest.raises(UserError, match=r"absent\.avi: cannot be read"),
        Item(f"http://{store}/absent.avi").local(),
    ):
        pass


def test_a_bucket_is_listed_and_fetched_from(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ACCESS_KEY_ID", "a"),
        ("SECRET_ACCESS_KEY", "b"),
        ("EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    where = f"?scheme=http&endpoint_override={store}&region=us-east-1"
    left_out: set[str] = set()
    (item,) = find_items([f"s3://clips/trial/{where}"], left_out=left_out)
    assert item.source == f"s3://clips/trial/walk.mp4{where}"
    assert left_out == {"files that are no videos by their names (.txt)"}
    with item.local() as path:
        assert (path.name, path.read_bytes()) == ("walk.mp4", Store.content)
