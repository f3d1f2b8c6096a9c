"""How things run fast and right: devices, lanes, the compile cache, the random generator, free memory, known answers.

It knows types.py and nothing else of ours.
"""
