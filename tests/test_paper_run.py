"""docs/paper-run.md holds what the files of a run hold, and is made of nothing but a whole run."""

import json

import pandas as pd
import pytest

from docs import paper_run
from semlib import paths
from semlib.reproduce import notebook as nb

SECONDS = {name: 60.0 * i for i, name in enumerate(paper_run.NOTEBOOKS, 1)}


@pytest.fixture
def run():
    """The files of a run, as small as they can be."""
    place = paths.of("synthetic")
    place.figures.mkdir(parents=True)
    place.data.mkdir(parents=True)
    records = {
        book.name: {
            "profile": "paper",
            "seconds": SECONDS[book.name[:2]],
            "memory": 1e9 * SECONDS[book.name[:2]] / 60,
            "parameters": {"n_seeds": 3},
        }
        for book in nb.numbered()[:6]
    }
    facts = {"cpu": "A chip", "cpu_count": 2, "memory": 24 * 2**30, "platform": "Linux"}
    facts |= {"python": "3.11", "packages": {"torch": "2.11", "scikit-learn": "1.5"}}
    facts |= {"semlib": "0.2.0", "git": 40 * "a", "git_changed": True, "started": "2026-11-27T08"}
    place.run_json.write_text(json.dumps(facts | {"notebooks": records}))
    place.level0_json.write_text(json.dumps({"size": 512}))
    place.manifest.write_text("image_id\n1\n2\n3\n")
    scores = ["silhouette", "silhouette_lo", "silhouette_hi", "nmi", "nmi_lo", "nmi_hi", "rankme"]
    row = dict.fromkeys([*scores, "ari", "knn_macro", "probe"], 0.5)
    paper = {"paper_silhouette": 0.501581, "paper_nmi": 0.203185}
    table = pd.DataFrame([{"method": "Proposed SSL"} | row | paper])
    table.to_csv(place.figures / "table1.csv", index=False)
    controls = [{"method": "Proposed SSL"} | row, {"method": "noise, 1-D"} | row]
    controls[1]["silhouette"] = 0.5178
    controls = pd.DataFrame(controls).assign(space="as it is")
    controls.to_csv(place.figures / "table1_controls.csv", index=False)
    return place


def test_the_page_holds_the_runs_own_numbers(run, tmp_path):
    out = tmp_path / "page.md"
    paper_run.main(["--out", str(out), "--remark", "Nothing ran beside it."])
    text = " ".join(out.read_text().split())
    assert "01 to 06 took 21 minutes and at most 6.0 GB on 2 cores (A chip, 24 GB)" in text
    assert "3 images, 512/256/128 pixels" in text and "synthetic" in text
    assert "noise score a silhouette of 0.518" in text and "0.502" in text
    assert "| 03_pyramid | 3.0 | 3.0 |" in text and "Nothing ran beside it." in text
    assert "commit `aaaaaaa` with changes, 2026-11-27" in text


def test_a_part_of_a_run_or_another_profile_is_refused(run):
    content = json.loads(run.run_json.read_text())
    whole = dict(content["notebooks"])
    for change in (lambda: content["notebooks"].pop("03_pyramid"), lambda: _quick(content)):
        content["notebooks"] = json.loads(json.dumps(whole))
        change()
        run.run_json.write_text(json.dumps(content))
        with pytest.raises(SystemExit, match="holds no whole run of 01 to 06 with --profile paper"):
            paper_run.main(["--out", str(run.figures / "page.md")])
    assert not (run.figures / "page.md").exists()


def _quick(content):
    content["notebooks"]["05_baselines"]["profile"] = "quick"
