"""Archives: a server that fails is borne with, an archive that lies is refused."""

import gzip
import hashlib
import io
import re
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from timbre.corpora.download import fetch, unpack

CONTENT = bytes(range(256)) * 40_000  # 10 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content`; `cut` ends each response early, `ranges` may be ignored."""

    def __init__(self, content, *, cut=None, ranges=True, status=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut, self.ranges, self.status = content, cut, ranges, status
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}/file.tar.gz"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *error):
        self.shutdown()
        super().__exit__(*error)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        if wanted and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(server.content):
                self.send_error(416)
                return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut])

    def log_message(self, *arguments):
        pass


def get(server, path, **options):
    return fetch(server.url, path, sha256=SHA256, wait_s=0.0, timeout_s=5.0, **options)


def test_a_file_arrives_whole(tmp_path):
    with Server(CONTENT) as server:
        path = get(server, tmp_path / "new" / "f.tar.gz")
        assert path.read_bytes() == CONTENT
        get(server, path)
    assert server.asked == [None]  # what is there is not asked for again
    assert [p.name for p in path.parent.iterdir()] == ["f.tar.gz"]


def test_a_download_that_is_cut_off_goes_on(tmp_path):
    with Server(CONTENT, cut=4_000_000) as server:
        path = get(server, tmp_path / "f.tar.gz", attempts=2)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=4000000-", "bytes=8000000-"]


def test_another_run_goes_on_where_the_first_stopped(tmp_path):
    with Server(CONTENT, cut=3_000_000) as server:
        with pytest.raises(OSError, match="resumes it"):
            get(server, tmp_path / "f.tar.gz", attempts=1)
        assert not (tmp_path / "f.tar.gz").exists()
        server.cut = None
        assert get(server, tmp_path / "f.tar.gz").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=3000000-"]


def test_a_whole_part_is_only_checked(tmp_path):
    (tmp_path / "f.tar.gz.part").write_bytes(CONTENT)
    with Server(CONTENT) as server:
        assert get(server, tmp_path / "f.tar.gz").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(tmp_path):
    (tmp_path / "f.tar.gz.part").write_bytes(b"other bytes")
    with Server(CONTENT, ranges=False) as server:
        assert get(server, tmp_path / "f.tar.gz").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(tmp_path):
    with Server(CONTENT[:-1] + b"x") as server:
        with pytest.raises(ValueError, match="must have the SHA-256"):
            get(server, tmp_path / "f.tar.gz")
    assert not list(tmp_path.iterdir())


def test_a_server_that_says_no_is_asked_once(tmp_path):
    with Server(CONTENT, status=404) as server:
        with pytest.raises(OSError, match="404"):
            get(server, tmp_path / "f.tar.gz")
    assert len(server.asked) == 1


def test_a_server_that_fails_is_asked_again(tmp_path):
    with Server(CONTENT, status=503) as server:
        with pytest.raises(OSError, match="503"):
            get(server, tmp_path / "f.tar.gz", attempts=3)
    assert len(server.asked) == 3


def test_only_the_web_is_fetched_from(tmp_path):
    with pytest.raises(ValueError, match="http or https"):
        fetch("file:///etc/passwd", tmp_path / "f", sha256=SHA256)


# Unpacking


def member(name, content=b"", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def pack(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


GOOD = (
    member("L", type=tarfile.DIRTYPE),
    member("L/dev/1/a.flac", b"sound"),
    member("L/SPEAKERS.TXT", b"names"),
)


def test_files_are_unpacked_and_nothing_else_is_left(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", *GOOD)
    out = tmp_path / "out"
    (out / "L" / "other").mkdir(parents=True)
    assert unpack(archive, out, whole="L/dev") == out / "L" / "dev"
    found = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*.*")}
    assert found == {"L/dev/1/a.flac": b"sound", "L/SPEAKERS.TXT": b"names"}
    assert (out / "L" / "other").is_dir()


def test_rights_in_an_archive_are_ignored(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", member("L/dev/a", b"x", mode=0o4777))
    mode = (unpack(archive, tmp_path / "out", whole="L/dev") / "a").stat().st_mode
    assert not mode & 0o6133


@pytest.mark.parametrize(
    "poison",
    [
        [member("../evil", b"x")],
        [member("L/dev/../../../evil", b"x")],
        [member("/evil-by-absolute-path", b"x")],
        [member("C:/evil", b"x")],
        [member("L\\..\\..\\evil", b"x")],
        [member("L/dev/link", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
        [
            member("L/dev/up", type=tarfile.SYMTYPE, linkname="../../.."),
            member("L/dev/up/evil", b"x"),
        ],
        [member("L/dev/hard", type=tarfile.LNKTYPE, linkname="../../evil")],
        [member("L/dev/hard", type=tarfile.LNKTYPE, linkname="L/SPEAKERS.TXT")],
        [member("L/dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
        [member("L/dev/disk", type=tarfile.BLKTYPE, devmajor=8)],
        [member("L/dev/pipe", type=tarfile.FIFOTYPE)],
        [member("L/dev/1/a.flac", b"another of the same name")],
        [member("L/dev/1/a.flac/b", b"a file is no folder")],
        [member(".", b"x")],
    ],
    ids=lambda poison: poison[-1][0].name.replace("/", "|"),
)
def test_a_malicious_member_is_refused_with_its_archive(tmp_path, poison):
    out = tmp_path / "deep" / "out"
    archive = pack(tmp_path / "a.tar.gz", *GOOD, *poison)
    with pytest.raises(ValueError, match="must be whole and safe"):
        unpack(archive, out, whole="L/dev")
    assert not list(out.iterdir())
    assert not list(tmp_path.rglob("*evil*"))


def test_a_bomb_is_refused_before_it_is_written(tmp_path):
    zeros = bytes(80 << 20)  # 80 MiB in 80 KiB
    archive = pack(tmp_path / "a.tar.gz", *GOOD, member("L/dev/big", zeros))
    with pytest.raises(ValueError, match="more than 20 times its size"):
        unpack(archive, tmp_path / "out", whole="L/dev")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_a_damaged_archive_is_an_error(tmp_path, rng, keep):
    noise = rng.bytes(100_000)
    whole = pack(tmp_path / "a.tar.gz", *GOOD, member("L/dev/z", noise)).read_bytes()
    size = keep if keep in (0, 10) else int(keep * len(whole))
    (tmp_path / "a.tar.gz").write_bytes(whole[:size])
    with pytest.raises(ValueError, match="must be whole and safe"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", whole="L/dev")
    assert not list((tmp_path / "out").iterdir())


def test_an_archive_of_something_else_is_an_error(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", member("M/dev/a", b"x"))
    with pytest.raises(ValueError, match="must hold L/dev"):
        unpack(archive, tmp_path / "out", whole="L/dev")
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(b"no tar at all" * 1000))
    with pytest.raises(ValueError, match="must be whole and safe"):
        unpack(tmp_path / "b.tar.gz", tmp_path / "out", whole="L/dev")
