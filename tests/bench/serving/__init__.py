"""`make bench-serving`: the gateway beside its peers, on this machine, in one run.

Method: rounds of A B C ..., never A A B B; medians and their spread; ratios of one run. The
gateway under test has a core of its own; the client and the mock upstream have the other.
"""
