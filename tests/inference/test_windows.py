"""Detection of duplicate ids, compared with a Python set, and the number of sorted runs that it keeps."""

import numpy as np
import pytest

from tfclass.inference.windows import SeenIds


@pytest.mark.parametrize("largest", [1 << 20, 64], ids=["runs that merge", "runs that are full"])
def test_seen_ids_agree_with_a_set(monkeypatch, largest):
    monkeypatch.setattr("tfclass.inference.windows._LARGEST_RUN", largest)
    rng = np.random.default_rng(1)
    seen, known = SeenIds(), set()
    for _ in range(60):
        ids = [str(n) for n in rng.integers(0, 2000, rng.integers(0, 90))]
        expected = []
        for one in ids:
            expected.append(one in known)
            known.add(one)
        assert seen.add(ids) == expected
    assert sum(map(len, seen._runs)) == len(known)
    assert len(seen._runs) < (12 if largest > 64 else 60)
