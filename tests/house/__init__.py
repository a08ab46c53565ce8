"""The laws of the house, as tests: who may import whom, what the pure modules may not touch, how long a module may be.

`plan` says where every module stands, `reading` turns source into modules and imports, `laws` finds what breaks a law.
"""
