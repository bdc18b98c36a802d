"""The model card: what a model is, is for, does, and does not know, in one page of Markdown."""
