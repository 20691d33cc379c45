"""A payment provider that moves no money: a server of its own for trying things out, and for tests.

It knows nothing of the checkout. It keeps its own book, so that its totals are another's word.
"""
