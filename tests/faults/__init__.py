"""Tries to break the project: bad pictures and files, kills, full disks, bad networks, fuzzing.

``make faults`` runs the tests marked `campaign`, ``make fuzz`` the fuzzing; each writes its table to
``reports/``. ``make faults FAULTS="--share 0.1 -k kill"`` makes a tenth of the tries of some, and shows
them. `test_faults.py` holds what is quick enough to be tried each time.
"""
