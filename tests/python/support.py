"""What the differential tests have compared, written down as they compare it.

    with support.recording():              # tests with random input leave this out
        ...
        support.matrix("zarr3-read", "zstd", "int16", "big", "zarr-python")
        support.listed("hdf5-other", "superblock version 2", "h5py")
        support.refused("HDF5", "filter lzf", "filter 32000 (lzf)")

Call one right after the comparison that held. Each call adds a line of JSON to the file that the
environment variable CM_SUPPORT_RECORDS names; without it, or outside of recording(), nothing
happens. tools/make_support.py makes docs/support.md of all these files, and a test compares it.

A new codec, filter or layout is a new feature and needs nothing here. A new type is a word in TYPES,
a new page section one in SECTIONS.
"""
import collections
import contextlib
import json
import os
import pathlib

# As the page has them, from left to right. ORDERLESS have no byte order.
NUMBERS = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
           "float16", "float32", "float64", "complex64", "complex128"]
ORDERLESS = {"bool", "int8", "uint8", "string", "S", "char"}

# The letter that stands for it in a table.
ORACLES = {"zarr-python": "Z", "tensorstore": "T", "numcodecs": "N", "xarray": "X", "h5py": "H",
           "netCDF4": "C", "scipy": "S", "zarrs": "R", "cast_value_rs": "V", "numpy": "P"}

Section = collections.namedtuple("Section", "title text types")

# In the order of the page. types: the columns; None: a list of features without types.
SECTIONS = {
    "zarr3-read": Section(
        "Zarr version 3, read",
        "`string` is `vlen-utf8`, `U` is `fixed_length_utf32`, `S` is `null_terminated_bytes`.",
        [*NUMBERS, "string", "U", "S"]),
    "zarr3-write": Section(
        "Zarr version 3, written", "", [*NUMBERS, "string"]),
    "zarr2-read": Section(
        "Zarr version 2, read", "`string` is `|O` with the filter `vlen-utf8`.",
        [*NUMBERS, "string", "U", "S"]),
    "zarr2-write": Section(
        "Zarr version 2, written", "", [*NUMBERS, "string"]),
    "zarr-other": Section(
        "Zarr, what is not a codec or a type", "", None),
    "hdf5-read": Section(
        "HDF5, read", "`string` has variable length, `S` fixed length, `char` is an array of "
        "single characters, as netCDF has them. bool and complex are those of h5py.",
        [*NUMBERS, "string", "S", "char"]),
    "hdf5-other": Section(
        "HDF5, what is not a filter or a type", "", None),
    "netcdf4-read": Section(
        "NetCDF-4, read", "", [*NUMBERS[1:9], "float32", "float64", "string", "char"]),
    "netcdf4-other": Section(
        "NetCDF-4, what is not a filter or a type", "", None),
    "netcdf3-read": Section(
        "NetCDF-3, read", "Only 64-bit data has the unsigned and the 64-bit integers.",
        [*NUMBERS[1:9], "float32", "float64", "char"]),
}

_recording = 0
_file = None
_lines = set()


@contextlib.contextmanager
def recording():
    """What is compared inside is written down."""
    global _recording
    _recording += 1
    try:
        yield
    finally:
        _recording -= 1


def wanted():
    """Will anybody read what is recorded? Without, a sample of the types is enough."""
    return bool(os.environ.get("CM_SUPPORT_RECORDS"))


def _put(**record):
    global _file
    path = os.environ.get("CM_SUPPORT_RECORDS")
    line = json.dumps(record, sort_keys=True, ensure_ascii=False)
    if not _recording or not path or line in _lines:
        return
    if _file is None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _file = open(path, "w", encoding="utf-8")
    _lines.add(line)
    _file.write(line + "\n")
    _file.flush()


def matrix(section, feature, dtype, order, oracle):
    """A type of a byte order ("little", "big", "" where it has none), stored so, equal to what the
    oracle has."""
    assert dtype in SECTIONS[section].types, f"{dtype} is not in {section}'s types: SECTIONS"
    assert order in (("",) if dtype in ORDERLESS else ("little", "big")), (dtype, order)
    _put(section=section, feature=feature, type=dtype, order=order, oracle=oracle)


def listed(section, feature, *oracles):
    """Something else that was compared."""
    assert SECTIONS[section].types is None, section
    for oracle in oracles:
        _put(section=section, feature=feature, oracle=oracle)


def refused(where, feature, words):
    """An input that must be refused, and was, with an error that has these words."""
    _put(section="refused", where=where, feature=feature, words=words)


# ---- names of what a file holds, from what the file says --------------------------------------


def _codec_label(codec):
    """One bytes-to-bytes codec, {"name", "configuration"} or numcodecs' {"id", ...}."""
    name = codec.get("name", codec.get("id", "")).removeprefix("numcodecs.")
    more = codec.get("configuration", codec)
    if name == "blosc":
        shuffle = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}.get(more["shuffle"],
                                                                      more["shuffle"])
        return f"blosc {more['cname']} {shuffle}"
    if name == "zstd" and more.get("checksum"):
        return "zstd with checksum"
    return name


def _chain_labels(codecs, labels):
    """The words for a list of version 3's codecs; gives the byte order back, or None."""
    order = None
    for codec in codecs:
        more = codec.get("configuration", {})
        if codec["name"] == "bytes":
            order = more.get("endian")
        elif codec["name"] == "vlen-utf8":
            pass
        elif codec["name"] == "sharding_indexed":
            inner = []
            order = _chain_labels(more["codecs"], inner)
            labels.append(f"shards of ({', '.join(inner) or 'no compression'})"
                          f", index at {more.get('index_location', 'end')}")
        else:
            labels.append(_codec_label(codec))
    return order


def zarr_document(folder):
    """The zarr.json or .zarray of an array."""
    name = pathlib.Path(folder, "zarr.json")
    return json.loads((name if name.exists() else pathlib.Path(folder, ".zarray")).read_text())


def zarr_array(folder, direction, oracle):
    """The cells of the array in a folder, "read" or "write", were equal to the oracle's."""
    if _recording:
        form, *feature = zarr_feature(zarr_document(folder))
        matrix(f"zarr{form}-{direction}", *feature, oracle)


def zarr_feature(document):
    """(version, feature, type, byte order) of a zarr.json or .zarray document."""
    labels = []
    if document["zarr_format"] == 3:
        order = _chain_labels(document["codecs"], labels)
        dtype = document["data_type"]
        dtype = dtype if isinstance(dtype, str) else dtype["name"]
        dtype = {"fixed_length_utf32": "U", "null_terminated_bytes": "S"}.get(dtype, dtype)
    else:
        text = document["dtype"]
        kind, size = text[1], int(text[2:] or 0)
        words = {"b": "bool", "i": f"int{8 * size}", "u": f"uint{8 * size}", "f": f"float{8 * size}",
                 "c": f"complex{8 * size}", "O": "string", "U": "U", "S": "S"}
        dtype, order = words[kind], {"<": "little", ">": "big", "|": None}[text[0]]
        if document["order"] == "F":
            labels.append("transpose")
        labels += [_codec_label(c) for c in document["filters"] or [] if c["id"] != "vlen-utf8"]
        labels += [_codec_label(document["compressor"])] if document["compressor"] else []
    order = "" if dtype in ORDERLESS else order or "little"
    return document["zarr_format"], ", ".join(labels) or "no compression", dtype, order


HDF5_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset",
                307: "bzip2", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle",
                32013: "zfp", 32015: "zstd", 32017: "sz", 32022: "granular bitround",
                32026: "blosc2", 32028: "blosc hdf5 fork"}
HDF5_LAYOUTS = ["compact", "contiguous", "chunked", "virtual"]


def hdf5_feature(plist):
    """Layout and filters of a dataset, from its creation property list."""
    labels = [HDF5_LAYOUTS[plist.get_layout()]]
    for i in range(plist.get_nfilters()):
        code, _, values, _ = plist.get_filter(i)
        label = HDF5_FILTERS.get(code, f"filter {code}")
        if code == 32001:  # revision, version, type size, chunk, level, shuffle, compressor
            values = [*values, 5, 1, 0][:7] if len(values) < 7 else values
            label += " " + ["blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"][values[6]]
            label += " " + ["noshuffle", "shuffle", "bitshuffle"][values[5]]
        if code == 32008 and len(values) > 4:
            label += {2: " lz4", 3: " zstd"}.get(values[4], "")
        labels.append(label)
    return ", ".join(labels)


def number_type(dtype):
    """(type, byte order) of a numpy dtype of numbers."""
    return dtype.name, "" if dtype.name in ORDERLESS else "big" if dtype.str[0] == ">" else "little"


def hdf5_type(dataset):
    """(type, byte order) of an h5py dataset, None where there is no word for it."""
    import h5py
    text = h5py.check_string_dtype(dataset.dtype)
    if text is not None:
        return ("string" if text.length is None else "char" if text.length == 1 else "S", "")
    return number_type(dataset.dtype) if dataset.dtype.name in NUMBERS else None


def _hdf5_index(dataset, plist, superblock):
    """Which index libhdf5 makes for its chunks (HDF5 1.10's rules, H5D__layout_set_latest_indexing):
    what the file was created for decides first."""
    import h5py
    if superblock < 3:
        return "version 1 B-tree"
    growing = sum(n is None for n in dataset.maxshape)
    if growing:
        return "extensible array" if growing == 1 else "version 2 B-tree"
    if dataset.shape == dataset.maxshape and all(n <= c for n, c in zip(dataset.shape,
                                                                        dataset.chunks)):
        return "single chunk"
    early = plist.get_alloc_time() == h5py.h5d.ALLOC_TIME_EARLY
    return "implicit" if early and not plist.get_nfilters() else "fixed array"


def hdf5_dataset(file, dataset):
    """A dataset of an h5py file whose cells were equal to h5py's."""
    if not _recording or not dataset.size:
        return
    plist, kind = dataset.id.get_create_plist(), hdf5_type(dataset)
    created = file.id.get_create_plist()
    superblock = created.get_version()[0]
    if not dataset.id.get_storage_size() and dataset.chunks:
        listed("hdf5-other", "chunks never written: the fill value", "h5py")
    masked = plist.get_nfilters() and dataset.id.get_num_chunks() and any(
        dataset.id.get_chunk_info(i).filter_mask for i in (0, dataset.id.get_num_chunks() - 1))
    if masked:
        listed("hdf5-other", "filters left out in single chunks (filter mask)", "h5py")
    elif kind is not None:
        matrix("hdf5-read", hdf5_feature(plist), *kind, "h5py")
    listed("hdf5-other", f"superblock version {superblock}", "h5py")
    if created.get_userblock():
        listed("hdf5-other", "user block before the superblock", "h5py")
    if created.get_sizes() != (8, 8):
        listed("hdf5-other", "addresses of %d bytes, lengths of %d" % created.get_sizes(), "h5py")
    if dataset.chunks:
        index = _hdf5_index(dataset, plist, superblock)
        listed("hdf5-other", f"chunk index: {index}" + (
            ", filtered" if plist.get_nfilters() else ""), "h5py")
