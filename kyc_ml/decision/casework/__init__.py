"""The case sheet: recent behaviour, reasons and tier of one case on one HTML page."""
