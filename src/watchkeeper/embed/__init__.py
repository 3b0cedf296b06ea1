"""Embeddings of texts: unit vectors that lie close when texts mean the same. Needs the extra `embeddings`."""
