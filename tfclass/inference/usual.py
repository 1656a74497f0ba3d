"""Published numbers of transcription factors in genomes."""

from typing import NamedTuple


class Census(NamedTuple):
    """A published count of transcription factors.

    Attributes
    ----------
    taxon : str
        One of `TAXA`.
    genome : str
        The species, or which genomes.
    n_factors : int
        In one genome; the mean of several.
    low, high : float
        Their share of the genes; of several genomes the least and the greatest.
    source, doi : str
    """

    taxon: str
    genome: str
    n_factors: int
    low: float
    high: float
    source: str
    doi: str


TAXA = ("bacteria", "archaea", "fungi", "plants", "animals")
_PLANT_SCI = ("Front. Plant Sci. 2019", "10.3389/fpls.2019.00454")
# Where a source counts no genes, the share is of about 4,300 (E. coli), 4,100 (B. subtilis), 5,000 (S. pombe) and
# 20,000 (human) genes.
CENSUSES = (
    Census(
        "bacteria",
        "Escherichia coli K-12",
        304,
        0.071,
        0.071,
        "Comput. Biol. Chem. 2015",
        "10.1016/j.compbiolchem.2015.06.002",
    ),
    Census("bacteria", "Bacillus subtilis", 237, 0.058, 0.058, "BMC Genomics 2006", "10.1186/1471-2164-7-147"),
    Census("archaea", "52 genomes", 75, 0.0, 0.05, "Mol. Biol. Evol. 2010", "10.1093/molbev/msq033"),
    Census("fungi", "Saccharomyces cerevisiae", 224, 0.034, 0.034, "Genome Res. 2004", "10.1101/gr.2584104"),
    Census("fungi", "Neurospora crassa", 312, 0.032, 0.032, "G3 2017", "10.1534/g3.117.043331"),
    Census("fungi", "Schizosaccharomyces pombe", 129, 0.026, 0.026, "Yeast 2006", "10.1002/yea.1413"),
    Census("plants", "Arabidopsis thaliana", 1533, 0.059, 0.059, "Science 2000", "10.1126/science.290.5499.2105"),
    Census("plants", "Zea mays", 2689, 0.059, 0.059, *_PLANT_SCI),
    Census("plants", "Physcomitrella patens", 823, 0.023, 0.023, *_PLANT_SCI),
    Census("plants", "Chlamydomonas reinhardtii", 213, 0.014, 0.014, *_PLANT_SCI),
    Census("animals", "Homo sapiens", 1639, 0.082, 0.082, "Cell 2018", "10.1016/j.cell.2018.01.029"),
    Census("animals", "Mus musculus", 1426, 0.060, 0.060, *_PLANT_SCI),
    Census("animals", "Drosophila melanogaster", 601, 0.042, 0.042, *_PLANT_SCI),
    Census("animals", "Caenorhabditis elegans", 698, 0.035, 0.035, *_PLANT_SCI),
    Census("animals", "Trichoplax adhaerens", 233, 0.020, 0.020, *_PLANT_SCI),
)
# What several genomes of a taxon have in common.
TRENDS = {
    "bacteria": (
        "The share grows with the genome; intracellular pathogens and endosymbionts have lost many.",
        "Comput. Biol. Chem. 2004",
        "10.1016/j.compbiolchem.2004.09.004",
    ),
}
