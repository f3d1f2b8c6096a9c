"""What several checks share: instances, exact numbers of theirs, learners trained on them; public, for tests too.

No claim is made here.
"""
