"""What h5py sees in an HDF5 file, in the form in which tests/cm_dump gives it: cells as bytes, attributes as JSON."""
import json

import h5py
import numpy as np


NOT_A_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def is_only_dimension(d):
    name = d.attrs.get("NAME", b"")
    name = name.encode() if isinstance(name, str) else bytes(name)
    return name.startswith(NOT_A_VARIABLE) and "CLASS" in d.attrs


def string_bytes(items):
    out = bytearray()
    for s in items:
        raw = s.encode("utf-8", "surrogateescape") if isinstance(s, str) else bytes(s)
        out += len(raw).to_bytes(4, "little") + raw
    return bytes(out)


def is_char(d):
    info = h5py.check_string_dtype(d.dtype)
    return info is not None and info.length == 1 and d.ndim > 0


def shares_last_axis(d):
    """Is there something along the last dimension of this char array that is not the end of char arrays?"""
    scales = list(d.dims[d.ndim - 1].values())
    if not scales:
        return False
    if not is_only_dimension(scales[0]):
        return True
    users = [(d.file[ref], axis) for ref, axis in scales[0].attrs.get("REFERENCE_LIST", [])]
    return any(not is_char(u) or axis != u.ndim - 1 for u, axis in users)


def packed(t):
    """The dtype as a record in memory has it: no gaps, native; None when a part has no fixed size."""
    if t.subdtype:
        base = packed(t.subdtype[0])
        return None if base is None else np.dtype((base, t.subdtype[1]))
    if t.names:
        parts = [(n, packed(t[n])) for n in t.names]
        return None if any(p is None for _, p in parts) else np.dtype(parts)
    return None if t.kind == "O" else t.newbyteorder("<")


def fixed_bytes(a):
    """Cells of fixed size, without the gaps of their dtype."""
    a = np.asarray(a)
    t = packed(a.dtype)
    if t == a.dtype:
        return np.ascontiguousarray(a).tobytes()
    out = np.zeros(a.shape, t)
    copy_fields(out, a)
    return out.tobytes()


def copy_fields(to, a):
    for n in a.dtype.names or ():
        if a.dtype[n].base.names:
            copy_fields(to[n], a[n])
        else:
            to[n] = a[n]
    if not a.dtype.names:
        to[...] = a


def in_order(a, base):
    """A sequence of h5py's: it takes the bytes of big-endian ones for native (h5dump does not)."""
    return a.byteswap() if base.byteorder == ">" and a.dtype.byteorder != ">" else a


def corners(point):
    return "(" + ",".join(str(int(x)) for x in point) + ")"


def reference_text(h, ref):
    """The path of what a reference leads to; of a region with its blocks or points, as h5dump has them."""
    if not ref:
        return ""
    name = h5py.h5r.get_name(ref, h.id).decode()
    if not isinstance(ref, h5py.RegionReference):
        return name
    space = h5py.h5r.get_region(ref, h.id)
    kind = space.get_select_type()
    if kind == h5py.h5s.SEL_ALL:
        return name
    if kind == h5py.h5s.SEL_NONE:
        return name + " {}"
    if kind == h5py.h5s.SEL_POINTS:
        return name + " {" + ", ".join(corners(p) for p in space.get_select_elem_pointlist()) + "}"
    return name + " {" + ", ".join(f"{corners(a)}-{corners(b)}" for a, b in space.get_select_hyper_blocklist()) + "}"


def json_cell(h, v, t):
    """The JSON that an attribute's value is: objects of compounds, lists of sequences, hex of opaque bytes."""
    if isinstance(v, h5py.Reference):
        return reference_text(h, v)
    if isinstance(v, (str, bytes)) and t.kind != "V":
        return v if isinstance(v, str) else v.rstrip(b"\0").decode("utf-8", "replace")
    base = h5py.check_vlen_dtype(t)
    if isinstance(base, np.dtype) and isinstance(v, np.ndarray) and v.dtype.kind != "O":
        return [json_cell(h, x, base) for x in in_order(v, base)]
    if isinstance(v, np.ndarray) and v.ndim:
        inner = base if isinstance(base, np.dtype) else t.subdtype[0] if t.subdtype else v.dtype
        return [json_cell(h, x, inner) for x in v]
    if v is None:  # a sequence of nothing
        return []
    if t.names:
        return {n: json_cell(h, v[n], t[n]) for n in t.names}
    if t.kind in "VmM":
        return bytes(v.tobytes()).hex()
    if isinstance(v, (complex, np.complexfloating)):
        return [float(v.real), float(v.imag)]
    return plain(v)


def needs_words(t):
    """Compounds that have text, sequences or references in them, and sequences of such, or of arrays."""
    def varies(t):
        return t.kind == "O" or (t.subdtype is not None and varies(t.subdtype[0])) or any(varies(t[n]) for n in t.names or ())

    base = h5py.check_vlen_dtype(t)
    if isinstance(base, np.dtype):
        return bool(base.subdtype) or varies(base)
    return t.names is not None and varies(t)


def worded(d, t):
    """Each cell as a line of JSON."""
    a = d[()]
    if isinstance(a, np.ndarray) and (t.names or a.dtype.kind == "O") and a.shape[:d.ndim] == d.shape and d.ndim:
        cells = list(a.reshape(-1)) if a.dtype.kind == "O" or t.names else a
    else:
        cells = [a]
    return string_bytes(json.dumps(json_cell(d.file, x, t), ensure_ascii=False) for x in cells)


def cells_of(d):
    """The cells of an h5py dataset as cm_dump hashes them; None when they are of no kind it reads."""
    t = d.dtype
    if d.shape is None:  # a null dataspace is an array of no cells
        return b""
    if t.subdtype:  # array types are more axes, in numpy as well
        t = t.subdtype[0]
    if needs_words(t):
        return worded(d, t)
    info = h5py.check_string_dtype(t)
    if info is not None and not isinstance(d.id.get_type(), h5py.h5t.TypeOpaqueID):
        a = d[()]
        if info.length == 1 and d.ndim > 0 and not shares_last_axis(d):  # netCDF's char arrays: the last axis is the string
            n = d.shape[-1]
            flat = np.ascontiguousarray(a).reshape(-1, n) if n else np.zeros((int(np.prod(d.shape[:-1])), 0), "S1")
            return string_bytes(bytes(row.tobytes()).rstrip(b"\0") for row in flat)
        if info.length is None:
            return string_bytes(np.asarray(a, dtype=object).ravel())
        return string_bytes(np.asarray(a).ravel().tolist())
    if h5py.check_ref_dtype(t):
        a = d[()]
        return string_bytes(reference_text(d.file, r) for r in (a.ravel() if isinstance(a, np.ndarray) else [a]))
    if h5py.check_vlen_dtype(t):
        a = d[()]
        lists = a.ravel() if isinstance(a, np.ndarray) and a.dtype.kind == "O" else [a]
        raw = [fixed_bytes(in_order(x, h5py.check_vlen_dtype(t))) for x in lists]
        return b"".join(len(x).to_bytes(4, "little") + x for x in raw)
    if t.names or t.kind in "VmM" or isinstance(d.id.get_type(), h5py.h5t.TypeOpaqueID):
        return fixed_bytes(d[()]) if packed(t) is not None else None
    if t.kind not in "biufc" or t.itemsize > 16:
        return None
    if t.kind == "f" and t.itemsize > 8:
        return None
    a = np.asarray(d[()])
    return np.ascontiguousarray(a.astype(t.newbyteorder("<"))).tobytes()


def plain(v):
    if isinstance(v, np.ndarray):
        return [plain(x) for x in v.tolist()]
    if isinstance(v, np.generic):
        return plain(v.item())
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    return v


def in_rows(v):
    """Objects as the tuples that numpy has of them."""
    v = list(v.values()) if isinstance(v, dict) else v
    return [in_rows(x) for x in v] if isinstance(v, list) else v


def same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, float) or isinstance(b, float):
        try:
            return a == b or (a != a and b != b)
        except TypeError:
            return False
    return a == b
