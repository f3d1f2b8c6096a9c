"""What checks share: their instances, by name, for tests too. Not found as checks: the registry reads the folder above only."""
