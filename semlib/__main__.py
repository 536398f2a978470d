"""The command line: ``python -m semlib COMMAND``."""

import os
import signal
import sys
from pathlib import Path

import click

import semlib
from semlib.bulk import bulk
from semlib.denoising import denoise
from semlib.reproduce.kernel import NotebookError
from semlib.reproduce.run import reproduce as run_notebooks

# threads that wait must sleep: on a busy machine those that spin hold up the ones that work
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_HELP = {"help_option_names": ["-h", "--help"]}
_ENVIRONMENT = """\b
SEMLIB_DATA     folder of all data sets (default: data/ in the clone)
SEMLIB_FIGURES  folder of all figures and tables (default: figures/)
SEMLIB_MICROGRAPHS  folder of real micrographs (default: data/micrographs)
SEMLIB_DEBUG=1  show the traceback of an error"""


class _Group(click.Group):
    """Errors in one line; exit code 1 for a failing notebook, 2 for bad input, 130 for Ctrl-C."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\ninterrupted: rerun the same command to continue", err=True)
            sys.exit(130)
        except (ValueError, OSError, NotebookError) as error:
            if isinstance(error, BrokenPipeError) or os.environ.get("SEMLIB_DEBUG"):
                raise
            click.echo(f"error: {error}", err=True)
            sys.exit(1 if isinstance(error, NotebookError) else 2)

    def command(self, **options):
        return super().command(epilog=_ENVIRONMENT, **options)


@click.group(cls=_Group, epilog=_ENVIRONMENT, context_settings=_HELP)
@click.version_option(semlib.__version__, prog_name="semlib")
def main():
    """Reproduce three works on scanning-electron-microscope images of semiconductors."""


def _path(name, text, **more):
    return click.option(name, type=click.Path(), help=text, **more)


def _value(name, default, text):
    return click.option(name, default=default, show_default=True, help=text)


_dataset = _value("--dataset", "synthetic", "The images to search, or their folder.")
_training = _value("--seed", 0, "Training of notebook 04.")

_BAR = "Data bars to cut off: auto, none, or rows above,below. [default: auto, or the model's]"
_PARAMETERS = "A parameter of each selected notebook that has it; VALUE is YAML. Repeatable."


@main.command()
@_value("--dataset", "synthetic", "synthetic, carinthia, carinthia-s, or a folder of images.")
@_value("--profile", "standard", "Sizes: quick, standard, paper or study.")
@click.option("--only", multiple=True, metavar="NN", help="Only these: --only 04 05, or 04,05.")
@click.argument("more", nargs=-1, metavar="[NN]...")
@click.option("--from", "start", metavar="NN", help="Leave out the notebooks before this one.")
@click.option("--force", is_flag=True, help="Run also the notebooks that are up to date.")
@_value("--seed", 0, "Seed of every notebook.")
@click.option("--jobs", type=click.IntRange(1), help="Notebooks side by side.")
@click.option("-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help=_PARAMETERS)
def reproduce(dataset, profile, only, more, parameters, **options):
    """Run the notebooks in order; figures and tables go to figures/DATASET/.

    From four cores and 16 GB on two run side by side. What is unchanged is skipped. After an
    interruption the same command continues. A folder of images holds PNG, JPEG, BMP or TIFF;
    labels.csv and masks/ are optional.

    \b
    python -m semlib reproduce --profile quick
    python -m semlib reproduce --dataset carinthia --profile paper
    python -m semlib reproduce --only 04 05 -p epochs 3
    """
    # A background job of a shell may ignore SIGINT; Windows has no SIGHUP
    for name in {"SIGINT", "SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), signal.default_int_handler)
    names = [name for value in (*only, *more) for name in value.split(",") if name]
    run_notebooks(dataset, profile, only=names, parameters=dict(parameters), **options)


@main.command()
@click.argument("names", nargs=-1, metavar="[DATASET]...")
def fetch(names):
    """Download each DATASET (default: carinthia and its masks) and list its images in a manifest.

    A transfer that was cut is tried again; nothing is downloaded that is here already. For
    synthetic, 4,591 images are simulated; notebook 01 simulates as many as its profile says.
    micrographs are the real images of other kinds that notebooks 07 and 08 compare on (77 MB).
    """
    from semlib import paths
    from semlib.images import datasets, micrographs

    for dataset in names or ("carinthia-s", "carinthia"):
        if dataset == "micrographs":
            click.echo(f"real micrographs in {micrographs.fetch()}")
            continue
        raw = datasets.fetch(dataset)
        count = len(datasets.manifest(dataset))
        click.echo(f"{count} images in {raw}, listed in {paths.of(dataset).manifest}")


@main.command()
@click.argument("reference", type=click.Path())
@click.argument("restored", type=click.Path())
@_path("--mask", "Image of the defect, white on black: for CNR, gCNR and recall.")
@_path("--noisy", "The image before the restoration: for conflicts and a verdict.")
@_path("--out", "Name of the results without ending. [default: RESTORED_profile]")
@_value("--bar", "auto", "Data bar to cut off: auto, none, or the rows TOP,BOTTOM.")
def profile(reference, restored, out, bar, **others):
    """The trust profile of one restored image file: one page as PNG, the numbers as CSV.

    All files get one grey range and lose the same rows of a data bar; both are said.

    \b
    python -m semlib profile clean.png denoised.png --mask defect.png --noisy scan.png
    """
    from semlib.images import databar
    from semlib.semnr import page

    out = out or Path.cwd() / f"{Path(restored).stem}_profile"
    table = page.write(reference, restored, out, bar=databar.option(bar), **others)
    for name in page.WORDS:
        click.echo(f"{name}: {table[name].iloc[-1] or 'none'}")
    _say(table.drop(columns=[*page.WORDS]), out, "%.3f")


@main.command()
@_path("--shots", "Folder of labelled images to learn from, with masks.")
@_path("--images", "Folder of the images to look at.", required=True)
@_path("--out", "Folder of the results.", required=True)
@click.option("--backbone", metavar="NAME", help="A ViT of open_clip. [default: our SEM-VLM]")
@click.option("--pretrained", metavar="FILE_OR_TAG", help="Its weights: a file, or a tag.")
@_path("--prompts", "CSV of the classes: label,class,state.")
@_path("--model", "OUT/model of an earlier run, in place of --shots.")
@click.option("--method", metavar="NAME", help="One method. [default: the best for the shots]")
@_path("--reference", "Folder of images of the same names without defects: die to reference.")
@click.option("--bar", metavar="ROWS", help=_BAR)
def detect(out, images, **options):
    """Learn defect classes from a few labelled images, then look at a folder of images.

    The folder of shots holds images with labels (labels.csv, or a folder for each class; one image
    of each class at least) and masks of defects (masks/NAME.png, or NAME_mask beside NAME). What
    does best on shots left out is used (methods.csv), or --method. OUT receives index.html (the
    worst first), results.csv, defects.csv, masks/, overlays/, model/. The same command resumes.

    \b
    python -m semlib detect --shots shots --images lot7 --out lot7-found
    python -m semlib detect --model lot7-found/model --images lot8 --out lot8-found
    python -m semlib detect --reference golden --images lot7 --out lot7-found
    """
    from semlib.semclip import detect

    table = detect.run(images, out, **options)
    counts = table["class"].value_counts().to_string(header=False)
    click.echo(f"{counts}\n{len(table)} images in {out}/results.csv, at a glance: {out}/index.html")


@main.command()
@click.argument("image", type=click.Path())
@_dataset
@_value("--count", 11, "Images to show.")
@_value("--bar", "auto", "Data bar of IMAGE to cut off: auto, none, or rows as in 0,60.")
@_training
@_path("--out", "Results without ending. [default: figures/DATASET/similar_IMAGE]")
def similar(image, dataset, **options):
    """The images of a data set nearest to IMAGE in the learned embedding: a PNG and a CSV.

    \b
    python -m semlib similar scan.png --dataset lot7
    """
    from semlib.morphology import search

    _say(*search.similar(image, dataset, **options))


@main.command()
@_dataset
@_value("--count", 18, "Images to show.")
@_value("--neighbours", 5, "Nearest images whose mean distance counts.")
@_training
@_path("--out", "Results without ending. [default: figures/DATASET/outliers]")
def outliers(dataset, **options):
    """The images of a data set that are least like any other: a contact sheet and a CSV."""
    from semlib.morphology import search

    _say(*search.outliers(dataset, **options))


def _say(table, out, digits="%.4g"):
    click.echo(f"{table.to_string(index=False, float_format=digits)}\n{out}.png\n{out}.csv")


@main.command()
@_dataset
@_training
def explore(dataset, seed):
    """Write figures/DATASET/explorer.html: the embedding image by image, without a network."""
    from semlib import explorer

    click.echo(explorer.write(dataset, seed=seed))


@main.command()
@click.argument("run_a", type=click.Path())
@click.argument("run_b", type=click.Path())
@click.option("--out", type=click.Path(dir_okay=False), help="Write the table there, as CSV.")
def compare(run_a, run_b, out):
    """What changed between two runs: values beyond their intervals, parameters, versions, code.

    RUN_A and RUN_B are folders figures/DATASET. Nothing is written without --out.

    \b
    python -m semlib compare figures/synthetic figures-old/synthetic
    """
    from semlib.reproduce import diff

    table = diff.compare(run_a, run_b)
    click.echo("no difference" if table.empty else table.to_string(index=False, max_colwidth=60))
    if out:
        table.to_csv(out, index=False)


@main.command()
def check():
    """Say what is here and what is missing: devices, data, figures, weights."""
    from semlib.reproduce import check

    check.report()


main.add_command(bulk)
main.add_command(denoise)


if __name__ == "__main__":
    main(prog_name="python -m semlib")
