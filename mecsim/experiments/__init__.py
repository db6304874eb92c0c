"""What each figure runs, the runner, and the store of results: the only part that writes to disk."""
