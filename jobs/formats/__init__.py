"""Files that are not CSV: workbooks, Parquet, Arrow and JSON lines in; Excel, Parquet and JSON lines out.

``python -m jobs.formats`` turns a file into CSV in a process of its own, which what is wrong with the file may crash.
"""
