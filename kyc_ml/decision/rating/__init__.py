"""The expert rating: weighted sub-items after 银发〔2013〕2号, without machine learning.

A card (`Scorecard`, a YAML file) lists the features, the score of each value and the weight of
each score; `rate` applies it to a feature table.
"""
