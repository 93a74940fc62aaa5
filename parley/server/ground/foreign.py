"""``ctypes``, by which system calls are made that Python's own library has no name for; None in a
Python that was compiled where there was no libffi."""

try:
    import ctypes
except ImportError:
    ctypes = None  # type: ignore[assignment]

__all__ = ["ctypes"]
