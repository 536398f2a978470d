"""Cases of the learned representation: training, embedding, clustering, two-dimensional views."""

import copy
import tempfile
from pathlib import Path

import numpy as np

from semlib.bench.case import Case, example_embeddings, example_images


def ssl_step(count=32, size=512, batch_size=32):
    """Training steps of the paper's recipe at three scales, from the same weights."""
    import torch

    from semlib import workers
    from semlib.images.pyramid import pyramid
    from semlib.morphology import device, recipes, train

    levels, where = pyramid(example_images(count, size)), device.best_device()
    torch.manual_seed(0)
    start = recipes.Learner(recipes.find("paper"))
    order = np.random.default_rng([0, 0]).permutation(count)
    batches = [np.sort(rows) for rows in np.split(order, range(batch_size, count - 1, batch_size))]
    cosine = torch.nn.functional.cosine_similarity

    def reference():
        learner = copy.deepcopy(start).to(where).train()
        optimiser, losses = torch.optim.Adam(learner.parameters(), lr=1e-3), []
        for rows in batches:
            views = [
                torch.from_numpy(level[rows]).to(where)[:, None].float() / 255 for level in levels
            ]
            embeddings = [learner.encoder(view) for view in views]
            projections = [learner.head(z) for z in embeddings]
            pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
            loss = -sum(
                cosine(projections[a], embeddings[b].detach()).mean() for a, b in pairs
            ) / len(pairs)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return np.mean(losses)

    def ours():
        if where == "cpu":
            workers.keep_memory()
        learner = copy.deepcopy(start).to(where, memory_format=torch.channels_last)
        optimiser = torch.optim.Adam(learner.parameters(), lr=1e-3)
        config = {"seed": 0, "batch_size": batch_size}
        return train.run_epoch(learner, optimiser, levels, config, 0)["loss"]

    title = f"SSL step at {size}/{size // 2}/{size // 4}"
    return Case(title, "PyTorch, float32", reference, ours, "images", count, 0.01, compared="loss")


def embed(count=64, size=512):
    """Embeddings of all images at the finest scale."""
    import torch

    from semlib.morphology import device, encoder, recipes

    images, where = example_images(count, size), device.best_device()
    torch.manual_seed(0)
    start = recipes.find("paper").encoder()
    with torch.no_grad():
        for _ in range(
            20
        ):  # the statistics of the batch norms, without which all images look alike
            start(encoder.to_input(images[:16, ::4, ::4]))

    @torch.no_grad()
    def reference():
        network, rows = copy.deepcopy(start).to(where).eval(), []
        for part in np.split(images, range(64, count, 64)):
            rows.append(
                network(torch.from_numpy(part).to(where)[:, None].float() / 255).cpu().numpy()
            )
        return np.concatenate(rows)

    def ours():
        return encoder.embed(copy.deepcopy(start), images, device=where, progress=False)

    return Case(
        "embedding extraction", "PyTorch, float32", reference, ours, "images", count, 0.01,
        check=_centred, compared="embeddings in standard deviations",
    )  # fmt: skip


def _centred(embeddings):
    """What tells the images apart, in standard deviations."""
    own = embeddings - embeddings.mean(axis=0)
    return own / own.std()


def kmeans(count=2000):
    """k-means with ten starts and the scores of Table 1; scikit-learn does the work on both sides."""
    from sklearn import metrics
    from sklearn.cluster import KMeans

    from semlib.morphology import clustering

    embeddings, labels = example_embeddings(count)
    names = ("silhouette", "macro_silhouette", "nmi", "ami", "ari", "homogeneity", "completeness")

    def reference():
        found = KMeans(6, n_init=10, random_state=0).fit_predict(embeddings.astype(np.float64))
        each = metrics.silhouette_samples(embeddings, found)
        scores = [
            metrics.silhouette_score(embeddings, found),
            np.mean([each[found == k].mean() for k in range(6)]),
        ]
        pairs = (
            "normalized_mutual_info",
            "adjusted_mutual_info",
            "adjusted_rand",
            "homogeneity",
            "completeness",
        )
        return scores + [getattr(metrics, f"{name}_score")(labels, found) for name in pairs]

    def ours():
        scores = clustering.cluster_scores(embeddings, labels)
        return [scores[name] for name in names]

    return Case("k-means and scores", "scikit-learn", reference, ours, "images", count, 1e-6)


def minibatch(count=50_000, dim=128, rows=256):
    """k-means over shards, as for images by the million, with the silhouette's estimate; the shards lie on the disk."""
    from sklearn.cluster import KMeans

    from semlib.cluster import groups, shards

    folder, embeddings = Path(tempfile.mkdtemp()), example_embeddings(count, dim)[0]
    parts = np.split(embeddings, range(rows, count, rows))
    shards.begin(folder, {"chunk": rows})
    for index, part in enumerate(parts):
        shards.write(folder, index, "", part, {})
    shards.finish(folder, parts, [])

    def reference():
        return KMeans(6, n_init=10, random_state=0).fit_predict(embeddings)

    def ours():
        groups.write(folder, progress=False)
        return np.load(folder / "clusters.npy")

    def tightness(labels):
        centres = np.array([embeddings[labels == k].mean(0) for k in range(6)])
        return -np.square(embeddings - centres[labels]).sum() / count

    return Case(
        "k-means over shards", "scikit-learn, in memory", reference, ours, "images", count, 0.01, check=tightness,
        compared="-inertia an image", quality=True,
    )  # fmt: skip


def umap(count=2000):
    """UMAP in a new process, search for neighbours included."""

    def reference():
        from umap import UMAP

        return UMAP().fit_transform(example_embeddings(count)[0])

    return _view("umap", "UMAP, new process", "umap-learn, defaults", reference, count)


def tsne(count=2000):
    """t-SNE in a new process, search for neighbours included."""

    def reference():
        from sklearn.manifold import TSNE

        return TSNE().fit_transform(example_embeddings(count)[0])

    return _view("tsne", "t-SNE, new process", "scikit-learn, defaults", reference, count)


def _view(name, title, reference_name, reference, count):
    """A case of a layout, which is judged by its trustworthiness for 15 neighbours."""

    def ours():
        from semlib.morphology import layout

        embeddings = example_embeddings(count)[0]
        return getattr(layout, name)(embeddings)

    def check(layout):
        from sklearn.manifold import trustworthiness

        return trustworthiness(example_embeddings(count)[0], layout, n_neighbors=15)

    return Case(
        title, reference_name, reference, ours, "images", count, 0.02, check=check, compared="trustworthiness",
        quality=True,
    )  # fmt: skip
