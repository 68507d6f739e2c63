"""Reports: one model of results, and a writer a format (HTML, JUnit, SARIF, JSON)."""
