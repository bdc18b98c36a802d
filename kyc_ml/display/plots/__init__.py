"""Figures of tidy tables in one house style; nothing is computed but places on paper.

Every function draws on a new `Figure`, never on pyplot's global state. Colours are
those of `THEME`, so that a page can exchange them for its light or dark ones.
"""
