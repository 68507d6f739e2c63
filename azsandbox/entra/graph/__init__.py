"""Microsoft Graph, as far as az and the lessons use it."""
