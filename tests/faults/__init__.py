"""What tries to break the project: bad pictures and files, kills, full disks, fuzzing.

``python -m faults`` (or ``make faults``) runs all of it and writes ``reports/faults.md``.
"""
