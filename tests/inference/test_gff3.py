"""GFF3 and BED of domains, read by programs that know nothing of tfclass."""

import io
import re
import shutil
import subprocess

import gffutils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inference.test_genome import EXONS, gene, rows_of
from tfclass.channels.domains import known_domains
from tfclass.inference.genome import Part, read_genome
from tfclass.inference.gff3 import TERM_OF_TAXON, Features, write_bed, write_gff3
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import Prediction

FACTS = {"tfclass": "9.8.7", "model": "m", "threshold": 0.5}
HOSTILE = [
    *("a;b", "a=b", "a,b", "a%20b", "a&b", "<script>", "=cmd()", "ümläut", "x" * 300, "#a", "track", "browser", ">a"),
    *("~a", '"a"', ".", "\\x1b", "a\u202eb", "sp|P1|A_B", "record2", "record1.domain1", "a|b:c^d*e$f@g!h+i_j?k-l"),
]


ETS = ["Pfam:PF00178", "InterPro:IPR000418"]


def is_positive(row):
    return row.label == "TF"


def row_of(name="P1", length=100, label="TF", notes="", **details):
    status = "ok" if label else "skipped"
    probability = {"TF": 0.75, "nonTF": 0.25}.get(label)
    return Prediction(name, length, label, probability, 0.5, status, notes, details)


def bhlh(name="P1", length=100, notes="", domain="5-60;70-90"):
    return row_of(name, length, notes=notes, family="bHLH", domain=domain, domain_source="network")


def written(rows, write=write_gff3, **options):
    stream = io.BytesIO()
    features = Features(is_positive, **options)
    write(iter(rows), stream, *([FACTS] if write is write_gff3 else []), features)
    return stream.getvalue().decode()


def features_of(text):
    """The features that gffutils reads, by their ID."""
    # Left to guess, gffutils takes a name that is a quotation mark for the quotes of GFF2.
    options = {"merge_strategy": "error", "keep_order": True, "dialect": gffutils.constants.dialect}
    database = gffutils.create_db(text, ":memory:", from_string=True, **options)
    return {feature.id: feature for feature in database.all_features()}


def validated(text, tmp_path):
    """Let GenomeTools, where it is installed, judge a file."""
    if not shutil.which("gt"):
        return
    (tmp_path / "x.gff3").write_text(text)
    command = ["gt", "gff3validator", "-typecheck", "so", tmp_path / "x.gff3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "input is valid GFF3\n"), done.stderr


def test_a_file_has_regions_polypeptides_and_domains():
    skipped = row_of("bad", 3, "", "illegal '1' at 3")
    text = written([row_of("no", 7, "nonTF"), skipped, bhlh(), row_of("bare")])
    term = "Ontology_term=GO:0003700"
    known = "Name=bHLH;Dbxref=Pfam:PF00010,InterPro:IPR011598"
    domain = "P1\ttfclass_v9.8.7\tpolypeptide_domain"
    assert text.splitlines() == [
        "##gff-version 3",
        "# tfclass=9.8.7; model=m; threshold=0.5",
        "##sequence-region no 1 7",
        "# skipped: record 2, bad (illegal '1' at 3)",
        "##sequence-region P1 1 100",
        f"P1\ttfclass_v9.8.7\tpolypeptide\t1\t100\t0.750000\t.\t.\tID=record3;Name=P1;{term};label=TF;family=bHLH",
        f"{domain}\t5\t60\t.\t.\t.\tID=record3.domain1;Parent=record3;{known};{term};domain_source=network",
        f"{domain}\t70\t90\t.\t.\t.\tID=record3.domain2;Parent=record3;{known};{term};domain_source=network",
        "###",
        "##sequence-region bare 1 100",
        f"bare\ttfclass_v9.8.7\tpolypeptide\t1\t100\t0.750000\t.\t.\tID=record4;Name=bare;{term};label=TF",
        "###",
    ]


def test_no_rows_give_a_header_alone(tmp_path):
    assert written([]).count("\n") == 2
    validated(written([]), tmp_path)


ids = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Z", "Cc", "Cs"]))
records = st.builds(
    lambda name, length, label, family: row_of(
        name, length, label, family=family, domain=f"1-{length}" if label == "TF" else None, description=name * 2
    ),
    ids,
    st.integers(1, 500),
    st.sampled_from(["TF", "nonTF", ""]),
    st.sampled_from(["bHLH", "a;b=c", None]),
)


@given(st.lists(records, max_size=6))
def test_ids_of_any_kind_come_back_and_are_unique(rows):
    seen: set[str] = set()
    rows = [row._replace(notes="duplicate_id" if row.id in seen or seen.add(row.id) else "") for row in rows]
    text = written(rows)
    positives = [row for row in rows if row.label == "TF"]
    sequences = [line.split()[1] for line in text.splitlines() if line.startswith("##sequence-region")]
    assert len(sequences) == len(set(sequences)) == sum(row.status == "ok" for row in rows)
    assert all(re.fullmatch(r"(?:[a-zA-Z0-9.:^*$@!+_?|-]|%[0-9A-F]{2})+", name) for name in sequences)
    assert "." not in sequences
    if not positives:
        return
    found = features_of(text)
    proteins = [each for each in found.values() if each.featuretype == "polypeptide"]
    domains = [each for each in found.values() if each.featuretype == "polypeptide_domain"]
    assert [each.attributes.get("Name", [""])[0] for each in proteins] == [row.id for row in positives]
    assert [each.attributes.get("Note", [""])[0] for each in proteins] == [row.id * 2 for row in positives]
    assert [each.attributes.get("family", [None])[0] for each in proteins] == [row.family for row in positives]
    assert [(each.start, each.end) for each in domains] == [(1, row.length) for row in positives]
    assert [each.attributes["Parent"] for each in domains] == [[each.id] for each in proteins]
    assert {each.seqid for each in proteins} <= set(sequences)
    assert len({each.seqid for each in proteins}) == len(positives)


def test_hostile_ids_are_valid(tmp_path):
    validated(written(map(bhlh, HOSTILE)), tmp_path)
    twice = [bhlh(""), bhlh("a"), bhlh("a", notes="duplicate_id"), bhlh("", notes="duplicate_id;no_id")]
    text = written(twice)
    validated(text, tmp_path)
    sequences = ["record%201", "a", "a%20record%203", "record%204"]
    assert re.findall(r"sequence-region (\S+)", text) == sequences


def test_a_region_has_the_gaps_that_places_count():
    text = written([bhlh(length=60, notes="stop_removed;gaps_removed=40")])
    assert "##sequence-region P1 1 100\n" in text


@pytest.mark.parametrize(
    ("details", "name", "reference"),
    [
        ({"domain_source": "network", "family": "HD-ZIP"}, "Homeodomain", ["Pfam:PF00046", "InterPro:IPR001356"]),
        ({"domain_source": "network", "family": None}, "DNA-binding domain", []),
        ({"domain_source": "network", "family": "unheard of"}, "DNA-binding domain", []),
        ({"domain_source": "profile", "family": "C2H2", "profile": "Ets 2"}, "Ets 2", ETS),
        ({"domain_source": "profile", "family": "Ets", "profile": "relatives of X"}, "relatives of X", []),
        # A model of profiles alone, and one of the network alone, do not say who placed a domain.
        ({"family": None, "profile": "Ets 2", "profile_bits": 30.0}, "Ets 2", ETS),
        ({"family": "STE", "family_probability": 0.5}, "STE", ["Pfam:PF02200", "InterPro:IPR003120"]),
    ],
)
def test_a_domain_has_the_accessions_of_who_placed_it(details, name, reference):
    rows = [row_of(domain="5-9", **details)]
    found = features_of(written(rows, accessions={"Ets 2": "PF00178", "relatives of X": ""}))["record1.domain1"]
    assert found.attributes["Name"] == [name]
    assert found.attributes.get("Dbxref", []) == reference


@pytest.mark.parametrize("taxon", TERM_OF_TAXON)
def test_the_term_is_that_of_the_taxon(taxon):
    term = "GO:0003700" if taxon in ("bacteria", "archaea") else "GO:0000981"
    assert written([bhlh()], taxon=taxon).count(f"Ontology_term={term};") == 3


def test_a_class_of_another_name_has_no_term():
    stream = io.BytesIO()
    write_gff3([bhlh()._replace(label="kinase")], stream, FACTS, Features(lambda _: True))
    assert b"GO:" not in stream.getvalue()


PROTEIN = "MKVLAAGITRSQWDEFHNPYC" * 3


@given(st.lists(st.integers(0, 10**6), max_size=5), st.sampled_from("+-"))
def test_domains_on_a_genome_are_split_at_introns_and_valid(tmp_path_factory, cuts, strand):
    folder = tmp_path_factory.mktemp("genome")
    chromosome, exons = gene(PROTEIN, strand, cuts, 1)
    (folder / "g.gff3").write_text(
        "\n".join([f"##sequence-region chr1 1 {len(chromosome)}", *rows_of(exons, "ID=cds-P1;Parent=T1"), ""])
    )
    row = bhlh(length=len(PROTEIN), domain="2-20;30-60")
    genome = read_genome(folder / "g.gff3")
    lines = [line.split("\t") for line in written([row], genome=genome).splitlines() if "\t" in line]
    parts = [line for line in lines if line[8].startswith("ID=record1.domain2;")]
    assert sum(int(line[4]) - int(line[3]) + 1 for line in parts) == 3 * 31
    assert {line[6] for line in parts} == {strand}
    # The same places as blocks.
    blocks = [line.split("\t") for line in written([row], write_bed, genome=genome).splitlines()]
    start, sizes, starts = int(blocks[1][1]), blocks[1][10].split(","), blocks[1][11].split(",")
    inside = {start + int(s) + i + 1 for size, s in zip(sizes, starts, strict=True) for i in range(int(size))}
    assert inside == {base for line in parts for base in range(int(line[3]), int(line[4]) + 1)}
    assert (len(sizes), int(starts[0]), start + int(starts[-1]) + int(sizes[-1])) == (
        *(int(blocks[1][9]), 0),
        int(blocks[1][2]),
    )


def test_a_genome_file_is_valid_and_names_what_it_lacks(tmp_path):
    (tmp_path / "g.gff3").write_text(
        "\n".join(
            [
                "##sequence-region chr1 1 500",
                *rows_of(EXONS, "ID=cds-P1;Parent=T1"),
                *rows_of([Part("chr1", 100, 120, "-", 0)], "ID=a;Parent=g1;protein_id=WP_1.1"),
                *rows_of([Part("chr1", 200, 220, "+", 0)], "ID=b;Parent=g2;protein_id=WP_1.1"),
                "",
            ]
        )
    )
    genome = read_genome(tmp_path / "g.gff3")
    rows = [bhlh(name, 6, domain="2-5") for name in ("P1", "lost", "WP_1.1")]
    rows += [bhlh("P1", 5, "gaps_removed=1", "2-5"), row_of("no", 6, "nonTF")]
    text = written(rows, genome=genome)
    validated(text, tmp_path)
    assert text.count("##sequence-region") == 1
    assert "# without a place in the genome: record 2, lost\n" in text
    assert list(genome.summary()) == [
        "2 proteins without a place in the genome (1 with no CDS of this name, 1 with gaps in the sequence): lost, P1"
    ]
    lines = [line.split("\t") for line in text.splitlines() if "\t" in line]
    assert [(line[2], *line[3:5], *line[6:8], line[8].split(";")[0]) for line in lines] == [
        ("polypeptide", "11", "38", "+", ".", "ID=record1"),
        ("polypeptide_domain", "14", "20", "+", "0", "ID=record1.domain1"),
        ("polypeptide_domain", "31", "35", "+", "2", "ID=record1.domain1"),
        ("polypeptide", "103", "120", "-", ".", "ID=record3.copy1"),
        ("polypeptide_domain", "106", "117", "-", "0", "ID=record3.copy1.domain1"),
        ("polypeptide", "200", "217", "+", ".", "ID=record3.copy2"),
        ("polypeptide_domain", "203", "214", "+", "0", "ID=record3.copy2.domain1"),
    ]


def test_bed_counts_from_zero_and_keeps_ids_that_are_no_other_line():
    text = written([*map(bhlh, HOSTILE), bhlh(""), row_of("no", label="nonTF")], write_bed)
    lines = [line.split("\t") for line in text.splitlines()]
    assert len(lines) == 2 * (len(HOSTILE) + 1)
    assert lines[:2] == [["a;b", "4", "60", "bHLH", "750", "."], ["a;b", "69", "90", "bHLH", "750", "."]]
    names = [line[0] for line in lines[::2]]
    changed = {"#a": "%23a", "track": "%74rack", "browser": "%62rowser", "a\u202eb": "a\\u202eb"}
    assert names == [changed.get(name, name) for name in HOSTILE] + [f"record%20{len(HOSTILE) + 1}"]


def test_a_predictor_knows_its_profiles_and_positives(with_profiles, library):
    predictor = Predictor(with_profiles)
    features = Features.of(predictor, "plants")
    assert features.accessions == {profile.name: profile.accession for profile in library.profiles}
    assert (features.is_positive, features.taxon, features.genome) == (predictor.is_positive, "plants", None)


def test_the_score_of_bed_is_the_probability_in_thousandths():
    rows = [bhlh(domain="5-60")._replace(probability=p) for p in (0.0, 0.0019, 0.5, 1.0)]
    assert [line.split("\t")[4] for line in written(rows, write_bed).splitlines()] == ["0", "1", "500", "1000"]


@pytest.mark.parametrize(
    ("second", "block"), [((34, 42), (9, 42)), ((37, 45), (9, 45)), ((20, 28), (9, 36)), ((38, 46), None)]
)
def test_parts_that_touch_or_overlap_are_one_block_of_bed(tmp_path, second, block):
    exons = [Part("chr1", 10, 36, "+", 0), Part("chr1", *second, "+", 0)]
    (tmp_path / "g.gff3").write_text("\n".join(rows_of(exons, "ID=cds-P1")))
    [line] = written([bhlh(length=12, domain="1-12")], write_bed, genome=read_genome(tmp_path / "g.gff3")).splitlines()
    cells = line.split("\t")
    if block:
        start, end = block
        assert (cells[1:3], cells[9:]) == ([str(start), str(end)], ["1", str(end - start), "0"])
    else:
        assert (cells[1:3], cells[9:]) == (["9", "46"], ["2", "27,9", "0,28"])


def test_the_table_of_domains_is_whole():
    domains = known_domains()
    families = [family for domain in domains for family in domain.families]
    assert len(families) == len(set(families))
    assert len({domain.name for domain in domains}) == len(domains)
    for domain in domains:
        assert re.fullmatch(r"(PF\d{5})?", domain.pfam), domain
        assert re.fullmatch(r"(IPR\d{6})?", domain.interpro), domain
        assert re.fullmatch(r"[A-Z].*[^.]", domain.description), domain
    # Domains of one accession are one entry of InterPro.
    assert len({(d.pfam, d.interpro) for d in domains if d.pfam}) == len({d.pfam for d in domains if d.pfam})
