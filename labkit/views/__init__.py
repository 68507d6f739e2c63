"""What the lab shows: tables, live views, progress, check cards, diagrams; each with a plain-text form."""
