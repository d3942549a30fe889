"""One row at a time through XGBoost's C interface, over buffers made once: the library's own way costs half as much
again in preparing the call."""

import ctypes
import json
from collections.abc import Sequence
from math import nan
from threading import Lock
from weakref import finalize

import xgboost as xgb
from xgboost.libpath import find_lib_path

from fradect.errors import Unavailable

_ASKED = {
    "type": 1,  # the margin
    "training": False,
    "iteration_begin": 0,
    "iteration_end": 0,
    "missing": nan,
    "strict_shape": False,
    "cache_id": 0,
}


class OneRow:
    """A booster's margin of single rows: the same bits as `inplace_predict` gives. Threads take turns."""

    def __init__(self, booster: xgb.Booster, width: int) -> None:
        library = ctypes.PyDLL(find_lib_path()[0])  # letting other threads in costs more than a row takes
        self._predict, self._last_error = library.XGBoosterPredictFromDense, library.XGBGetLastError
        self._predict.restype, self._last_error.restype = ctypes.c_int, ctypes.c_char_p
        proxy = ctypes.c_void_p()  # one of its own for every call would read the processor quota's files each time
        if library.XGProxyDMatrixCreate(ctypes.byref(proxy)):
            raise Unavailable(f"the model has no place for a row: {self._last_error()!r}")
        finalize(self, library.XGDMatrixFree, proxy)
        self._booster = booster  # owns what the handle points to
        self._row = (ctypes.c_double * width)()
        self._answer = ctypes.POINTER(ctypes.c_float)()
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        where = {"data": [ctypes.addressof(self._row), True], "shape": [1, width], "typestr": "<f8", "version": 3}
        self._call = (
            booster.handle,
            ctypes.c_char_p(json.dumps(where).encode()),
            ctypes.c_char_p(json.dumps(_ASKED).encode()),
            proxy,
            ctypes.byref(shape),
            ctypes.byref(dimensions),
            ctypes.byref(self._answer),
        )
        self._turn = Lock()

    def margin(self, row: Sequence[float]) -> float:
        """Log-odds before calibration. ValueError when the row is longer or shorter than the model's."""
        with self._turn:
            self._row[:] = list(row)
            if self._predict(*self._call):
                raise Unavailable(f"the model gave no answer: {self._last_error()!r}")
            margin: float = self._answer[0]
        return margin
