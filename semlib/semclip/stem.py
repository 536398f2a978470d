"""A convolutional stem that takes the place of the patch embedding of open_clip's ViT."""

from torch import nn

GROUPS = 4  # of channels that group norm levels together


class Stem(nn.Module):
    """Grey image to one token for each 16 x 16 pixels, by four 3x3 convolutions of stride 2.

    Early convolutions train sooner than one large patch embedding (arXiv 2106.14881), and their
    fields of view overlap, so that a thin defect on the border of two patches is whole in both.
    It stands where ``visual.conv1`` stood: all else in the image encoder stays open_clip's.
    """

    def __init__(self, width, channels=(8, 16, 32, 64)):
        super().__init__()
        layers = []
        for before, after in zip((1, *channels), channels, strict=False):
            layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False))
            layers += [nn.GroupNorm(GROUPS, after), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], width, 1, bias=False))

    def forward(self, x):
        # N 3 H W to N width H/16 W/16; the three channels of a grey image are one and the same
        return self.layers(x[:, :1])
