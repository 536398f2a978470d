"""Training of the encoder, and embeddings.

The last file on purpose: a training lets glibc keep freed memory (`semlib.workers.keep_memory`),
which makes all that follows in the process quicker, plain references too.
"""

import copy
import tempfile
from pathlib import Path

import torch

from benchmarks.inputs import images, size
from semlib.images.pyramid import pyramid
from semlib.morphology import encoder, recipes, train

PLACE = encoder.best_device()


def plain_input(images):
    """uint8 (n, H, W) as float32 (n, 1, H, W) in [0, 1]."""
    return torch.tensor(images, device=PLACE)[:, None].float() / 255


@torch.no_grad()
def plain_embed(network, images):
    """Embeddings (N, 128)."""
    return network.to(PLACE).eval()(plain_input(images)).cpu().numpy()


def test_embedding(compare):
    textures = images(size(64, 4), size(512, 64))
    torch.manual_seed(0)
    network = recipes.METHODS["paper"].encoder()
    with torch.no_grad():
        for _ in range(20):  # statistics of the batch norms, without which all images look alike
            network(encoder.to_input(textures[:16, ::4, ::4]))

    def reference():
        return plain_embed(copy.deepcopy(network), textures)

    def ours():
        return encoder.embed(copy.deepcopy(network), textures, device=PLACE)

    def deviations(vectors):
        return (vectors - vectors.mean(axis=0)) / (vectors - vectors.mean(axis=0)).std()

    names = ("embedding", "PyTorch, float32")
    compare(*names, reference, ours, len(textures), 0.01, check=deviations, rounds=2)


def test_training(compare):
    """One step of the paper's recipe at three scales and the embeddings, from the same weights."""
    levels = pyramid(images(size(32, 8), size(512, 32)))
    count = len(levels[0])

    def reference():
        torch.manual_seed(0)
        learner = recipes.Learner(recipes.METHODS["paper"]).to(PLACE)
        optimiser = torch.optim.Adam(learner.parameters(), lr=1e-3)
        embeddings = [learner.encoder(plain_input(level)) for level in levels]
        loss = 0
        for a, b in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
            projection = learner.head(embeddings[a])
            alike = torch.nn.functional.cosine_similarity(projection, embeddings[b].detach())
            loss = loss - alike.mean() / 6
        loss.backward()
        optimiser.step()
        plain_embed(learner.encoder, levels[0])
        return loss.item()

    def ours():
        with tempfile.TemporaryDirectory() as folder:
            history = train.train(levels, Path(folder), epochs=1, batch_size=count, device=PLACE)
        return history["loss"].iloc[0]

    names = (f"training step at {levels[0].shape[1]}, embeddings", "PyTorch, float32")
    compare(*names, reference, ours, count, 0.01, rounds=2)
