"""A validator's own mind, for vendors to use: decides alone from cached keys, lists and rules, and forgets no tap.

Everything but `disk`, `shelf`, `fetching` and `device` is pure: bytes and a time in, values out. A vendor with another
disk or radio keeps `terminal` and writes those anew.
"""
