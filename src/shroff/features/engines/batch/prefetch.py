"""Asking the processor for memory before it is needed, from compiled code.

Rows that are moved to or from the places of their keys miss the cache about once in eight times, at
an address that is known long before: places are read in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

AHEAD: Final = 256
"""Rows between the one that is worked on and the one whose memory is asked for: enough to hide the
latency of memory.
"""

_BYTES: Final = ir.IntType(8).as_pointer()
_INT: Final = ir.IntType(32)


@intrinsic
def _prefetch(typing: Any, items: Any, at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, given[0])
        place = context.cast(builder, given[1], signature.args[1], types.uintp)
        address = builder.bitcast(builder.gep(array.data, [place]), _BYTES)
        kind = ir.FunctionType(ir.VoidType(), [_BYTES, _INT, _INT, _INT])
        asked = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]  # Numba has no types
            builder.module, kind, "llvm.prefetch.p0i8"
        )
        # to be read, into the second-level cache: the first waits for fewer lines at a time; data
        builder.call(asked, [address, _INT(0), _INT(2), _INT(1)])
        return context.get_dummy_value()

    return types.void(items, at), generate


prefetch = cast("Callable[[NDArray[Any], Any], None]", _prefetch)
"""Ask for the memory of an item by its place, which is not checked; nothing is read or written."""
