"""What notebook 13 shows: pure functions that give numbers, figures of them, and thin widgets around both."""
