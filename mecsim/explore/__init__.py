"""What notebook 13 shows: pure functions that give numbers, sentences and figures, and thin widgets around them."""
