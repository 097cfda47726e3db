"""The C library through ctypes, for tests against xarray and cftime: open, select, join, read."""
import ctypes as C
import os
import pathlib

import numpy as np

KINDS = [None, np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32,
         np.uint64, np.float16, np.float32, np.float64, np.complex64, np.complex128]
UNPACK = {None: 0, "float32": 1, "float64": 2, "auto": 3}


class Error(C.Structure):
    _fields_ = [("code", C.c_int), ("os_errno", C.c_int), ("http_status", C.c_int),
                ("object", C.c_char * 512), ("variable", C.c_char * 256),
                ("message", C.c_char * 768), ("hint", C.c_char * 384)]


class Dtype(C.Structure):
    _fields_ = [("kind", C.c_int), ("size", C.c_uint32), ("unit", C.c_uint32),
                ("scale", C.c_uint32), ("record", C.c_void_p)]


class SelectOptions(C.Structure):
    _fields_ = [("group", C.c_char_p),
                ("variables", C.POINTER(C.c_char_p)), ("nvariables", C.c_size_t),
                ("skip", C.POINTER(C.c_char_p)), ("nskip", C.c_size_t),
                ("isel", C.POINTER(C.c_char_p)), ("nisel", C.c_size_t),
                ("sel", C.POINTER(C.c_char_p)), ("nsel", C.c_size_t), ("unpack", C.c_int)]


class JoinOptions(C.Structure):
    _fields_ = [("concat", C.c_char_p), ("static_first", C.c_bool), ("order", C.c_int),
                ("unsorted", C.c_int), ("duplicates", C.c_int), ("gaps", C.c_int), ("stack", C.c_char_p),
                ("coord", C.c_char_p), ("calendar", C.c_char_p), ("merge", C.c_bool),
                ("keep_first", C.c_bool)]


class Refused(Exception):
    def __init__(self, err):
        self.code = err.code
        super().__init__(f"{err.object.decode()}: {err.variable.decode()}: "
                         f"{err.message.decode()} ({err.hint.decode()})")


def _strings(items):
    items = items or []
    return (C.c_char_p * max(len(items), 1))(*[s.encode() for s in items]), len(items)


class Library:
    def __init__(self, path=None):
        here = pathlib.Path(__file__).resolve().parents[2]
        path = path or os.environ.get("CM_LIBRARY") or here / "build/debug/libchunkmill.so"
        self.lib = C.CDLL(str(path))
        for name in ("cm_group_find_variable", "cm_variable_array", "cm_dataset_root",
                     "cm_array_shape", "cm_group_variable", "cm_variable_path"):
            getattr(self.lib, name).restype = C.c_void_p
        self.lib.cm_array_shape.restype = C.POINTER(C.c_int64)
        self.lib.cm_variable_path.restype = C.c_char_p
        self.lib.cm_array_dtype.restype = Dtype
        self.lib.cm_group_nvariables.restype = C.c_size_t
        self.lib.cm_time_text.restype = C.c_bool
        self.lib.cm_time_text.argtypes = [C.c_double, C.c_char_p, C.c_char_p, C.c_char_p,
                                          C.c_size_t]
        self.ctx = C.c_void_p()
        self._call("cm_context_new", None, C.byref(self.ctx))

    def _call(self, name, *args):
        err = Error()
        if getattr(self.lib, name)(*args, C.byref(err)):
            raise Refused(err)

    def time_text(self, value, units, calendar):
        buf = C.create_string_buffer(64)
        good = self.lib.cm_time_text(value, units.encode(), calendar.encode(), buf, 64)
        return buf.value.decode() if good else None

    def open(self, path):
        ds = C.c_void_p()
        self._call("cm_dataset_open", self.ctx, str(path).encode(), None, C.byref(ds))
        return Dataset(self, ds)

    def join(self, datasets, concat=None, static_first=False):
        out = C.c_void_p()
        options = JoinOptions(concat.encode() if concat else None, static_first)
        array = (C.c_void_p * len(datasets))(*[d.ds for d in datasets])
        self._call("cm_dataset_join", self.ctx, array, C.c_size_t(len(datasets)),
                   C.byref(options), C.byref(out))
        return Dataset(self, out)


class Dataset:
    def __init__(self, library, ds):
        self.library, self.ds = library, ds

    def close(self):
        if self.ds:
            self.library.lib.cm_dataset_free(self.ds)
        self.ds = None

    def select(self, variables=None, skip=None, isel=None, sel=None, unpack=None, group=None):
        out = C.c_void_p()
        lists = [_strings(x) for x in (variables, skip, isel, sel)]
        options = SelectOptions(group.encode() if group else None,
                                *[x for pair in lists for x in pair], UNPACK[unpack])
        self.library._call("cm_dataset_select", self.library.ctx, self.ds, C.byref(options),
                           C.byref(out))
        return Dataset(self.library, out)

    def names(self):
        lib = self.library.lib
        root = C.c_void_p(lib.cm_dataset_root(self.ds))
        return [lib.cm_variable_path(C.c_void_p(lib.cm_group_variable(root, C.c_size_t(i)))
                                     ).decode()[1:] for i in range(lib.cm_group_nvariables(root))]

    def read(self, name):
        lib = self.library.lib
        v = lib.cm_group_find_variable(C.c_void_p(lib.cm_dataset_root(self.ds)), name.encode())
        a = C.c_void_p(lib.cm_variable_array(C.c_void_p(v)))
        n = lib.cm_array_ndim(a)
        shape = [lib.cm_array_shape(a)[i] for i in range(n)]
        out = np.empty(shape, KINDS[lib.cm_array_dtype(a).kind])
        self.library._call("cm_array_read", self.library.ctx, a, (C.c_int64 * max(n, 1))(),
                           (C.c_int64 * max(n, 1))(*shape), out.ctypes.data_as(C.c_void_p), None,
                           None)
        return out
