"""Feature families: a table (YAML) for each; `tables` reads them, `attributes` needs none."""
