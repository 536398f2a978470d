"""Sliders for JupyterLab: dose and filter strength, image and profile redrawn."""

import os

import matplotlib.pyplot as plt

from semlib.semnr import damage, denoise, page, trust

# the parameter of a denoiser, its weakest and its strongest value
STRENGTHS = {
    "Gaussian": ("sigma", 0.3, 4.0),
    "TV": ("weight", 0.01, 0.5),
    "NL means": ("strength", 0.2, 2.0),
}


def in_jupyter():
    """Whether a person looks on: Jupyter gives such kernels a session's name, papermill none."""
    return bool(os.environ.get("JPY_SESSION_NAME"))


def sliders(clean, mask, *, seed=0):
    """Show the sliders for a clean image (H, W) and its defect."""
    from ipywidgets import FloatLogSlider, FloatSlider, interact

    reference = trust.Reference(clean, mask=mask)

    def show(method, dose, strength):
        view(reference, method, dose, strength, seed)
        plt.show()

    dose = FloatLogSlider(value=40, min=1, max=3, description="dose")
    strength = FloatSlider(value=0.4, max=1, description="strength", continuous_update=False)
    interact(show, method=list(STRENGTHS), dose=dose, strength=strength)


def view(reference, method, dose, strength, seed):
    """Page about one filter of `STRENGTHS`: strength 0 to 1, dose in electrons a pixel."""
    parameter, weakest, strongest = STRENGTHS[method]
    noisy = damage.acquire(reference.image, seed=seed, dose=dose)
    setting = {parameter: weakest * (strongest / weakest) ** strength}
    images = {"noisy": noisy, "restored": denoise.denoise(method, noisy, **setting)}
    profiles = {"noisy": trust.profile(reference, noisy)}
    profiles["restored"] = trust.profile(reference, images["restored"], noisy=noisy)
    title = f"{method}, strength {strength:.1f}, {dose:.0f} electrons a pixel (synthetic)"
    return page.draw(reference.image, images, profiles, title)
