"""Fibonacci numbers, in decimal from the start: converting 209,000 digits costs more than finding them."""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact

MAX_INDEX = 1_000_000

_DIGITS_PER_INDEX = 0.20899
"""The logarithm of the golden ratio to base 10, rounded up."""


def fibonacci(index: int) -> str:
    """Return F(index) as decimal digits; F(0) is 0, F(1) is 1.

    Fast doubling: F(2k) = F(k) (2 F(k+1) - F(k)), F(2k+1) = F(k)^2 + F(k+1)^2. Raises `ValueError` for an
    index below 0 or above `MAX_INDEX`.
    """
    if not 0 <= index <= MAX_INDEX:
        raise ValueError(index)
    # Exact or an error: nothing is ever rounded.
    context = Context(prec=int(index * _DIGITS_PER_INDEX) + 10, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])
    multiply, add, subtract = context.multiply, context.add, context.subtract
    this, following = Decimal(0), Decimal(1)
    for bit in f"{index:b}":
        double = multiply(this, subtract(add(following, following), this))
        odd = add(multiply(this, this), multiply(following, following))
        this, following = (odd, add(double, odd)) if bit == "1" else (double, odd)
    return format(this, "f")
