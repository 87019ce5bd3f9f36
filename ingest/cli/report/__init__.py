"""The report: one HTML file that shows what a cache holds, without any request when it is opened.

`days.py` and `datasets.py` collect values, `words.py` says them, `page.py` fills the template. The file is written
whole or not at all.
"""
