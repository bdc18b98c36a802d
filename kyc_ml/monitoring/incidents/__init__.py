"""Incidents: warning, response and cooperation of departments, by playbooks; see 风险应急机制."""
