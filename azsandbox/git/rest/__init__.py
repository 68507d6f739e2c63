"""api.github.com: a subset of GitHub's REST API (version 2022-11-28), with its statuses, headers and errors.

    app       one request from beginning to end
    routes    which paths there are
    call      what a handler gets: who asks, parameters, body, and whether they may
    answers   answers and errors
    shapes    the objects that answers hold

The other modules hold the handlers, an area of GitHub's documentation each.
"""
