"""Links as people measured them: output of iperf3, speedtests, ping and mtr, tables and traces become a fleet.

One reader a format (`iperf`, `speedtests`, `ping`, `mtr`, `mahimahi`, `table`) says what one file tells of a client, as
a `Measurement`; `clients` puts together what several files say of the same one, and `fleet` writes the scenario. A file
is recognised by what it holds, never by its name. Nothing is made up: what no file tells is said to be unknown.
"""
