"""CRC-32, as in zlib and gzip, from the fastest library installed."""

try:
    from isal.isal_zlib import crc32  # the same number, faster
except ImportError:  # the extra `fast` is not installed
    from zlib import crc32

__all__ = ["crc32"]
