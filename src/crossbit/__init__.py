"""crossbit: cross-modal retrieval, from embeddings down to bits."""

__version__ = "0.1.0"
