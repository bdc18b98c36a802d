"""The validation report as one HTML file, in English or Chinese."""
