"""Collections of pictures that are too large for one table in memory."""
