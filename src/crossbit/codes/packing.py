"""Packed codes: K signs in K/8 bytes, most significant bit first."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from crossbit.errors import EngineError


def pack(values: Shaped[np.ndarray, "N K"]) -> UInt8[np.ndarray, "N W"]:
    """Pack the signs of N relaxed codes: bit 1 where a value is >= 0, so zero counts as +1 and there is no third symbol.

    The order is `numpy.packbits`' own: value 0 is the highest bit of byte 0. A width that is not a multiple of 8 is filled
    with zero bits, which agree between all codes and therefore never count as distance.

    Raises:
        EngineError: not a matrix, or a value is NaN and so has no sign.
    """
    if values.ndim != 2:
        raise EngineError(f"pack: values have shape {values.shape}, expected (N, K)")
    if np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values).any(axis=1))[0])
        raise EngineError(f"pack: row {row} holds NaN, expected numbers with a sign")
    return np.packbits(values >= 0, axis=1)


def unpack(codes: UInt8[np.ndarray, "N W"], bits: int) -> Float32[np.ndarray, "N K"]:
    """Give the K signs of each packed code as -1.0 and +1.0, the inverse of `pack` up to the sign.

    Raises:
        EngineError: `bits` does not fit the width of the codes.
    """
    check_width(codes, bits, "unpack")
    ones = np.unpackbits(codes, axis=1, count=bits)
    return ones.astype(np.float32) * np.float32(2) - np.float32(1)


def check_width(codes: np.ndarray, bits: int, where: str) -> None:
    """Refuse codes that are not (N, ceil(bits / 8)) uint8.

    Raises:
        EngineError: shape, dtype or width differ; the message starts with `where`.
    """
    if codes.ndim != 2 or codes.dtype != np.uint8:
        raise EngineError(f"{where}: codes are {codes.dtype} of shape {codes.shape}, expected packed uint8 (N, K/8)")
    if bits < 1 or codes.shape[1] != -(-bits // 8):
        raise EngineError(f"{where}: codes are {codes.shape[1]} bytes wide, expected {-(-bits // 8)} for {bits} bits")
