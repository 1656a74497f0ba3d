"""A local server that answers as UniProt's REST API does, with generated entries, and with faults where asked for."""

import base64
import email.utils
import gzip
import hashlib
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

RELEASE, RELEASE_DATE = "2026_03", "02-September-2026"

# Fields, and the titles that UniProt gives their columns.
TITLES = {
    "accession": "Entry",
    "id": "Entry Name",
    "organism_id": "Organism (ID)",
    "lineage": "Taxonomic lineage",
    "keywordid": "Keyword ID",
    "keyword": "Keywords",
    "go_id": "Gene Ontology IDs",
    "ft_dna_bind": "DNA binding",
    "ft_zn_fing": "Zinc finger",
    "ft_domain": "Domain [FT]",
    "fragment": "Fragment",
    "sequence_version": "Sequence version",
    "sequence": "Sequence",
}
ORGANISMS = [
    ("9606", "HUMAN", "cellular organisms (no rank), Eukaryota (domain), Metazoa (kingdom), Chordata (phylum)"),
    ("559292", "YEAST", "cellular organisms (no rank), Eukaryota (domain), Opisthokonta (clade), Fungi (kingdom)"),
    ("3702", "ARATH", "cellular organisms (no rank), Eukaryota (domain), Viridiplantae (kingdom)"),
    ("83333", "ECOLI", "cellular organisms (no rank), Bacteria (domain), Pseudomonadati (kingdom)"),
    ("243232", "METJA", "cellular organisms (no rank), Archaea (domain), Methanobacteriati (kingdom)"),
    ("10710", "LAMBD", "Viruses (acellular root), Duplodnaviria (realm), Heunggongvirae (kingdom)"),
    ("36329", "PLAF7", "cellular organisms (no rank), Eukaryota (domain), Sar (clade), Alveolata (clade)"),
    ("32630", "SYNTH", "other entries (no rank), other sequences (no rank), artificial sequences (no rank)"),
]
# Terms of an entry: keywords, their names, Gene Ontology terms, zinc fingers; and how many entries of 100 have them.
KINDS = [
    ("KW-0378;KW-0479", "Hydrolase;Metal-binding", "GO:0016787; GO:0046872", "", 60),
    ("", "", "", "", 14),
    ("KW-0238;KW-0805;KW-0862", "DNA-binding;Transcription regulation;Zinc", "GO:0000981; GO:0005634", "ZN_FING", 12),
    ("KW-0238;KW-0805", "DNA-binding;Transcription regulation", "GO:0003677", "", 8),
    ("KW-0238;KW-0731", "DNA-binding;Sigma factor", "GO:0003677; GO:0003700; GO:0016987", "", 2),
    ("KW-0158;KW-0238;KW-0544", "Chromosome;DNA-binding;Nucleosome core", "GO:0000786; GO:0030527", "", 4),
]
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def entry(number):
    """Make the cells of an entry; the same number always gives the same."""
    rng = random.Random(number)
    taxon, species, lineage = rng.choice(ORGANISMS)
    keyword_ids, keywords, terms, zinc, _ = rng.choices(KINDS, [kind[-1] for kind in KINDS])[0]
    length = min(2000, 30 + int(rng.expovariate(1 / 330)))
    return {
        "accession": f"A0A{number:07}",
        "id": f"A0A{number:07}_{species}",
        "organism_id": taxon,
        "lineage": lineage,
        "keywordid": keyword_ids,
        "keyword": keywords,
        "go_id": terms,
        "ft_dna_bind": "",
        "ft_zn_fing": f'{zinc} 5..27; /note="C2H2-type 1"' if zinc else "",
        "ft_domain": "",
        "fragment": "",
        "sequence_version": str(1 + number % 3),
        "sequence": "M" + "".join(rng.choices(LETTERS, k=length - 1)),
    }


def lines_of(numbers, fields=tuple(TITLES)):
    """Give the header and the entries as lines of a TSV."""
    yield "\t".join(TITLES[field] for field in fields)
    for number in numbers:
        cells = entry(number)
        yield "\t".join(cells[field] for field in fields)


def write_download(folder, lines, fields=tuple(TITLES)):
    """Write what a complete download of these lines, header first, leaves."""
    digest, count = hashlib.sha256(), -1
    with (folder / "entries.tsv.gz").open("wb") as stream, gzip.GzipFile("", "wb", 1, stream, 0) as packed:
        for line in lines:
            packed.write(f"{line}\n".encode())
            count += 1
    with (folder / "entries.tsv.gz").open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    manifest = {"query": "all", "release": RELEASE, "fields": list(fields), "entries": count}
    manifest["files"] = {"entries.tsv.gz": {"sha256": digest.hexdigest()}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


class UniProtServer(ThreadingHTTPServer):
    """Serves `total` entries on a free port; use it in a ``with`` block.

    Parameters
    ----------
    total : int
    faults : dict of int to str
        The number of a request, from 1, and the fault that it gets instead of a page (`Handler.FAULTS`).
    """

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, total, faults=None, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.total, self.faults = total, dict(faults or {})
        self.release = RELEASE
        self.count, self.queries, self.agents, self.connections = 0, [], set(), set()
        self.done = []
        # Seconds that a client who asks too often is told to wait.
        self.patience = 1
        # A request with this number is held until `free` is set, and `held` tells that it has come.
        self.hold, self.held, self.free = 0, threading.Event(), threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/uniprotkb/search"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.free.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Say nothing of clients that were killed."""


class Handler(BaseHTTPRequestHandler):
    server: UniProtServer
    protocol_version = "HTTP/1.1"
    # Headers and body are two packets; without this the second waits for the client's word on the first.
    disable_nagle_algorithm = True

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        server = self.server
        server.count += 1
        number = server.count
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        server.queries.append(asked)
        server.agents.add(self.headers["User-Agent"])
        server.connections.add(self.client_address)
        if number == server.hold:
            server.held.set()
            server.free.wait(60)
        fault = server.faults.pop(number, None)
        if fault is not None:
            server.done.append(fault)
        getattr(self, self.FAULTS[fault] if fault else "page")(asked)

    FAULTS = {
        "429, seconds": "too_many_seconds",
        "429, a date": "too_many_until",
        "429, an hour": "too_many_hour",
        "429, rubbish": "too_many_rubbish",
        "503": "unavailable",
        "500": "broken",
        "dropped": "drop",
        "cut": "cut",
        "cut inside gzip": "cut_gzip",
        "HTML": "html",
        "redirected": "redirect",
        "redirected in a circle": "circle",
        "a row too few": "short",
        "a cell too few": "narrow",
        "columns in another order": "shuffled",
        "not compressed": "plain",
        "compressed twice": "twice",
        "no link": "no_link",
        "400": "refuse",
    }

    def page(self, asked, *, change=None, pack=gzip.compress, link=True):
        total, size = self.server.total, int(asked["size"])
        try:
            first = int(base64.b64decode(asked.get("cursor", "") + "==").decode() or 0)
        except ValueError:
            return self.refuse(asked, "Invalid cursor value")
        if "malformed" in asked["query"]:
            return self.refuse(asked, "query parameter has an invalid syntax")
        last = min(first + size, total)
        lines = list(lines_of(range(first, last), asked["fields"].split(",")))
        headers = {
            "Content-Type": "text/plain;format=tsv",
            "X-UniProt-Release": self.server.release,
            "X-UniProt-Release-Date": RELEASE_DATE,
            "X-Total-Results": str(total),
        }
        if last < total and link:
            cursor = base64.b64encode(str(last).encode()).decode().rstrip("=")
            # UniProt names its own host there, whatever the mirror is called.
            following = urlencode(asked | {"cursor": cursor})
            headers["Link"] = f'<https://rest.uniprot.org/uniprotkb/search?{following}>; rel="next"'
        lines = change(lines) if change else lines
        return self.answer(200, pack(("\n".join(lines) + "\n").encode()), headers)

    def answer(self, status, body, headers, sent=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if sent is None else body[:sent])
        if sent is not None:
            self.close_connection = True

    def too_many(self, after):
        self.answer(429, b"slow down", {"Retry-After": after})

    def too_many_seconds(self, _):
        self.too_many(str(self.server.patience))

    def too_many_until(self, _):
        self.too_many(email.utils.formatdate(time.time() + self.server.patience, usegmt=True))

    def too_many_hour(self, _):
        self.too_many("3600")

    def too_many_rubbish(self, _):
        self.too_many("soon")

    def unavailable(self, _):
        self.answer(503, b"<html>maintenance</html>", {"Content-Type": "text/html"})

    def broken(self, _):
        self.answer(500, b"", {})

    def drop(self, _):
        self.close_connection = True

    def cut(self, asked):
        answer = self.answer
        self.answer = lambda status, body, headers: answer(status, body, headers, sent=len(body) // 2)
        self.page(asked)
        del self.answer

    def cut_gzip(self, asked):
        self.page(asked, pack=lambda content: gzip.compress(content)[:-20])

    def html(self, _):
        self.answer(200, b"<!DOCTYPE html><html><body>Sign in</body></html>", {"Content-Type": "text/html"})

    def redirect(self, _):
        self.answer(302, b"", {"Location": self.path})

    def circle(self, _):
        self.server.faults[self.server.count + 1] = "redirected in a circle"
        self.redirect(_)

    def short(self, asked):
        self.page(asked, change=lambda lines: lines[:-1])

    def narrow(self, asked):
        self.page(asked, change=lambda lines: [*lines[:-1], lines[-1].rsplit("\t", 1)[0]])

    def shuffled(self, asked):
        self.page(asked, change=lambda lines: ["\t".join(reversed(line.split("\t"))) for line in lines])

    def plain(self, asked):
        self.page(asked, pack=bytes)

    def twice(self, asked):
        self.page(asked, pack=lambda content: gzip.compress(gzip.compress(content)))

    def no_link(self, asked):
        self.page(asked, link=False)

    def refuse(self, _, message="Invalid cursor value"):
        body = json.dumps({"url": "http://rest.uniprot.org/uniprotkb/search", "messages": [message]}).encode()
        self.answer(400, body, {"Content-Type": "application/json"})
