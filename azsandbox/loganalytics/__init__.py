"""Log Analytics: rows of workspaces, and queries on them.

tables      the tables that a workspace knows, with their columns
rows        rows in the sandbox's state, bounded
ingestion   rows on their way: collected, made in batches, written together
    timespan    the time that a query is about
    kql         the query language
    api         the query API at api.loganalytics.io
kql         the query language
api         the query API at api.loganalytics.io
"""
