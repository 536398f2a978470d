"""Solutions of notebook 08, on the files of your run: start this file with python."""

import pandas as pd

from semlib import paths, teaching

dataset = "synthetic"
folder = paths.of(dataset).figures
profile, summary, rules = (
    pd.read_csv(folder / f"semnr_{name}.csv") for name in ("profile", "stress", "conflicts")
)

# 1
psnr = profile.query("input == 'noisy'").set_index("denoiser")["psnr"]
teaching.check("08.1", psnr.idxmax(), dataset)

# 2: from decibels to errors
rmse = 10 ** (-psnr / 20)
teaching.check("08.2", rmse["identity"] / rmse.min(), dataset)

# 3: the sign of PSNR is wrong
bad = summary.query("severity == severity.max() and d_psnr > 0 and d_recall < 0")
teaching.check("08.3", list(bad["stress"]), dataset)

# 4
article = rules.query("kind == 'article'")
teaching.check("08.4", article.nlargest(1, "sensitivity")["rule"].item(), dataset)
