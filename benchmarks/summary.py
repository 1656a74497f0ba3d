"""Measure the cost of a summary, and compare its range with the true number of TFs.

The costs are those of 100,000 proteins, 6,000 of them predicted TF, without their prediction. The range is that of the
proteomes in the folder that TFCLASS_REAL_DATA names, whose TFs are known.
"""

import io
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tfclass import Predictor
from tfclass.inference.page import write_page
from tfclass.inference.rows import Prediction
from tfclass.inference.summary import Run, Summary
from tfclass.sequences.parsing import Record

N, SHARE = 100_000, 0.06
PROTEOMES = ("ecoli_proteome", "paeruginosa_proteome", "salbidoflavus_deeptfactor")
RUN = Run("tfclass predict", ["input"], "rows.tsv", {}, 0.0)


def main() -> None:
    """Print the costs, then the range of each proteome."""
    predictor = Predictor.load()
    rows, started = list(generated(predictor)), time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    summary = Summary(predictor)
    for _ in summary.count(iter(rows)):
        pass
    counted, page = time.process_time(), io.BytesIO()
    write_page(summary.content(RUN), page)
    written = time.process_time()
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{N:,} proteins, {summary.n_positive:,} predicted: counted in {counted - started:.1f} s, page of", end=" ")
    print(f"{len(page.getvalue()) / 1e6:.1f} MB in {written - counted:.1f} s, {memory:.0f} MB of memory")
    folder = os.environ.get("TFCLASS_REAL_DATA")
    for name in PROTEOMES if folder else ():
        table = pd.read_csv(Path(folder or "", f"{name}.tsv.gz"), sep="\t", keep_default_na=False)
        summary = Summary(predictor)
        records = (Record(i, i, sequence) for i, sequence in zip(table["id"], table["sequence"], strict=True))
        for _ in summary.count(predictor.predict(records)):
            pass
        expected = summary.content(RUN)["expected"]
        sums = [f"{each['number']:.0f} at {each['prevalence']:.1%}" for each in expected["assumptions"]]
        print(f"{name}: {(table['label'] == 'TF').sum()} TFs, {summary.n_positive} predicted, range", end=" ")
        print("{low:.0f} to {high:.0f}".format(**expected["interval"]), f"({', '.join(sums)})")


def generated(predictor: Predictor) -> Iterator[Prediction]:
    """Yield rows like those of proteins, with families and domains."""
    rng, empty = np.random.default_rng(0), dict.fromkeys(predictor.scorer.columns)
    threshold = predictor.threshold or 0.5
    for n, positive in enumerate(rng.random(N) < SHARE):
        p = round(
            float(threshold + (1 - threshold) * rng.random() ** 0.1 if positive else threshold * rng.random() ** 9), 6
        )
        start = int(rng.integers(1, 200))
        found = {"family": f"family {n % 40}", "domain": f"{start}-{start + 60}", "profile": f"family {n % 40}"}
        details = {**empty, "network": p, "profile_bits": 50.0, **(found if positive else {})}
        label = predictor.bundle.classes[int(positive)]
        yield Prediction(f"sp|P{n % 100_000:05d}|PROTEIN", 300, label, p, threshold, "ok", "", details)


if __name__ == "__main__":
    main()
