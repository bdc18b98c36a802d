"""Compare a challenger with a champion on the same later rows; nothing is written."""
