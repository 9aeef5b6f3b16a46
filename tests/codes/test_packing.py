"""Packing: order of bits, the sign of zero, widths that are not whole bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crossbit.codes import pack, unpack
from crossbit.errors import EngineError


def test_first_value_is_the_most_significant_bit() -> None:
    values = np.array([[1.0, -1, -1, -1, -1, -1, -1, 1, 0.0, -0.5]])
    # 1000 0001 | 10 and six filling zeros: a zero counts as +1
    assert pack(values).tolist() == [[0b10000001, 0b10000000]]


def test_unpack_gives_signs() -> None:
    assert unpack(np.array([[0b10000000]], np.uint8), 3).tolist() == [[1.0, -1.0, -1.0]]


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 70)), elements=st.floats(-2, 2, width=32)))
def test_unpack_inverts_pack(values: np.ndarray) -> None:
    packed = pack(values)
    assert packed.shape == (len(values), -(-values.shape[1] // 8))
    np.testing.assert_array_equal(unpack(packed, values.shape[1]), np.where(values >= 0, 1, -1))


def test_nan_has_no_sign() -> None:
    with pytest.raises(EngineError, match="row 1 holds NaN"):
        pack(np.array([[1.0], [np.nan]]))


@pytest.mark.parametrize("bits", [0, 8, 17])
def test_unpack_refuses_other_widths(bits: int) -> None:
    with pytest.raises(EngineError, match="bytes wide"):
        unpack(np.zeros((2, 2), np.uint8), bits)
