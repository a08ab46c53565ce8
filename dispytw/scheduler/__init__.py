"""The room in which it is decided where each job runs. It lives in the client for JobCluster, in its own daemon for SharedJobCluster.

Read `ledger` first: the mind that alone decides, with `attendance` (which nodes are there), `entries` (what it remembers), `policy` (who
is next) and `orders` (what it asks for). `dispatcher` carries the orders out, and `connections` speaks with nodes.
"""
