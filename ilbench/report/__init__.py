"""Tables and pages generated from records."""
