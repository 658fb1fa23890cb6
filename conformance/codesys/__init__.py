"""A stand-in for a PLC under CODESYS: its certificate store, its rules, and a client in C.

Built from CODESYS's documentation, never from its code. What it cannot show is listed in docs/codesys.md.
"""
