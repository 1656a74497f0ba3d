"""A download from a UniProt that fails in every way is, byte for byte, the download from one that does not."""

import errno
import gzip
import hashlib
import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.data.uniprot_server import RELEASE, RELEASE_DATE, TITLES, UniProtServer, lines_of
from tests.hostile_server import ANSWERS, HostileServer
from tfclass.data.curation import FetchConfig, curation_config
from tfclass.data.download import check_download, download
from tfclass.data.uniprot import UniProt
from tfclass.errors import FetchError, OutputError, TableError
from tfclass.io.files import remove_abandoned, temporary_name

SHIPPED = yaml.safe_load((Path(__file__).parents[2] / "conf" / "curation" / "swissprot.yaml").read_bytes())
TOTAL, SIZE = 230, 50
PAGES = 5
EVERY_FAULT = [
    "429, seconds",
    "429, a date",
    "429, rubbish",
    "503",
    "500",
    "dropped",
    "cut",
    "cut inside gzip",
    "HTML",
    "redirected",
    "a row too few",
    "a cell too few",
    "columns in another order",
    "not compressed",
    "compressed twice",
    "no link",
]


def client(server, on_wait=None, **changes):
    quick = {"size": SIZE, "rate": 10_000.0, "backoff": 0.001, "timeout": 20.0, "url": server.url}
    return UniProt(curation_config(FetchConfig, "fetch", quick | changes), on_wait)


def expected(total=TOTAL):
    """The whole search as one TSV, made without any of the pages."""
    return "".join(f"{line}\n" for line in lines_of(range(total), SHIPPED["fetch"]["fields"])).encode()


def content(folder):
    return gzip.decompress((folder / "entries.tsv.gz").read_bytes())


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A download without a fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with UniProtServer(TOTAL) as server:
        download(folder, client(server))
    return folder


def test_the_requested_fields_are_fields_of_uniprot():
    assert SHIPPED["fetch"]["fields"] == list(TITLES)


def test_a_download_has_every_entry_and_its_origin(tmp_path):
    progress = []
    with UniProtServer(TOTAL) as server:
        done = download(tmp_path / "a" / "b", client(server), on_page=lambda *counts: progress.append(counts))
    folder = tmp_path / "a" / "b"
    assert content(folder) == expected()
    assert done.fetched == PAGES == server.count
    assert names(folder) == [".lock", "entries.tsv.gz", "manifest.json"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == done.manifest == check_download(folder)
    assert (manifest["release"], manifest["release_date"]) == (RELEASE, RELEASE_DATE)
    assert (manifest["entries"], manifest["pages"], manifest["url"]) == (TOTAL, PAGES, server.url)
    assert manifest["query"] == "(reviewed:true) AND (fragment:false)"
    packed = (folder / "entries.tsv.gz").read_bytes()
    assert manifest["files"]["entries.tsv.gz"] == {
        "bytes": len(packed),
        "sha256": hashlib.sha256(packed).hexdigest(),
        "sha256_unpacked": hashlib.sha256(expected()).hexdigest(),
    }
    assert progress == [(50, TOTAL), (100, TOTAL), (150, TOTAL), (200, TOTAL)]


@pytest.fixture
def sleeps(monkeypatch):
    """The seconds that were to be slept; nobody sleeps."""
    asked = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


def test_requests_respect_the_rate_and_the_configuration(sleeps, tmp_path):
    with UniProtServer(TOTAL) as server:
        download(tmp_path, client(server, rate=0.01))
    (agent,) = server.agents
    assert agent.startswith("tfclass/")
    assert len(server.connections) == 1
    # A hundred seconds from the start of one request to the next, less what the first took.
    assert sleeps[0] == 0
    assert all(50 < seconds <= 100 for seconds in sleeps[1:])
    assert len(sleeps) == PAGES
    asked = {key: value for key, value in server.queries[0].items()}
    assert asked == {
        "query": "(reviewed:true) AND (fragment:false)",
        "fields": ",".join(TITLES),
        "format": "tsv",
        "compressed": "true",
        "size": str(SIZE),
    }


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_the_download_is_the_same_after(fault, undisturbed, tmp_path):
    with UniProtServer(TOTAL, {1: fault, 4: fault}) as server:
        download(tmp_path, client(server))
    assert server.done == [fault, fault]
    assert (tmp_path / "entries.tsv.gz").read_bytes() == (undisturbed / "entries.tsv.gz").read_bytes()


@pytest.mark.parametrize("fault", ["429, seconds", "429, a date"])
def test_retry_after_is_respected(fault, sleeps, tmp_path):
    waits = []
    with UniProtServer(TOTAL, {2: fault}) as server:
        server.patience = 300
        download(tmp_path, client(server, lambda *wait: waits.append(wait)))
    ((reason, seconds),) = waits
    assert reason == "HTTP status 429"
    assert 200 < seconds <= 300
    assert seconds in sleeps


def test_the_pause_doubles_from_one_retry_to_the_next(sleeps, tmp_path):
    with UniProtServer(TOTAL, {number: "503" for number in range(2, 9)}) as server:
        waits = []
        download(tmp_path, client(server, lambda *wait: waits.append(wait[1]), backoff=5.0))
    assert waits == [0, 10, 20, 40, 80, 120, 120]
    assert [seconds for seconds in sleeps if seconds >= 5] == waits[1:]


@pytest.mark.parametrize(
    ("faults", "changes", "message"),
    [
        (
            {2: "429, an hour"},
            {},
            "found HTTP status 429 with Retry-After 3600 s; expected at most 600 s; run the same "
            "command later; the pages that are there are kept",
        ),
        (
            {2: "503", 3: "HTML", 4: "503"},
            {"retries": 2},
            "found HTTP status 503, 3 times in a row; expected a page of entries; run the same command later; "
            "the pages that are there are kept",
        ),
        (
            {2: "400"},
            {},
            "found HTTP status 400 (Invalid cursor value); expected the next page; the cursor of a download "
            "expires; start again with --restart",
        ),
        (
            {2: "redirected in a circle"},
            {"retries": 1},
            "found Exceeded 30 redirects., 2 times in a row; expected a page of entries; run the same command later; "
            "the pages that are there are kept",
        ),
        (
            {},
            {"query": "malformed ((("},
            "found HTTP status 400 (query parameter has an invalid syntax); expected a page of entries; check query "
            "and address",
        ),
    ],
    ids=["asked to wait for an hour", "never a page", "expired cursor", "redirected for ever", "query refused"],
)
def test_a_permanent_failure_is_one_line(faults, changes, message, tmp_path):
    with UniProtServer(TOTAL, faults) as server, pytest.raises(FetchError) as raised:
        download(tmp_path / "raw", client(server, **changes))
    assert str(raised.value) == f"{server.url}: {message}"
    assert not (tmp_path / "raw" / "manifest.json").exists()
    assert (tmp_path / "raw").exists() == bool(faults)


def test_a_failed_download_is_resumed(undisturbed, tmp_path):
    with UniProtServer(TOTAL, {3: "503", 4: "503"}) as server:
        with pytest.raises(FetchError):
            download(tmp_path, client(server, retries=1))
        assert names(tmp_path / "pages.part") == [
            *("000001.json", "000001.tsv.gz", "000002.json", "000002.tsv.gz", "request.json")
        ]
    # The server is another one now, at another port.
    with UniProtServer(TOTAL) as server:
        assert download(tmp_path, client(server)).fetched == PAGES - 2 == server.count
    assert (tmp_path / "entries.tsv.gz").read_bytes() == (undisturbed / "entries.tsv.gz").read_bytes()


def test_a_query_that_finds_nothing_is_one_line(tmp_path):
    with UniProtServer(0) as server, pytest.raises(FetchError, match="found no entry for the query '.*'; check the"):
        download(tmp_path, client(server))


@pytest.mark.parametrize("damage", ["no record", "no content", "other content", "half a record"])
def test_an_incomplete_page_is_fetched_again(damage, undisturbed, tmp_path):
    with UniProtServer(TOTAL, {5: "400"}) as server:
        with pytest.raises(FetchError):
            download(tmp_path, client(server))
        record, page = (tmp_path / "pages.part" / f"000003.{kind}" for kind in ("json", "tsv.gz"))
        if damage == "no record":
            record.unlink()
        elif damage == "no content":
            page.unlink()
        elif damage == "other content":
            page.write_bytes(gzip.compress(b"other"))
        else:
            record.write_bytes(record.read_bytes()[:20])
        if damage == "half a record":
            with pytest.raises(FetchError, match=r"000003.json: found a record that cannot be read .*--restart"):
                download(tmp_path, client(server))
            return
        # What a killed process leaves of a file that it was writing.
        remove_abandoned.cache_clear()
        (tmp_path / "pages.part" / temporary_name("000003.tsv.gz")).write_bytes(b"half")
        (tmp_path / temporary_name("entries.tsv.gz")).write_bytes(b"half")
        (tmp_path / ".entries.tsv.gz.swp").write_bytes(b"mine")
        download(tmp_path, client(server))
    assert (tmp_path / ".entries.tsv.gz.swp").read_bytes() == b"mine"
    (tmp_path / ".entries.tsv.gz.swp").unlink()
    assert names(tmp_path) == [".lock", "entries.tsv.gz", "manifest.json"]
    assert (tmp_path / "entries.tsv.gz").read_bytes() == (undisturbed / "entries.tsv.gz").read_bytes()


def test_two_releases_are_never_mixed_unless_asked_to_start_again(tmp_path):
    with UniProtServer(TOTAL, {3: "400"}) as server:
        with pytest.raises(FetchError):
            download(tmp_path, client(server))
        server.release, server.total = "2026_04", 260
        with pytest.raises(FetchError) as raised:
            download(tmp_path, client(server))
        assert str(raised.value) == (
            f"{server.url}: found release 2026_04 with 260 entries; expected release 2026_03 with 230 entries, as on "
            "the pages that are there; two releases do not go into one table; start again with --restart"
        )
        manifest = download(tmp_path, client(server), restart=True).manifest
    assert (manifest["release"], manifest["entries"]) == ("2026_04", 260)
    assert content(tmp_path) == expected(260)


def test_a_complete_download_stays_until_another_is_complete(undisturbed, tmp_path):
    with UniProtServer(TOTAL) as server:
        download(tmp_path, client(server))
        assert download(tmp_path, client(server)).fetched == 0
        assert server.count == PAGES
        with pytest.raises(
            FetchError, match=r"found a download with query '.*'; expected 'other'; name another folder"
        ):
            download(tmp_path, client(server, query="other"))
        server.faults = {PAGES + 3: "400"}
        with pytest.raises(FetchError):
            download(tmp_path, client(server), restart=True)
        assert (tmp_path / "entries.tsv.gz").read_bytes() == (undisturbed / "entries.tsv.gz").read_bytes()
        assert check_download(tmp_path)["entries"] == TOTAL
        # Without --restart the one that was begun goes on.
        server.faults = {}
        assert download(tmp_path, client(server)).fetched == PAGES - 2


def test_a_download_with_other_fields_is_not_resumed(tmp_path):
    with UniProtServer(TOTAL, {3: "400"}) as server:
        with pytest.raises(FetchError):
            download(tmp_path, client(server))
        with pytest.raises(FetchError, match=r"found a download with fields \['accession', 'id'"):
            download(tmp_path, client(server, fields=("accession", "sequence")))


def test_an_incomplete_or_altered_download_is_refused(undisturbed, tmp_path):
    with pytest.raises(TableError, match=r"found no manifest.json; expected a complete download; tfclass data fetch"):
        check_download(tmp_path)
    (tmp_path / "manifest.json").write_bytes((undisturbed / "manifest.json").read_bytes())
    with pytest.raises(TableError, match=r"found no entries.tsv.gz"):
        check_download(tmp_path)
    (tmp_path / "entries.tsv.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(TableError, match=r"checksum mismatch with manifest.json; tfclass data fetch --restart"):
        check_download(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"{}")
    with pytest.raises(TableError, match=r"manifest.json: found something that is no manifest"):
        check_download(tmp_path)


@pytest.mark.parametrize("when", ["000002.tsv.gz", "000003.json", "entries.tsv.gz", "manifest.json"])
def test_a_download_is_resumed_after_a_full_disk(when, undisturbed, tmp_path, monkeypatch):
    replace = os.replace

    def full(source, target):
        if Path(target).name == when:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with UniProtServer(TOTAL) as server:
        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match=f"{when}: found a place that cannot be written .No space left on device"):
            download(tmp_path, client(server))
        assert not (tmp_path / "manifest.json").exists()
        monkeypatch.setattr(os, "replace", replace)
        download(tmp_path, client(server))
    assert names(tmp_path) == [".lock", "entries.tsv.gz", "manifest.json"]
    assert (tmp_path / "entries.tsv.gz").read_bytes() == (undisturbed / "entries.tsv.gz").read_bytes()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with UniProtServer(TOTAL) as server:
        with pytest.raises(OutputError, match=r"found a place that cannot be written \(Not a directory\)"):
            download(tmp_path / "file" / "raw", client(server))
        assert server.count == 0


@pytest.fixture
def start_fetch(start_tfclass):
    def start(server, folder):
        options = ["--url", server.url, "--rate", "10000", "--backoff", "0.001", "-o", folder]
        return start_tfclass("data", "fetch", *options)

    return start


def test_a_download_killed_twice_has_the_same_bytes(start_fetch, tmp_path):
    total = 3200
    with UniProtServer(total) as server:
        download(tmp_path / "whole", client(server, size=500))
    with UniProtServer(total, {2: "503", 3: "cut", 5: "HTML", 7: "429, seconds", 8: "dropped"}) as server:
        for request in (4, 9):
            server.hold, server.held, server.free = request, type(server.held)(), type(server.free)()
            process = start_fetch(server, tmp_path / "killed")
            assert server.held.wait(120)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL
            assert not (tmp_path / "killed" / "manifest.json").exists()
            server.free.set()
        last = start_fetch(server, tmp_path / "killed")
        _, said = last.communicate()
    assert last.returncode == 0, said
    assert b"of 7 pages fetched" in said
    # Seven pages, five faults, and the two requests that were held.
    assert server.count == 7 + 5 + 2
    whole, killed = tmp_path / "whole" / "entries.tsv.gz", tmp_path / "killed" / "entries.tsv.gz"
    assert killed.read_bytes() == whole.read_bytes()
    assert gzip.decompress(killed.read_bytes()) == expected(total)


def test_an_interrupt_is_one_line_and_keeps_the_pages(start_fetch, tmp_path):
    with UniProtServer(1200) as server:
        server.hold = 3
        process = start_fetch(server, tmp_path / "raw")
        assert server.held.wait(120)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert (process.returncode, said) == (143, b"tfclass: interrupted; the same command goes on\n")
    assert names(tmp_path / "raw" / "pages.part") == [
        *("000001.json", "000001.tsv.gz", "000002.json", "000002.tsv.gz", "request.json")
    ]


def test_no_network_is_one_line_and_leaves_nothing(tfclass, tmp_path):
    with UniProtServer(1) as server:
        url = server.url
    failed = tfclass("data", "fetch", "-o", "data/raw/uniprot", "--url", url, "--backoff", 0.001)
    assert failed.status == 2
    *waits, line = failed.err.splitlines()
    assert waits == ["Connection refused; again in 0 s"] * 2
    assert line == (
        f"tfclass: {url}: found no connection (Connection refused); expected one to the network; without one use the "
        "generated corpus (tfclass data demo) or files of your own (tfclass data import)"
    )
    assert names(tmp_path) == []


def test_the_command_line_restricts_the_search(tfclass, tmp_path):
    with UniProtServer(12) as server:
        done = tfclass("data", "fetch", "-o", "raw", "--url", server.url, "--taxon", 9606, "--query", "reviewed:true")
        again = tfclass("data", "fetch", "-o", "raw", "--url", server.url, "--taxon", 9606, "--query", "reviewed:true")
    assert server.queries[0]["query"] == "(reviewed:true) AND (taxonomy_id:9606)"
    assert server.queries[0]["size"] == "500"
    about = "raw: 12 entries of UniProtKB, release 2026_03 (02-September-2026); "
    assert (done.status, done.out, done.err) == (0, "", about + "1 of 1 pages fetched\n")
    assert (again.status, again.err) == (0, about + "there already\n")


def test_the_kind_of_evidence_is_part_of_the_search(tfclass, tmp_path):
    with UniProtServer(12) as server:
        for codes in ("IDA,exp", "experimental"):
            options = ["-o", codes, "--url", server.url, "--query", "reviewed:true", "--evidence", codes]
            done = tfclass("data", "fetch", *options)
            assert done.status == 0, done.err
    asked = [query["query"] for query in server.queries]
    assert asked[0] == "(reviewed:true) AND ((go_ida:0003700) OR (go_exp:0003700))"
    assert all(f"(go_{code}:0003700)" in asked[1] for code in SHIPPED["fetch"]["experimental"])
    assert json.loads((tmp_path / "IDA,exp" / "manifest.json").read_text())["query"] == asked[0]


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--rate", -1, "tfclass: --rate: found -1.0; expected greater than 0"),
        (
            "--evidence",
            "ida exp",
            "--evidence: 'ida exp' is none of codes such as exp,ida (three letters each), or exp",
        ),
    ],
)
def test_a_wrong_option_is_named(option, value, expected, tfclass):
    failed = tfclass("data", "fetch", option, value)
    assert (failed.status, failed.err.count("\n")) == (2, 1)
    assert expected in failed.err


def test_two_downloads_do_not_share_a_folder(start_fetch, tfclass, tmp_path):
    with UniProtServer(TOTAL) as server:
        server.hold = 1
        first = start_fetch(server, tmp_path / "raw")
        assert server.held.wait(120)
        second = tfclass("data", "fetch", "-o", "raw", "--url", server.url)
        server.free.set()
        first.communicate()
    assert first.returncode == 0
    assert (second.status, second.err) == (
        2,
        "tfclass: raw: found another download at work there; wait for it, or name another folder\n",
    )


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("nested messages", "found HTTP status 400; expected a page of entries; check query and address"),
        ("nested JSON as an error", "found HTTP status 400; expected a page of entries; check query and address"),
        ("a bomb", "found a page that unpacks to more than 64 MiB, 2 times in a row"),
        ("a total of 5,000 digits", "found a page of something else (HTML, maybe), 2 times in a row"),
        ("busy until a date that is none", "found HTTP status 503, 2 times in a row"),
        ("busy for 5,000 digits", "found HTTP status 503, 2 times in a row"),
        ("busy until the year 9999", "found HTTP status 503 with Retry-After "),
        ("a body without end", "found an answer of more than 64 MiB, 2 times in a row"),
        ("trailers without end", "found headers of more than 500 lines, 2 times in a row"),
        ("a redirect to itself", "found Exceeded 30 redirects., 2 times in a row"),
    ],
)
def test_a_server_that_misbehaves_is_one_line_and_status_2(kind, found, tfclass, tmp_path):
    with HostileServer(ANSWERS[kind]) as server:
        options = ["--url", f"{server.address}/uniprotkb/search", "--retries", "1", "--backoff", "0", "--rate", "1e6"]
        done = tfclass("data", "fetch", *options, "-o", "raw")
    *_, line = done.err.splitlines()
    assert (done.status, done.out) == (2, "")
    assert line.startswith(f"tfclass: {server.address}/uniprotkb/search: {found}")
    assert done.err.count("tfclass: ") == 1
    assert not (tmp_path / "raw").exists()


def test_the_release_name_is_escaped(tfclass, tmp_path):
    with UniProtServer(3) as server:
        server.release = "\x1b[2J2026\x9b31m_03"
        done = tfclass("data", "fetch", "--url", server.url, "-o", "raw")
    assert done.status == 0
    assert done.err.endswith(
        f"raw: 3 entries of UniProtKB, release \\x1b[2J2026\\x9b31m_03 ({RELEASE_DATE}); 1 of 1 pages fetched\n"
    )
    assert check_download(tmp_path / "raw")["release"] == "\\x1b[2J2026\\x9b31m_03"


def test_a_slow_page_is_requested_again(undisturbed, tmp_path):
    with HostileServer(ANSWERS["a body a byte at a time"]) as slow, UniProtServer(TOTAL) as server:
        with pytest.raises(FetchError, match="found timed out: no whole answer within 0.4 s, 2 times in a row"):
            download(tmp_path, client(server, url=f"{slow.address}/search", timeout=0.4, retries=1))
        download(tmp_path, client(server))
    assert (tmp_path / "entries.tsv.gz").read_bytes() == (undisturbed / "entries.tsv.gz").read_bytes()
