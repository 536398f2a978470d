"""Many products of a few dozen rows with matrices that stay the same and are brought into the order of use once.

A BLAS library copies both sides into its own order at each call, for so few rows up to half of the time. Here the
matrices lie in panels of columns, and a block of the result stays in the registers while its sums run (Goto and van de
Geijn, ACM TOMS 34, 12, 2008). The order of the sums does not depend on the number of rows or threads.
"""

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_WIDE = binding.get_host_cpu_features().get("avx512f", False)
_LANES = 16 if _WIDE else 8  # numbers in a register
_ROWS = 12 if _WIDE else 4  # whose sums, two registers each, fill the registers
PANEL = 2 * _LANES  # columns


def pack(matrices):
    """Float32 array (n, inside, outside) as panels (n, outside / `PANEL`, inside, `PANEL`).

    Raises
    ------
    ValueError
        If the columns do not fill the panels.
    """
    count, inside, outside = matrices.shape
    if outside % PANEL:
        raise ValueError(f"{outside} columns: must be a multiple of {PANEL}")
    return np.ascontiguousarray(matrices.reshape(count, inside, -1, PANEL).swapaxes(1, 2))


def vectors(context, builder, signature, arguments, lanes):
    """Pointers to vectors in contiguous float32 arrays, from (array, flat index, array, flat index, ...)."""
    kind, found = ir.VectorType(ir.FloatType(), lanes).as_pointer(), []
    for of, array, index in zip(signature[::2], arguments[::2], arguments[1::2], strict=True):
        start = context.make_array(of)(context, builder, array).data
        found.append(builder.bitcast(builder.gep(start, [index]), kind))
    return found


def _product(rows):
    """Make a compiled function that computes some rows of one panel's columns; `left` and `result` are flat."""

    @intrinsic
    def product(_context, left, start, panels, first, result, at, inside, outside):
        def generate(context, builder, signature, arguments):
            *places, depth, apart = arguments
            left, weights, result = vectors(context, builder, signature.args[:6], places, _LANES)
            sums = _sums(builder, rows, left, weights, depth)
            for row, totals in enumerate(sums):
                _write(builder, totals, result, builder.mul(apart, apart.type(row)))
            return context.get_dummy_value()

        return types.void(left, start, panels, first, result, at, inside, outside), generate

    return product


def _sums(builder, rows, left, weights, inside):
    vector, whole = weights.type.pointee, inside.type
    left = builder.bitcast(left, vector.element.as_pointer())
    sums = [
        [cgutils.alloca_once_value(builder, vector(None)) for _ in range(2)] for _ in range(rows)
    ]
    with cgutils.for_range(builder, inside) as loop:
        first = builder.gep(weights, [builder.mul(loop.index, whole(2))])
        both = [builder.load(builder.gep(first, [whole(part)]), align=4) for part in range(2)]
        for row, totals in enumerate(sums):
            place = builder.add(builder.mul(inside, whole(row)), loop.index)
            value = _spread(builder, builder.load(builder.gep(left, [place])), vector)
            for total, weight in zip(totals, both, strict=True):
                term = builder.fmul(value, weight, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), term, flags=("contract",)), total)
    return sums


def _spread(builder, number, vector):
    nothing, index = vector(ir.Undefined), ir.IntType(32)
    one = builder.insert_element(nothing, number, index(0))
    return builder.shuffle_vector(one, nothing, ir.VectorType(index, vector.count)(None))


def _write(builder, totals, result, offset):
    vector = result.type.pointee
    start = builder.gep(builder.bitcast(result, vector.element.as_pointer()), [offset])
    start = builder.bitcast(start, result.type)
    for part, total in enumerate(totals):
        builder.store(builder.load(total), builder.gep(start, [offset.type(part)]), align=4)


_block, _row = _product(_ROWS), _product(1)


@njit(nogil=True, cache=True)
def multiply(start, stop, rows, left, panels, result):
    """Products of the matrices from `start` to `stop`; may run in several threads.

    Parameters
    ----------
    start, stop, rows : int
    left : float32 array (n, rows * inside or more)
        Rows of each left side, one after the other.
    panels : float32 array (n, outside / `PANEL`, inside, `PANEL`)
        See `pack`.
    result : float32 array (n, rows * outside or more)
        Is written.
    """
    _, count, inside, _ = panels.shape
    outside = count * PANEL
    for k in range(start, stop):
        for panel in range(count):
            weights, row = (k * count + panel) * inside * PANEL, 0
            while row < rows:
                here, there = (
                    k * left.shape[1] + row * inside,
                    k * result.shape[1] + row * outside + panel * PANEL,
                )
                if row + _ROWS <= rows:
                    _block(left, here, panels, weights, result, there, inside, outside)
                    row += _ROWS
                else:
                    _row(left, here, panels, weights, result, there, inside, outside)
                    row += 1
