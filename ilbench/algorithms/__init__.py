"""Algorithms, one per file: each turns expert labels into policies under the lab's ledger."""
