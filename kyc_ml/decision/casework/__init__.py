"""One case for an analyst: recent behaviour, reasons, tier, as one HTML page."""
