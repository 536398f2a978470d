"""The driver: runs the numbered notebooks in order with papermill and skips what is unchanged."""

import sys
import tempfile
import time

import semlib
from semlib import paths, summary
from semlib.driver import fingerprint as fp
from semlib.driver import inputs
from semlib.driver import notebook as nb
from semlib.driver.execute import NotebookError, execute
from semlib.driver.record import Record, now

__all__ = ["NotebookError", "reproduce"]


def reproduce(
    dataset="synthetic",
    profile="standard",
    *,
    only=(),
    start=None,
    force=False,
    seed=0,
    parameters=None,
    stream=None,
):
    """Run the notebooks that are not up to date; tables, figures and executed copies go to ``figures/<dataset>/``,
    and at the end their report.

    A notebook is up to date if its cells, its parameters, the semlib modules that it imports and the content of its
    inputs are those of its last finished run and the outputs of that run are there.

    Parameters
    ----------
    dataset : str or Path
        "synthetic", "carinthia", "carinthia-s" or a folder of images.
    profile : str
        Name of a file in ``notebooks/profiles``: "quick", "standard" or "paper".
    only : sequence of str
        Run these notebooks only, for example ``["04"]``.
    start : str, optional
        Leave out the notebooks before this one.
    force : bool
        Run also what is up to date.
    seed : int
        Seed of every notebook.
    parameters : dict, optional
        Values for every selected notebook that declares the name.
    stream : text file, optional
        Where progress goes; standard error by default.

    Returns
    -------
    dict
        Notebook name -> reasons why it ran; an empty list for one that was skipped.

    Raises
    ------
    ValueError
        For an unknown dataset, profile, notebook or parameter, and for a value of the wrong type.
    FileNotFoundError
        If an input of a notebook is missing.
    PermissionError
        If a folder cannot be written to.
    NotebookError
        If a cell of a notebook fails.
    """
    stream = stream or sys.stderr
    place = paths.of(dataset)
    name = str(dataset) if str(dataset) in paths.BUILT_IN else str(place.raw)
    suite = nb.numbered()
    selected = nb.select(suite, only, start)
    values = nb.assign(
        suite, selected, dataset=name, profile=profile, seed=seed, parameters=parameters or {}
    )
    for folder in (place.data, place.notebooks):
        _check_writable(folder)
    record = Record(place, dataset=name, profile=profile, seed=seed)
    print(f"semlib {semlib.__version__}: {name}, profile {profile}, seed {seed}", file=stream)
    done, begin = {}, time.monotonic()
    for i, notebook in enumerate(selected, 1):
        label = f"[{i}/{len(selected)}] {notebook.name}"
        inputs.check(notebook, suite, place)
        fingerprint = fp.fingerprint(notebook, values[notebook.name], place)
        why = ["--force"] if force else record.reasons(notebook.name, fingerprint)
        if why:
            print(f"{label}  {'; '.join(why)}", file=stream)
            seconds = _run(notebook, values[notebook.name], fingerprint, record, label, stream)
            print(f"{label}  done in {seconds:.1f} s", file=stream)
        else:
            print(
                f"{label}  skipped: unchanged ({record.seconds(notebook.name):.1f} s when it ran)",
                file=stream,
            )
        done[notebook.name] = why
    ran = sum(map(bool, done.values()))
    print(
        f"{ran} run, {len(done) - ran} skipped in {time.monotonic() - begin:.1f} s: {place.figures}",
        file=stream,
    )
    if page := summary.write(dataset):
        print(f"report: {page}", file=stream)
    return done


def _run(notebook, values, fingerprint, record, label, stream):
    """Execute one notebook and record it; returns the seconds it took."""
    place = record.place
    copy = place.notebooks / notebook.path.name
    record.forget(notebook.name)
    started, begin = now(), time.monotonic()
    execute(notebook, copy, values, label, stream)
    seconds = time.monotonic() - begin
    outputs = [fp.relative(copy, place)]
    for pattern in notebook.outputs:
        found = fp.files(pattern, place)
        outputs += [fp.relative(path, place) for path in found]
        if not found:
            print(f"{label}  made no {pattern}", file=stream)
    record.finish(notebook.name, fingerprint, outputs=outputs, seconds=seconds, started=started)
    return seconds


def _check_writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        hint = "SEMLIB_DATA and SEMLIB_FIGURES name other folders"
        raise PermissionError(f"cannot write to {folder} ({error.strerror}): {hint}") from error
