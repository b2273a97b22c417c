"""A validator's own mind, for vendors to use: decides alone from cached keys, lists and rules, and forgets no tap.

Everything but `disk` and `device` is pure: bytes and a time in, values out. A vendor with another radio or disk keeps
`terminal` and writes those two.
"""
