"""3 x 3 convolution with a sixth of the products: Winograd's F(8 x 8, 3 x 3) (Lavin and Gray, arXiv 1509.09308).

``Y = A^T [(G w G^T) * (B^T x B)] A`` on tiles of 10 x 10 pixels that overlap by two: 100 products for 64 pixels instead
of 576. The matrices are Toom and Cook's: tile and kernel are polynomials, multiplied through their values at 0, +-p and
infinity. `POINTS` in reciprocal pairs keep rounding small: about 5e-5 of the largest value in float32. Channels come
last, so that the transforms run along memory and the products are 100 matrix multiplications.

The transforms are compiled by Numba: some 10 s on the very first call, later from a cache on disk.
"""

import threading

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from semlib.matmul import multiply, pack, vectors
from semlib.workers import split

POINTS = (2 / 5, 4 / 5, 5 / 4, 5 / 2)  # each with both signs
TILES = 24  # per block: what becomes of them stays in the cache
FEW = 200  # up to so many tiles threads share the products of all, so that each reads a part of the kernels only
LANES = 16  # channels that are transformed together, a register of AVX-512
_TILE, _STEP, _SIZE = 10, 8, 100
_ROW, _END = _TILE * LANES, _SIZE * LANES
_KEPT = threading.local()


def _product(points):
    """Coefficients of prod (x^2 - p^2) for x^0, x^2, ..."""
    return tuple(np.float32(c) for c in np.poly([p * p for p in points])[::-1])


_ALL = _product(POINTS)
_OTHERS = tuple(_product([q for q in POINTS if q != p]) for p in POINTS)
_POWERS = tuple(tuple(np.float32(p**k) for p in POINTS) for k in range(_STEP))


def transform(weight):
    """Kernels, float array (out, in, 3, 3), as 100 matrices for `matmul.multiply`, once for all images."""
    points = np.array([0, *(sign * p for p in POINTS for sign in (1, -1))])
    apart = points[:, None] - points + np.eye(len(points))
    g = np.vstack([points[:, None] ** np.arange(3) / apart.prod(1, keepdims=True), [0, 0, 1]])
    both = np.einsum("ij,lk->iljk", g, g).reshape(_SIZE, 9).astype(np.float32)
    taps = pack(np.transpose(weight, (2, 3, 1, 0)).reshape(9, *weight.shape[1::-1]))
    return (both @ taps.reshape(9, -1)).reshape(_SIZE, *taps.shape[1:])


def convolve(x, kernels, bias):
    """Convolve with zero padding, and set what is negative to zero (ReLU).

    Parameters
    ----------
    x : float32 array (N, H, W, in)
        Channels in multiples of `LANES`.
    kernels : float32 array
        Of `transform`.
    bias : float32 array (out,)

    Returns
    -------
    float32 array (N, H, W, out)

    Raises
    ------
    ValueError
        If the channels are no multiple of `LANES`, or not those of the kernels.
    """
    _, panels, inside, columns = kernels.shape
    if x.shape[3] != inside or len(bias) != panels * columns or inside % LANES:
        raise ValueError(
            f"{x.shape[3]} channels to {len(bias)}: the kernels have {inside} and {panels * columns}, "
            f"and the first must be a multiple of {LANES}"
        )
    x = np.ascontiguousarray(x, np.float32)
    y = np.empty((*x.shape[:3], len(bias)), np.float32)
    tiles = len(x) * -(-x.shape[1] // _STEP) * -(-x.shape[2] // _STEP)
    if tiles > FEW:
        split(_block, tiles, x, kernels, bias, y, grain=TILES)
    else:
        values, products = _space("values", tiles, inside), _space("products", tiles, len(bias))
        split(_to_values, tiles, 0, x, values)
        split(multiply, _SIZE, tiles, values, kernels, products)
        split(_to_pixels, tiles, 0, products, bias, y)
    return y


def _block(start, stop, x, kernels, bias, y):
    count = stop - start
    values, products = _space("values", count, x.shape[3]), _space("products", count, len(bias))
    _to_values(0, count, start, x, values)
    multiply(0, _SIZE, count, values, kernels, products)
    _to_pixels(0, count, start, products, bias, y)


def _space(name, tiles, channels):
    """Memory of this thread, (100, tiles * channels + a bit): rows a power of two apart would share cache lines."""
    shape = (_SIZE, tiles * channels + LANES)
    size = shape[0] * shape[1]
    if getattr(_KEPT, name, np.empty(0)).size < size:
        setattr(_KEPT, name, np.empty(size, np.float32))
    return getattr(_KEPT, name)[:size].reshape(shape)


@intrinsic
def _copy(_context, to, at, source, start):
    """Copy `LANES` numbers between contiguous arrays, at flat indices: of a loop the compiler makes a slow memcpy."""

    def generate(context, builder, signature, arguments):
        there, here = vectors(context, builder, signature.args, arguments, LANES)
        builder.store(builder.load(here, align=4), there, align=4)
        return context.get_dummy_value()

    return types.void(to, at, source, start), generate


@intrinsic
def _rectify(_context, to, at, source, start, bias, lane):
    """As `_copy`, with the bias added and what is negative set to zero."""

    def generate(context, builder, signature, arguments):
        there, *here = vectors(context, builder, signature.args, arguments, LANES)
        value = builder.fadd(*(builder.load(numbers, align=4) for numbers in here))
        zero = value.type(None)
        value = builder.select(builder.fcmp_unordered(">", value, zero), value, zero)
        builder.store(value, there, align=4)
        return context.get_dummy_value()

    return types.void(to, at, source, start, bias, lane), generate


@njit(nogil=True, fastmath=True, cache=True)
def _to_values(start, stop, first, x, values):
    """B^T x B of the tiles from `start` to `stop`; `first` is the number of the block's first tile."""
    _, height, width, channels = x.shape
    p = np.zeros(_END + LANES, np.float32)
    for t in range(start, stop):
        image, top, left = _place(first + t, height, width)
        for lane in range(0, channels, LANES):
            for i in range(_TILE):
                for j in range(_TILE):
                    row, column, k = top + i - 1, left + j - 1, i * _ROW + j * LANES
                    if 0 <= row < height and 0 <= column < width:
                        _copy(p, k, x, ((image * height + row) * width + column) * channels + lane)
                    else:
                        _copy(p, k, p, _END)
            for i in range(_TILE):
                for c in range(i * _ROW, i * _ROW + LANES):
                    _forth(p, c, LANES)
            for c in range(_ROW):
                _forth(p, c, _ROW)
            for k in range(_SIZE):
                _copy(values, k * values.shape[1] + t * channels + lane, p, k * LANES)


@njit(nogil=True, fastmath=True, cache=True)
def _to_pixels(start, stop, first, products, bias, y):
    """max(0, A^T products A + bias), as `_to_values`."""
    _, height, width, channels = y.shape
    p = np.empty(_END, np.float32)
    for t in range(start, stop):
        image, top, left = _place(first + t, height, width)
        for lane in range(0, channels, LANES):
            for k in range(_SIZE):
                _copy(p, k * LANES, products, k * products.shape[1] + t * channels + lane)
            for c in range(_ROW):
                _back(p, c, _ROW)
            for i in range(_STEP):
                for c in range(i * _ROW, i * _ROW + LANES):
                    _back(p, c, LANES)
            for i in range(min(_STEP, height - top)):
                for j in range(min(_STEP, width - left)):
                    to = ((image * height + top + i) * width + left + j) * channels + lane
                    _rectify(y, to, p, i * _ROW + j * LANES, bias, lane)


@njit(inline="always")
def _place(tile, height, width):
    """Image of a tile, and its top left pixel there."""
    down, across = -(-height // _STEP), -(-width // _STEP)
    return tile // (down * across), tile // across % down * _STEP, tile % across * _STEP


@njit(inline="always")
def _forth(p, c, s):
    """B^T in place: ten pixels, s apart, to values at 0, at four points of either sign and at infinity."""
    x0, x1, x2, x3, x4 = p[c], p[c + s], p[c + 2 * s], p[c + 3 * s], p[c + 4 * s]
    x5, x6, x7, x8, x9 = p[c + 5 * s], p[c + 6 * s], p[c + 7 * s], p[c + 8 * s], p[c + 9 * s]
    p[c] = _ALL[0] * x0 + _ALL[1] * x2 + _ALL[2] * x4 + _ALL[3] * x6 + x8
    for i in range(4):
        a, b, d, _ = _OTHERS[i]
        even = a * x2 + b * x4 + d * x6 + x8
        odd = _POWERS[1][i] * (a * x1 + b * x3 + d * x5 + x7)
        p[c + (2 * i + 1) * s], p[c + (2 * i + 2) * s] = even + odd, even - odd
    p[c + 9 * s] = _ALL[0] * x1 + _ALL[1] * x3 + _ALL[2] * x5 + _ALL[3] * x7 + x9


@njit(inline="always")
def _back(p, c, s):
    """A^T in place: ten values, s apart, to eight pixels."""
    zero, infinite = p[c], p[c + 9 * s]
    a, b, d, e = p[c + s], p[c + 3 * s], p[c + 5 * s], p[c + 7 * s]
    f, g, h, i = p[c + 2 * s], p[c + 4 * s], p[c + 6 * s], p[c + 8 * s]
    even, odd = (a + f, b + g, d + h, e + i), (a - f, b - g, d - h, e - i)
    p[c] = zero + even[0] + even[1] + even[2] + even[3]
    p[c + s] = _weigh(odd, _POWERS[1])
    p[c + 2 * s] = _weigh(even, _POWERS[2])
    p[c + 3 * s] = _weigh(odd, _POWERS[3])
    p[c + 4 * s] = _weigh(even, _POWERS[4])
    p[c + 5 * s] = _weigh(odd, _POWERS[5])
    p[c + 6 * s] = _weigh(even, _POWERS[6])
    p[c + 7 * s] = _weigh(odd, _POWERS[7]) + infinite


@njit(inline="always")
def _weigh(terms, weights):
    return (
        terms[0] * weights[0]
        + terms[1] * weights[1]
        + terms[2] * weights[2]
        + terms[3] * weights[3]
    )
