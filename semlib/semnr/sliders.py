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
    """Show the sliders for a clean image (H, W) and its defect; needs ipywidgets and says so."""
    try:
        from ipywidgets import FloatLogSlider, FloatSlider, interact
    except ImportError:
        print(
            "the sliders need ipywidgets: python -m pip install ipywidgets, then restart the kernel"
        )
        return
    reference = trust.Reference(clean, mask=mask)
    strength = {"min": 0, "max": 1, "step": 0.1, "description": "strength"}

    def show(method, dose, strength):
        view(reference, method, dose, strength, seed)
        plt.show()

    interact(
        show,
        method=list(STRENGTHS),
        dose=FloatLogSlider(value=40, min=1, max=3, step=0.1, description="dose"),
        strength=FloatSlider(value=0.4, continuous_update=False, **strength),
    )


def view(reference, method, dose, strength, seed=0):
    """Noisy and restored image with their profiles: matplotlib Figure.

    `reference` is a `trust.Reference`, `method` one of `STRENGTHS`, `dose` in electrons a pixel,
    `strength` from 0 to 1, the weakest to the strongest setting.
    """
    parameter, weakest, strongest = STRENGTHS[method]
    noisy = damage.acquire(reference.image, seed=seed, dose=dose)
    setting = {parameter: weakest * (strongest / weakest) ** strength}
    images = {"noisy": noisy, "restored": denoise.denoise(method, noisy, **setting)}
    profiles = {name: trust.profile(reference, image) for name, image in images.items()}
    verdict = trust.verdict(profiles["noisy"], profiles["restored"])
    title = f"{method}, strength {strength:.1f}, {dose:.0f} electrons a pixel (synthetic)"
    said = f"Verdict: {verdict.name}."
    return page.draw(reference.image, images, profiles, said=said, title=title)
