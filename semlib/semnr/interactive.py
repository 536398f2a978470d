"""Sliders for JupyterLab: dose and filter strength, image and profile redrawn."""

import os

import matplotlib.pyplot as plt

from semlib.semnr import degrade, denoise, sheet, trust

STRENGTHS = {
    "Gaussian": ("sigma", 0.3, 4.0),
    "TV": ("weight", 0.01, 0.5),
    "NL means": ("strength", 0.2, 2.0),
}


def in_jupyter():
    """Whether a person looks on: Jupyter starts such kernels with the name of a session, papermill does not."""
    return bool(os.environ.get("JPY_SESSION_NAME"))


def sliders(clean, mask, *, seed=0):
    """Show the sliders; needs the package ipywidgets and says so where it is missing.

    Parameters
    ----------
    clean : float array (H, W), in [0, 1]
    mask : bool array (H, W)
    seed : int
        Seeds the noise.
    """
    try:
        from ipywidgets import FloatLogSlider, FloatSlider, interact
    except ImportError:
        print(
            "the sliders need ipywidgets: python -m pip install ipywidgets, then restart the kernel"
        )
        return
    reference = trust.prepare(clean, mask=mask)
    dose = FloatLogSlider(value=40, min=1, max=3, step=0.1, description="dose")
    strength = FloatSlider(
        value=0.4, min=0, max=1, step=0.1, description="strength", continuous_update=False
    )

    def show(method, dose, strength):
        view(reference, method, dose, strength, seed)
        plt.show()

    interact(show, method=list(STRENGTHS), dose=dose, strength=strength)


def view(reference, method, dose, strength, seed=0):
    """Noisy and restored image with their profiles: matplotlib Figure.

    Parameters
    ----------
    reference : semlib.semnr.metrics.Reference
    method : str
        One of `STRENGTHS`.
    dose : float
        Electrons a pixel.
    strength : float
        0 to 1, from the weakest to the strongest setting in `STRENGTHS`.
    seed : int
    """
    name, weakest, strongest = STRENGTHS[method]
    noisy = degrade.acquire(reference.image, seed=seed, dose=dose)
    restored = denoise.denoise(method, noisy, **{name: weakest * (strongest / weakest) ** strength})
    before, after = (trust.profile(reference, image) for image in (noisy, restored))
    said = f"Verdict: {trust.verdict(before, after).flag}."
    title = f"{method}, strength {strength:.1f}, {dose:.0f} electrons a pixel (synthetic)"
    return sheet.page(
        reference.image, restored, after, before=before, noisy=noisy, said=said, title=title
    )
