"""Who decided what, on which evidence, in a record that shows when it was tampered with."""
