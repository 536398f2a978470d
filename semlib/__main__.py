"""The command line: ``python -m semlib reproduce | fetch | check | profile | detect | similar | outliers | bulk |
explore | compare``."""

import os
import signal
import sys

import click

import semlib
from semlib.bulk import bulk
from semlib.driver.execute import NotebookError

_ENVIRONMENT = """\b
SEMLIB_DATA     folder of all data sets (default: data/ in the clone)
SEMLIB_FIGURES  folder of all figures and tables (default: figures/)
SEMLIB_DEBUG=1  show the traceback of an error"""


class _Group(click.Group):
    """Commands whose errors are one line: exit code 1 for a failing notebook, 2 for bad input, 130 for Ctrl-C."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\ninterrupted: rerun the same command to continue", err=True)
            sys.exit(130)
        except BrokenPipeError:
            raise
        except (ValueError, OSError, NotebookError) as error:
            if os.environ.get("SEMLIB_DEBUG"):
                raise
            click.echo(f"error: {error}", err=True)
            sys.exit(1 if isinstance(error, NotebookError) else 2)


@click.group(
    cls=_Group, epilog=_ENVIRONMENT, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(semlib.__version__, prog_name="semlib")
def main():
    """Reproduce three works on scanning-electron-microscope images of semiconductors."""


@main.command(epilog=_ENVIRONMENT)
@click.option(
    "--dataset",
    default="synthetic",
    show_default=True,
    help="synthetic, carinthia, carinthia-s, or a folder of images (JPEG, PNG, TIFF; labels.csv and masks/ optional).",
)
@click.option(
    "--profile", default="standard", show_default=True, help="Sizes: quick, standard or paper."
)
@click.option(
    "--only",
    multiple=True,
    metavar="NN",
    help="Only these notebooks: --only 04 05 or --only 04,05.",
)
@click.argument("more", nargs=-1, metavar="[NN]...")
@click.option("--from", "start", metavar="NN", help="Leave out the notebooks before this one.")
@click.option("--force", is_flag=True, help="Run also the notebooks that are up to date.")
@click.option("--seed", default=0, show_default=True, help="Seed of every notebook.")
@click.option(
    "-p",
    "parameters",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="A notebook parameter, in each selected notebook that has it; the value is YAML. Repeatable.",
)
def reproduce(dataset, profile, only, more, start, force, seed, parameters):
    """Run the notebooks in order; figures and tables go to figures/DATASET/.

    A notebook is skipped if its cells, parameters, code and inputs are unchanged and its outputs are there. After an
    interruption the same command continues.

    \b
    python -m semlib reproduce --profile quick
    python -m semlib reproduce --dataset carinthia --profile paper
    python -m semlib reproduce --only 04 05 -p epochs 3
    """
    from semlib.run import reproduce as run

    for name in (
        "SIGINT",
        "SIGTERM",
        "SIGHUP",
    ):  # a shell may start background jobs that ignore SIGINT
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    names = [name for value in (*only, *more) for name in value.split(",") if name]
    run(
        dataset,
        profile,
        only=names,
        start=start,
        force=force,
        seed=seed,
        parameters=dict(parameters),
    )


@main.command(epilog=_ENVIRONMENT)
@click.argument("names", nargs=-1, metavar="[DATASET]...")
def fetch(names):
    """Download each DATASET (default: carinthia and its masks, carinthia-s) and list its images in a manifest.

    A transfer that was cut is resumed; nothing is downloaded that is here already. For synthetic, 4,591 images are
    simulated; notebook 01 simulates as many as its profile says.
    """
    from semlib import paths
    from semlib.images import datasets

    for dataset in names or ("carinthia-s", "carinthia"):
        raw = datasets.fetch(dataset)
        click.echo(
            f"{len(datasets.manifest(dataset))} images in {raw}, listed in {paths.of(dataset).manifest}"
        )


@main.command(epilog=_ENVIRONMENT)
@click.argument("reference", type=click.Path())
@click.argument("restored", type=click.Path())
@click.option(
    "--mask",
    type=click.Path(),
    help="Image of the defect, white on black: for CNR, gCNR and recall.",
)
@click.option(
    "--noisy",
    type=click.Path(),
    help="The image before the restoration: for conflicts and a verdict.",
)
@click.option(
    "--out",
    type=click.Path(),
    help="Name of the results without ending. [default: RESTORED_profile]",
)
def profile(reference, restored, mask, noisy, out):
    """The trust profile of one restored image file against its REFERENCE: one page as PNG, the numbers as CSV.

    \b
    python -m semlib profile clean.png denoised.png --mask defect.png --noisy scan.png
    """
    from pathlib import Path

    from semlib.semnr import page

    out = out or Path.cwd() / f"{Path(restored).stem}_profile"
    table = page.write(reference, restored, out, mask=mask, noisy=noisy)
    click.echo(f"{table.to_string(index=False, float_format='%.3f')}\n{out}.png\n{out}.csv")


@main.command(epilog=_ENVIRONMENT)
@click.option(
    "--shots",
    type=click.Path(),
    help="Folder of labelled images to learn from: labels.csv, masks/.",
)
@click.option("--images", type=click.Path(), required=True, help="Folder of the images to look at.")
@click.option("--out", type=click.Path(), required=True, help="Folder of the results.")
@click.option(
    "--backbone", metavar="NAME", help="A ViT of open_clip. [default: the embedded SEM-VLM]"
)
@click.option(
    "--pretrained",
    metavar="FILE_OR_TAG",
    help="Weights of the backbone: a file, or a tag of open_clip.",
)
@click.option("--prompts", type=click.Path(), help="CSV of the classes: label,class,state.")
@click.option(
    "--model", type=click.Path(), help="OUT/model of an earlier run, in place of --shots."
)
def detect(shots, images, out, backbone, pretrained, prompts, model):
    """Learn defect classes from a few labelled images (SEM-CLIP), then classify and segment a folder of images.

    The folder of shots holds images, labels.csv (file,label; at least one image of each class in the prompts) and
    masks/NAME.png of the defects, white on black. OUT receives results.csv, overlays/ and model/; unreadable images
    are listed in skipped.csv. After an interruption the same command continues.

    \b
    python -m semlib detect --shots shots --images lot7 --out lot7-found
    python -m semlib detect --model lot7-found/model --images lot8 --out lot8-found
    python -m semlib detect --backbone ViT-B-16-plus-240 --pretrained laion400m_e32 ...
    """
    from semlib.semclip.detect import run

    table = run(
        images,
        out,
        shots=shots,
        model=model,
        backbone=backbone,
        pretrained=pretrained,
        prompts=prompts,
    )
    counts = table["class"].value_counts().to_string(header=False)
    click.echo(f"{counts}\n{len(table)} images in {out}/results.csv, pictures in {out}/overlays")


@main.command(epilog=_ENVIRONMENT)
@click.argument("image", type=click.Path())
@click.option(
    "--dataset",
    default="synthetic",
    show_default=True,
    help="The images to search, or their folder.",
)
@click.option("--count", default=11, show_default=True, help="Images to show.")
@click.option(
    "--border",
    default=4,
    show_default=True,
    help="Pixels cropped from each side, as in notebook 02.",
)
@click.option("--seed", default=0, show_default=True, help="Training of notebook 04.")
@click.option(
    "--out",
    type=click.Path(),
    help="Results without ending. [default: figures/DATASET/similar_IMAGE]",
)
def similar(image, dataset, count, border, seed, out):
    """The images of a data set nearest to IMAGE in the learned embedding: a contact sheet as PNG, a list as CSV.

    \b
    python -m semlib similar scan.png --dataset lot7
    """
    from semlib.morphology import search

    _say(*search.similar(image, dataset, count=count, border=border, seed=seed, out=out))


@main.command(epilog=_ENVIRONMENT)
@click.option(
    "--dataset",
    default="synthetic",
    show_default=True,
    help="The images to search, or their folder.",
)
@click.option("--count", default=18, show_default=True, help="Images to show.")
@click.option(
    "--neighbours", default=5, show_default=True, help="Nearest images whose mean distance counts."
)
@click.option("--seed", default=0, show_default=True, help="Training of notebook 04.")
@click.option(
    "--out", type=click.Path(), help="Results without ending. [default: figures/DATASET/outliers]"
)
def outliers(dataset, count, neighbours, seed, out):
    """The images of a data set that are least like any other: a contact sheet as PNG, a list as CSV."""
    from semlib.morphology import search

    _say(*search.outliers(dataset, count=count, neighbours=neighbours, seed=seed, out=out))


def _say(table, out):
    click.echo(f"{table.to_string(index=False, float_format='%.4g')}\n{out}.png\n{out}.csv")


@main.command(epilog=_ENVIRONMENT)
@click.option(
    "--dataset", default="synthetic", show_default=True, help="The images, or their folder."
)
@click.option("--seed", default=0, show_default=True, help="Training of notebook 04.")
def explore(dataset, seed):
    """Write figures/DATASET/explorer.html: the embedding, image by image, in any browser and without a network."""
    from semlib import explorer

    click.echo(explorer.write(dataset, seed=seed))


@main.command(epilog=_ENVIRONMENT)
@click.argument("run_a", type=click.Path())
@click.argument("run_b", type=click.Path())
@click.option("--out", type=click.Path(dir_okay=False), help="Write the table there, as CSV.")
def compare(run_a, run_b, out):
    """What changed between two runs: values beyond their intervals, parameters, seeds, versions, code.

    RUN_A and RUN_B are folders figures/DATASET. Nothing is written without --out.

    \b
    python -m semlib compare figures/synthetic figures-old/synthetic
    """
    from semlib.compare_runs import compare as changes

    table = changes(run_a, run_b)
    click.echo("no difference" if table.empty else table.to_string(index=False, max_colwidth=60))
    if out:
        table.to_csv(out, index=False)


@main.command(epilog=_ENVIRONMENT)
def check():
    """Say what is here and what is missing: Python, packages, devices, data, figures, weights."""
    from semlib.check import report

    sys.exit(0 if report() else 1)


main.add_command(bulk)


if __name__ == "__main__":
    main(prog_name="python -m semlib")
