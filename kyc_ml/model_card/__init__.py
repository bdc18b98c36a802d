"""The model card: what a model is, is for, does, and does not know, in one page of Markdown."""

from kyc_ml.model_card.card import ModelCard, make_model_card
from kyc_ml.model_card.limitations import find_limitations

__all__ = ["ModelCard", "find_limitations", "make_model_card"]
