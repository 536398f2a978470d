"""Own pictures restored from the command line: ``python -m semlib denoise``."""

import click


@click.command(context_settings={"show_default": True})
@click.argument("images", type=click.Path())
@click.option("--out", type=click.Path(), required=True, help="Folder of the results.")
@click.option("--method", default="semnr", help="A network that we ship: semnr, mse or n2n.")
@click.option(
    "--reference", type=click.Path(), help="A second scan of each image, same name: trust pages."
)
def denoise(images, out, method, reference):
    """Restore the noisy image or folder IMAGES with a network trained on simulated scans.

    OUT receives the images with the depth, data bar and pixel size that they had, the uncertainty
    where the network knows it, restored.csv, and skipped.csv of what cannot be read. A slower scan
    or second frame as reference gives a page of the trust profile for each image. After an
    interruption the same command continues.

    \b
    python -m semlib denoise fast-scans --out restored
    python -m semlib denoise scan.tif --out restored --method mse --reference slow-scan.tif
    """
    from semlib.semnr import restore

    table = restore.run(images, out, method=method, reference=reference)
    click.echo(f"{len(table)} images restored in {out}, listed in {out}/restored.csv")
