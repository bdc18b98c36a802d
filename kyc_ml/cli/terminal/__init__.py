"""What a person sees of a job in a terminal, or a scheduler in its log.

`watching` shows progress, notes and the one summary; `results` draws what each job found.
"""
