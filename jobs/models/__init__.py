"""Models that several hosts share: the store holds the versions, and the folder of each host is a verified cache.

A version is a folder of files here; what they mean is known to the package ``model``.
"""
