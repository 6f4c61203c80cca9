"""Money by ISO 4217: the currencies, and the decimals of each.

Inside, an amount is an integer of the currency's minor units (cents, øre, fils), and a sum is an
integer of ten-thousandths (ISO 4217's largest exponent is 4), so that sums over mixed currencies
stay exact to the bit. Where a person reads or writes an amount it is in major units: `136.69`.

Source: ISO 4217:2015, list one (current currency codes), as amended to 2025.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from shroff.canonical import BLANK, canonical

UNITS: Final = 10_000
"""Ten-thousandths of a major unit: the common scale in which amounts are summed."""

# alphabetic code, numeric code; two decimals unless listed in _EXPONENTS
_CODES: Final = """
AED 784 AFN 971 ALL 008 AMD 051 AOA 973 ARS 032 AUD 036 AWG 533 AZN 944 BAM 977 BBD 052 BDT 050
BGN 975 BHD 048 BIF 108 BMD 060 BND 096 BOB 068 BOV 984 BRL 986 BSD 044 BTN 064 BWP 072 BYN 933
BZD 084 CAD 124 CDF 976 CHE 947 CHF 756 CHW 948 CLF 990 CLP 152 CNY 156 COP 170 COU 970 CRC 188
CUP 192 CVE 132 CZK 203 DJF 262 DKK 208 DOP 214 DZD 012 EGP 818 ERN 232 ETB 230 EUR 978 FJD 242
FKP 238 GBP 826 GEL 981 GHS 936 GIP 292 GMD 270 GNF 324 GTQ 320 GYD 328 HKD 344 HNL 340 HTG 332
HUF 348 IDR 360 ILS 376 INR 356 IQD 368 IRR 364 ISK 352 JMD 388 JOD 400 JPY 392 KES 404 KGS 417
KHR 116 KMF 174 KPW 408 KRW 410 KWD 414 KYD 136 KZT 398 LAK 418 LBP 422 LKR 144 LRD 430 LSL 426
LYD 434 MAD 504 MDL 498 MGA 969 MKD 807 MMK 104 MNT 496 MOP 446 MRU 929 MUR 480 MVR 462 MWK 454
MXN 484 MXV 979 MYR 458 MZN 943 NAD 516 NGN 566 NIO 558 NOK 578 NPR 524 NZD 554 OMR 512 PAB 590
PEN 604 PGK 598 PHP 608 PKR 586 PLN 985 PYG 600 QAR 634 RON 946 RSD 941 RUB 643 RWF 646 SAR 682
SBD 090 SCR 690 SDG 938 SEK 752 SGD 702 SHP 654 SLE 925 SOS 706 SRD 968 SSP 728 STN 930 SVC 222
SYP 760 SZL 748 THB 764 TJS 972 TMT 934 TND 788 TOP 776 TRY 949 TTD 780 TWD 901 TZS 834 UAH 980
UGX 800 USD 840 USN 997 UYI 940 UYU 858 UYW 927 UZS 860 VED 926 VES 928 VND 704 VUV 548 WST 882
XAF 950 XCD 951 XCG 532 XOF 952 XPF 953 YER 886 ZAR 710 ZMW 967 ZWG 924
""".split()

_EXPONENTS: Final = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}

NUMERIC: Final[dict[str, str]] = dict(zip(_CODES[::2], _CODES[1::2], strict=True))
"""The numeric code of each currency, by its alphabetic one: `978` for `EUR`."""

ALPHABETIC: Final[dict[str, str]] = {
    code: alphabetic for alphabetic, numeric in NUMERIC.items() for code in (alphabetic, numeric)
}
"""The alphabetic code of each currency, by either code."""

EXPONENT: Final[dict[str, int]] = {
    code: _EXPONENTS.get(alphabetic, 2)
    for alphabetic, numeric in NUMERIC.items()
    for code in (alphabetic, numeric)
}
"""Decimals of each currency, by alphabetic (`EUR`) and by numeric (`978`) code."""


def alphabetic(code: str) -> str | None:
    """The alphabetic code of a currency from any of its codes; None if no currency has this code.

    >>> [alphabetic(code) for code in ("EUR", " usd ", "392", "392.0", "36", "EURO")]
    ['EUR', 'USD', 'JPY', 'JPY', 'AUD', None]
    """
    written = canonical(code.strip(BLANK)).upper()
    return ALPHABETIC.get(written if len(written) > 2 else written.zfill(3))


_POWERS: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
_FACTORS: Final = {code: _POWERS[decimals] for code, decimals in EXPONENT.items()}


_DIGITS: Final = 1e15
# a decimal number read as a double, times a power of ten, is off by at most 2**-52 of itself: below
# 1e15 that is less than a quarter, so the nearest integer is the right one
_RELATIVE: Final = 4e-16
_ABSOLUTE: Final = 1e-9


def most(currency: str) -> int:
    """The largest amount in minor units of a currency: 15 digits, and 10¹⁴ major units.

    >>> most("EUR"), most("JPY")
    (999999999999999, 100000000000000)
    """
    largest: int = 10 ** (14 + EXPONENT[currency])
    return min(int(_DIGITS) - 1, largest)


def minor_units(amount: float, exponent: int) -> int | None:
    """An amount in major units as an integer of minor units.

    None when it has more decimals than that, or more than the 15 digits that a double keeps.
    Only 0 itself is 0, however small another amount is.

    >>> minor_units(136.69, 2), minor_units(1500.0, 0), minor_units(0.125, 2), minor_units(1e-9, 0)
    (13669, 1500, None, None)
    """
    scaled = amount * _POWERS[exponent]
    if not scaled < _DIGITS:
        return None
    minor = round(scaled)
    exact = abs(scaled - minor) <= scaled * _RELATIVE + _ABSOLUTE
    return minor if exact and (minor or not scaled) else None


def minor(amount: str, currency: str | None, default: str) -> pl.Expr:
    """`minor_units` of a column of amounts (Int64, null where it would be None)."""
    scaled = pl.col(amount) * _factor(currency, default)
    rounded = scaled.round()
    exact = (scaled < _DIGITS) & ((scaled - rounded).abs() <= scaled * _RELATIVE + _ABSOLUTE)
    exact &= (rounded > 0.0) | (scaled == 0.0)
    return pl.when(exact).then(rounded).cast(pl.Int64)


def exponent(currency: str | None, default: str) -> pl.Expr:
    """Decimals of each row's currency (Int64, null if unknown), or of the default currency."""
    if currency is None:
        return pl.lit(EXPONENT[default], dtype=pl.Int64)
    return pl.col(currency).replace_strict(EXPONENT, default=None, return_dtype=pl.Int64)


def major(minor: str, currency: str | None, default: str) -> pl.Expr:
    """Amounts in major units: the nearest doubles, by one correctly rounded division."""
    amount = pl.col(minor).cast(pl.Float64)
    # Polars divides a column by one number as `x * (1 / number)`, which rounds twice: make it a
    # full column
    return amount / (amount * 0.0 + _factor(currency, default))


def units(minor: str, currency: str | None, default: str) -> pl.Expr:
    """Amounts in ten-thousandths of a major unit (Int64), the scale of sums."""
    return pl.col(minor) * pl.lit(10, dtype=pl.Int64).pow(4 - exponent(currency, default))


def _factor(currency: str | None, default: str) -> pl.Expr:
    """Minor units in a major one, by row (Float64)."""
    if currency is None:
        return pl.lit(_POWERS[EXPONENT[default]])
    return pl.col(currency).replace_strict(_FACTORS, default=None, return_dtype=pl.Float64)
