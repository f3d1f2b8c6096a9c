"""The static site of a folder of records: one kind of page per file, HTML by Jinja2 templates, pictures as inline SVG.

    material.py  -->  book.py  -->  index, boards, tasks, algorithms, compare, compounding, theory, runs, about  -->  build.py

It computes no number of its own: tables are those of the Markdown pages, cell by cell. Every page works from a file, without a
network and without JavaScript, which only sorts, filters and hides columns. The same records give the same bytes.
"""
