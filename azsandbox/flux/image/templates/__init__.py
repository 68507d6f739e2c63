"""Go's text/template, with what Flux gives to the messages of commits.

lexer      what a template is made of
nodes      the tree that it is
parser     from one to the other
runner     a tree and data make a text
values     Go's values: types, printing, comparing
functions  those of text/template
sprig      those of Masterminds/sprig that always give the same for the same

Helm's engine, which the sandbox has, is the real one; but its data are maps with texts as keys, and `.Changed.Objects`
has objects as keys, and methods.
"""
