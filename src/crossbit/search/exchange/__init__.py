"""Exchange: collections out to and in from what others read: NumPy, Parquet, faiss, usearch, clip-retrieval's folders.

Every format is a file here with `write` and `read`; between them and the collection go portions of items with their rows.
"""

from crossbit.search.exchange.base import FORMATS, Portion, Source, export, format_of, read

__all__ = ["FORMATS", "Portion", "Source", "export", "format_of", "read"]
