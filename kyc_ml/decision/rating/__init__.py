"""The expert rating: weighted sub-items after 银发〔2013〕2号, without any learning.

A card (`Scorecard`, a YAML file) says which features are read, what each value scores
and what each score weighs; `rate` applies it to a feature table.
"""
