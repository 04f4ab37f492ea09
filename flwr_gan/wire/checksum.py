"""CRC-32, as in zlib and gzip, from the fastest library that is there."""

try:
    from isal.isal_zlib import crc32  # the same number, sooner
except ImportError:  # the extra `fast` is not installed
    from zlib import crc32

__all__ = ["crc32"]
