"""Output of a job in a terminal, or in the log of a scheduler.

`watching` shows progress, notes and the one summary; `results` draws what each job found.
"""
