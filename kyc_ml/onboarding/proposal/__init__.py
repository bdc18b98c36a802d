"""A source mapping proposed for unknown files: examine, guess, try, write.

Names, types and shapes of values are the evidence. Every expression is tried on a sample before it
is proposed, and the user decides what the files do not show.
"""
