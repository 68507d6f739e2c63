"""Deployment templates: what a template means, and its resources made one after the other.

language    the functions in strings: [resourceId('Microsoft.Network/virtualNetworks', parameters('name'))]
template    parameters, variables, and the resources that a template asks for
execution   makes the resources, each when those that it needs are there
"""
