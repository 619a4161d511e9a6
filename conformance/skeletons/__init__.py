"""What `siteproof driver new` writes: a driver with a toy system behind it, to be replaced by one's own.

`toy.py` is the class form, `toy.pl` the same over standard input and output in Perl, with nothing but what comes with Perl. Both
conform to the flow `scout-to-secondary-site`; a test sees to that. A new driver is the file with another name in it.
"""
