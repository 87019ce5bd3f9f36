"""Frames as a stream of Arrow, each made when it is asked for. The one module that knows cffi.

DuckDB takes a stream as pointers to functions of C, and polars has such a stream for a frame alone. The functions here
are called from any thread that scans, the main one, too, where Ctrl-C may end them before their first line: then cffi
has them return an error. (ctypes would have them return 0, which is the end of the rows.)
"""

import ctypes
import errno
from collections.abc import Generator, Iterator
from typing import Any

import cffi
import polars as pl

_C = cffi.FFI()
_C.cdef(
    """
    struct ArrowArray {
        int64_t length, null_count, offset, n_buffers, n_children;
        void *buffers, *children, *dictionary;
        void (*release)(struct ArrowArray *);
        void *private_data;
    };
    struct ArrowArrayStream {
        int (*get_schema)(struct ArrowArrayStream *, void *);
        int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
        const char *(*get_last_error)(struct ArrowArrayStream *);
        void (*release)(struct ArrowArrayStream *);
        void *private_data;
    };
    """
)
_STREAM = "struct ArrowArrayStream *"

_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_unreleased = set[Any]()
"""The handles of streams in use, which nothing of Python's refers to."""


def stream_of(schema: pl.Schema, frames: Iterator[pl.DataFrame]) -> object:
    """What `__arrow_c_stream__` is to return: the rows of frames with these columns.

    The frames are closed once no more rows are wanted, if they are a generator. An error that one raises is the
    stream's, as text.
    """
    capsule = pl.DataFrame(schema=schema).__arrow_c_stream__()
    handle = _C.new_handle(_Frames(_taken(capsule), frames))
    _unreleased.add(handle)
    stream = _in(capsule)  # its place is free now
    stream.get_schema, stream.get_next, stream.get_last_error, stream.release = _FUNCTIONS
    stream.private_data = handle
    return capsule


def _in(capsule: object) -> Any:
    return _C.cast(_STREAM, _pointer_of(capsule, b"arrow_array_stream"))


def _taken(capsule: object) -> Any:
    """The stream in a capsule, which is empty then: whoever takes a stream has to release it."""
    stream = _in(capsule)
    taken = _C.new(_STREAM, stream[0])
    stream.release = _C.NULL
    return taken


class _Frames:
    """The streams of one frame after another, of which one is open at a time; `columns` is one without rows."""

    def __init__(self, columns: Any, frames: Iterator[pl.DataFrame]) -> None:
        self.columns, self.frames = columns, frames
        self.rows: Any = None
        self.error = _C.new("char[]", b"KeyboardInterrupt")  # of any other it is set

    def next_into(self, array: Any) -> None:
        """Put the next rows there, or nothing at the end."""
        array.release = _C.NULL
        while not self._is_filled(array):
            self.leave()  # before the next frame is made
            frame = next(self.frames, None)
            if frame is None:
                return
            self.rows = _taken(frame.__arrow_c_stream__())
            del frame

    def _is_filled(self, array: Any) -> bool:
        if self.rows is None:
            return False
        if self.rows.get_next(self.rows, array):
            raise OSError(_C.string(self.rows.get_last_error(self.rows)).decode())
        return bool(array.release)

    def leave(self) -> None:
        """Release the stream of the frame."""
        if self.rows is not None:
            self.rows.release(self.rows)
        self.rows = None

    def close(self) -> None:
        """Release and close all."""
        self.leave()
        self.columns.release(self.columns)
        if isinstance(self.frames, Generator):
            self.frames.close()


def _of(stream: Any) -> _Frames:
    found: _Frames = _C.from_handle(stream.private_data)
    return found


def _get_schema(stream: Any, schema: Any) -> int:
    columns = _of(stream).columns
    return int(columns.get_schema(columns, schema))


def _get_next(stream: Any, array: Any) -> int:
    frames = _of(stream)
    try:
        frames.next_into(array)
    except BaseException as error:
        frames.error = _C.new("char[]", f"{type(error).__name__}: {error}".encode(errors="replace"))
        return errno.EIO
    return 0


def _get_last_error(stream: Any) -> Any:
    return _of(stream).error


def _release(stream: Any) -> None:
    _of(stream).close()
    _unreleased.discard(stream.private_data)
    stream.release = _C.NULL


def _ended(*_: object) -> None:
    """Ctrl-C has ended a function: what it returns says so."""


_FUNCTIONS = (
    _C.callback(f"int({_STREAM}, void *)", _get_schema, error=errno.EIO, onerror=_ended),
    _C.callback(f"int({_STREAM}, struct ArrowArray *)", _get_next, error=errno.EIO, onerror=_ended),
    _C.callback(f"const char *({_STREAM})", _get_last_error, error=_C.NULL, onerror=_ended),
    _C.callback(f"void({_STREAM})", _release, onerror=_ended),
)
