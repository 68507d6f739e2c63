"""The verbs of the API, a file each. All take the server and a request whose path is resolved."""
