"""Published claims held against our records, one file each: what was claimed, where, in which setting, what we measure, a verdict.

A file, whose name begins with r and the number of the claim, has
the literals CLAIM (one sentence), SOURCE and DIFFERS (what of our setting differs), and either SUITES and
`measure(records) -> list[Line]`, or WHY: the reason that it cannot be tested here. A new file is a new row.
"""
