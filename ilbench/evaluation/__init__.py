"""How a policy is judged: rolled once, as evidence that all measures read, with references and certificates.

It finds measures by name, and knows neither suites nor what was trained how.
"""
