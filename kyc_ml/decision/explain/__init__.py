"""Contributions to ranked reasons in words, in English and Chinese.

`learn_reference` keeps what is usual among the training rows, whole and by peer group;
`make_reasons` says each row's strongest contributions beside it; `find_change` finds what
would lower a tier.
"""
