"""How fast dispytw is, beside its peers and the bare machine, all in one run. `README.md` says what is measured and how to run it.

From the door inwards: `run` makes the environment (`environment`), moves into a network of its own (`loopback`) and lets the `runner`
start the programs in turns. A program is a contestant's process (`child`) or the machine's own limits (`bare`); it says a line of JSON
for each cell (`speech`). Cells are measured in `cells` and `profile`, by what `contestants` makes of each library. `table` and `report`
write what came of it.
"""
