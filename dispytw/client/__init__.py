"""The room of the user's program: dispy's words in front, a scheduler of its own behind, and one thread boundary between.

`cluster` and `job` are what a program holds. `session` is the one scheduler of the process, which `bridge` keeps in a reactor thread:
a user's thread never touches Twisted, and the reactor's thread never runs a user's code. `dialer` keeps the links to `nodes`, and
`depends` collects the code that goes with a computation.
"""
