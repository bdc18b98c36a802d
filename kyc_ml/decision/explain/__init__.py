"""From contributions to ranked reasons in English and Chinese, and counterfactuals.

`learn_reference` summarises the training rows, overall and by peer group; `make_reasons` writes
each row's strongest contributions and compares its values with the peers; `find_change` finds
what would lower a tier.
"""
