"""Tries to break the project: bad pictures and files, kills, full disks, bad networks, fuzzing.

``make faults`` runs the tests marked `campaign`, which takes hours, and writes ``reports/faults.md``;
``make faults FAULTS="--share 0.1 -k kill"`` a tenth of the tries of some. `test_faults.py` holds what
is quick enough to be tried each time.
"""
