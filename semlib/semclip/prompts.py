"""Prompts: templates x states, kept in CSV files that a domain expert edits."""

import io
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
CARINTHIA = HERE / "prompts_carinthia.csv"  # neutral: the names of its classes are not published
NORMAL = ("defect-free", "no visible defect")  # what the class without a defect may be called


@dataclass(frozen=True)
class Prompts:
    """Text descriptions of the classes (arXiv 2502.14884: one set of prompts for all images)."""

    states: dict  # class: list of what it may look like, in the order of the labels
    labels: list  # of int, ascending
    templates: list  # sentences with {state}; the first of ours is the paper's, the others are not

    @classmethod
    def load(cls, path=None, templates=None):
        """Read and check a CSV of label, class, state, and one of templates; ours by default."""
        path = Path(path or HERE / "prompts.csv")
        templates = Path(templates or HERE / "templates.csv")
        forms = _table(templates, {"template": r".*\{state\}.*"})["template"]
        table = _table(path, {"label": r"\d+", "class": ".+", "state": ".+"})
        table["label"] = table["label"].astype(int)
        pairs = table[["label", "class"]].drop_duplicates().sort_values("label")
        names = pairs["class"].to_list()
        one_to_one = pairs["label"].is_unique and pairs["class"].is_unique
        if not one_to_one or pairs["class"].isin(NORMAL).sum() != 1 or len(names) < 2:
            rule = f"each class needs one label, and one of several is called {' or '.join(NORMAL)}"
            raise ValueError(f"{path}: {rule}; got {pairs.to_numpy().tolist()}")
        states = table.groupby("class")["state"].agg(list)
        return cls({name: states[name] for name in names}, pairs["label"].to_list(), list(forms))

    @property
    def classes(self):
        """Names of the classes in the order of the labels, list of str."""
        return list(self.states)

    @property
    def normal(self):
        """Position in `classes` of the class without a defect."""
        return next(i for i, name in enumerate(self.states) if name in NORMAL)

    def positions(self, labels):
        """Labels (names of classes, or labels as int or str) as positions in `classes`, (N,)."""
        numbers = {name: i for i, name in enumerate(self.states)}
        numbers |= {kind(label): i for i, label in enumerate(self.labels) for kind in (int, str)}
        labels = np.asarray(labels).tolist()
        if unknown := sorted({str(label) for label in labels if label not in numbers}):
            hint = f"name others than {self.classes} in a copy of semlib/semclip/prompts.csv"
            raise ValueError(f"unknown class {', '.join(unknown)}: {hint} (--prompts)")
        return np.array([numbers[label] for label in labels], int)

    def check_complete(self, positions):
        """Raise ValueError where a class has no shot; `positions` are those of the shots."""
        if missing := [name for i, name in enumerate(self.classes) if i not in positions]:
            raise ValueError(f"no shot of {', '.join(missing)}: give one or more of each")

    def sentences(self, name):
        """All prompts of a class, templates x states."""
        states = self.states[name]
        return [form.replace("{state}", state) for form in self.templates for state in states]

    def without(self, names):
        """The same prompts without some classes."""
        states = {name: self.states[name] for name in self.states if name not in set(names)}
        pairs = zip(self.labels, self.states, strict=True)
        return replace(self, states=states, labels=[i for i, name in pairs if name in states])

    def plain(self):
        """The same classes with one prompt each, "a photo of a <class>", as CLIP's own."""
        states = {name: [name] for name in self.states}
        return replace(self, states=states, templates=["a photo of a {state}"])

    def embed(self, backbone):
        """Text embeddings (C, e): mean of the prompts' embeddings, L2-normalised again."""
        means = [backbone.encode_texts(self.sentences(name)).mean(0) for name in self.states]
        return _unit(np.stack(means))

    def check(self, backbone):
        """Nearest class of each prompt, to find prompts that a model confuses.

        A prompt is compared with the mean embedding of every class, in its own class with that of
        the other prompts. Returns a DataFrame of prompt, class, nearest class and their cosine.
        """
        means = self.embed(backbone)
        tables = []
        for i, name in enumerate(self.states):
            sentences = self.sentences(name)
            vectors = backbone.encode_texts(sentences)
            cosines = vectors @ means.T
            if len(vectors) > 1:
                others = _unit((vectors.sum(0) - vectors) / (len(vectors) - 1))
                cosines[:, i] = (vectors * others).sum(1)
            nearest = [self.classes[k] for k in cosines.argmax(1)]
            columns = {"prompt": sentences, "class": name, "nearest class": nearest}
            tables.append(pd.DataFrame(columns | {"cosine": cosines.max(1)}))
        return pd.concat(tables, ignore_index=True)


def _table(path, patterns):
    """Rows of a CSV as text, stripped, each once; each column's cells match its pattern."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)
        table = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise ValueError(f"{path} is no readable UTF-8 CSV file: {error}") from error
    table.columns = table.columns.str.strip().str.lower()
    if missing := [column for column in patterns if column not in table]:
        raise ValueError(f"{path}: no column {missing[0]!r} in {list(table)}")
    table = table[list(patterns)]
    table = table.apply(lambda column: column.str.strip()).drop_duplicates()
    for column, pattern in patterns.items():
        for cell in table[column]:
            if not re.fullmatch(pattern, cell):
                raise ValueError(f"{path}: column {column!r}: {cell!r} does not match {pattern}")
    return table


def _unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def main(path=None):
    """Print the check of the embedded model, and the words it never met."""
    from semlib.semclip import clip
    from semlib.semclip.backbone import Backbone

    table = Prompts.load(path).check(Backbone())
    print(table.to_string(index=False, float_format="{:.3f}".format))
    print("words the model never met:", ", ".join(clip.unknown_words(table["prompt"])) or "none")


if __name__ == "__main__":
    main(*sys.argv[1:2])
