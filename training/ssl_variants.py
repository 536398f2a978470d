"""The large comparison of recipes, which notebook 04 shows: 10 epochs on 400 images of each set.

``python -m training.ssl_variants --seeds 3`` writes ``semlib/morphology/ssl_variants.csv``. A
killed run goes on. The stored table also holds recipes that were tried and dropped.
"""

import argparse
from pathlib import Path

from semlib import paths
from semlib.morphology import variants


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each recipe")
    parser.add_argument("--out", type=Path, default=variants.STORED, help="where to")
    options = parser.parse_args(arguments)
    folder = paths.of("synthetic").variants.with_name("ssl-variants-400-10")
    table = variants.study(folder, 400, seeds=range(options.seeds), epochs=10)
    with paths.atomic(options.out) as temporary:
        table.round(4).to_csv(temporary, index=False)
    print(table[["set", "method", *variants.SCORES, "seconds"]].round(3).to_string())


if __name__ == "__main__":
    main()
