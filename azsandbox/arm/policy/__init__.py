"""Azure Policy: what definitions mean, without input and output.

built_in      definitions and initiatives of Azure's own, as data
expressions   template functions in strings: [parameters('x')]
fields        what `field` and aliases name in a resource
conditions    the `if` of a rule
definitions   what a rule may hold, and what Azure says of a wrong one
parameters    values against what a definition declares
in_force      which definitions hold for a resource, by assignments and exemptions
enforcement   what deny, append and modify do to a request
compliance    how resources stand
"""
