"""A source mapping proposed for unknown files: look, guess, try, write.

Names, types and shapes of values are the evidence; every expression is tried on a sample
before it is proposed, and what the files do not decide is left to the user.
"""
