"""The steps of the method, in order: extract, select, acquire, converse, assemble; and locate for released rows.

A step takes the whole output of the one before it and leaves a folder that is complete or absent.
"""
