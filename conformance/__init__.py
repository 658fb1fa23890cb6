"""Other people's clients against the local IoT Core, driven by its command line alone.

Not here: anything that reaches into the product. Whatever these tests know of it stands in `fleet.py`.
"""
